"""What a shadow simulation runs: one workflow of each kind, specs and functions, with skills of their own.

Every outcome follows from the seed alone, whichever process calls the skills and however often, so that the same run
somewhere else must give the same hashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import Failure, StepFailedError
from ..core.retry import Retry
from ..core.runtime.context import StepContext
from ..core.runtime.functions.durable import (
    call,
    continue_as_new,
    gather,
    random,
    run_workflow,
    set_attribute,
    sleep,
    wait_signal,
)
from ..core.runtime.functions.workflow import workflow
from ..core.runtime.skill import skill

MODULE = __name__
"""The module that workers load."""

SIGNAL = "go"
"""The signal that some of the runs wait for."""


@skill("shadow_work", deterministic=True)
async def work(context: StepContext, **inputs: Any) -> dict[str, Any]:
    """Takes up to 0.2 s, by its seed."""
    await asyncio.sleep(context.seed % 200 / 1000)
    return {"seed": context.seed, "given": inputs}


@skill("shadow_threaded", deterministic=True)
def threaded(context: StepContext) -> int:
    """Runs on a thread."""
    return context.seed


@skill("shadow_wobbly", retry=Retry(max_attempts=5, initial_seconds=0.02))
async def wobbly(context: StepContext) -> int:
    """Fails once to three times."""
    if context.attempt <= 1 + context.seed % 3:
        raise Failure("SKILL_ERROR", f"attempt {context.attempt} fails")
    return context.attempt


@skill("shadow_doomed", deterministic=True, inline=True)
def doomed() -> None:
    """Always fails."""
    raise Failure("SKILL_ERROR", "always", retryable=False)


@workflow("shadow-gather")
async def gathering(width: int = 4) -> list[Any]:
    """Steps side by side."""
    return await gather(*(call(work, number=number) for number in range(width)))


@workflow("shadow-saga")
async def saga() -> list[str]:
    """What was begun is undone, the last first."""
    done: list[str] = []
    try:
        for name in ("flight", "hotel"):
            await call(work, book=name)
            done.append(name)
        await call(doomed)
    except StepFailedError:
        for name in reversed(done):
            await call(work, undo=name)
    return done


@workflow("shadow-timers")
async def timing() -> float:
    """Short rests, and one that leaves memory."""
    for seconds in (0.01, 0.1, 1.1):
        await sleep(seconds)
    return random()


@workflow("shadow-signals")
async def signalled() -> Any:
    """Waits for the signal, and uses what it says."""
    told = await wait_signal(SIGNAL)
    return await call(work, told=told)


@workflow("shadow-child")
async def child(number: int) -> dict[str, Any]:
    """One step."""
    return await call(work, number=number)


@workflow("shadow-children")
async def parenting() -> list[Any]:
    """Runs of its own, side by side."""
    return await gather(*(run_workflow(child, {"number": number}) for number in range(2)))


@workflow("shadow-continued")
async def continued(left: int = 2) -> float:
    """Goes on as new runs."""
    drawn = await call(work, left=left)
    if left:
        continue_as_new(left=left - 1)
    return random() if drawn else 0.0


@workflow("shadow-attributes")
async def attributed() -> int:
    """Can be found by what it found."""
    set_attribute("phase", "begun")
    number = await call(threaded)
    set_attribute("phase", "done")
    set_attribute("number", number % 10)
    return number


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of workflow: what runs, how often it is sent the signal, and what its result must be.

    `what` is a spec or the type of a function. `comparable` says whether the same run elsewhere must give equal hashes.
    """

    name: str
    what: Mapping[str, Any] | str
    status: str | None = "completed"
    signals: int = 0
    inputs: Mapping[str, Any] | None = None
    comparable: bool = True


def _step(step_id: str, skill_id: str, *after: str, **fields: Any) -> dict[str, Any]:
    inputs = fields.pop("inputs", {f"from_{each}": f"${{{each}}}" for each in after})
    return {"step_id": step_id, "skill_id": skill_id, "inputs": inputs, "depends_on": list(after), **fields}


def _spec(name: str, *steps: dict[str, Any], **fields: Any) -> Kind:
    return Kind(name, {"workflow_type": f"shadow-{name}", "steps": list(steps)}, **fields)


_WORK = "shadow_work"
_FAILS: dict[str, Any] = {"inputs": {}}

KINDS: tuple[Kind, ...] = (
    _spec("chain", _step("a", _WORK), _step("b", "echo", "a"), _step("c", _WORK, "b"), _step("d", "hash", "c")),
    _spec("diamond", _step("top", _WORK), _step("left", _WORK, "top"), _step("right", "shadow_threaded", "top",
          inputs={}), _step("end", "hash", "left", "right")),
    _spec("fan-out", _step("root", _WORK), *(_step(f"leaf{n}", _WORK, "root") for n in range(8))),
    _spec("retries", _step("first", "shadow_wobbly", inputs={}), _step("second", "hash", "first")),
    _spec("continue", _step("bad", "shadow_doomed", on_error="continue", **_FAILS), _step("after", "echo", "bad")),
    _spec("skip", _step("bad", "shadow_doomed", on_error="skip", **_FAILS), _step("never", "echo", "bad"),
          _step("apart", _WORK)),
    _spec("abort", _step("fine", _WORK), _step("bad", "shadow_doomed", "fine", **_FAILS), _step("never", _WORK, "bad"),
          status="failed"),
    _spec("random", _step("draw", "random", inputs={}), _step("use", "transform", "draw", inputs={
          "expression": "value", "value": "${draw.value}"}), _step("sum", "hash", "use")),
    _spec("timers", _step("nap", "sleep", inputs={"seconds": 0.3}), _step("rest", "sleep", "nap", inputs={
          "seconds": 1.2}), _step("end", "shadow_threaded", "rest", inputs={})),
    _spec("signals", _step("begin", _WORK), _step("wait", "wait_signal", "begin", inputs={"name": SIGNAL}),
          _step("again", "wait_signal", "wait", inputs={"name": SIGNAL}), _step("end", "hash", "again"), signals=2),
    _spec("children", _step("child", "run_workflow", inputs={"spec": {"workflow_type": "shadow-inner", "steps": [
          _step("only", _WORK)]}}), _step("end", "hash", "child")),
    Kind("gather", gathering.workflow_type),
    Kind("saga", saga.workflow_type),
    Kind("function-timers", timing.workflow_type),
    Kind("function-signals", signalled.workflow_type, signals=1),
    Kind("function-children", parenting.workflow_type),
    Kind("continue-as-new", continued.workflow_type),
    Kind("attributes", attributed.workflow_type),
)  # fmt: skip
"""All kinds, in the order in which a cycle starts them."""
