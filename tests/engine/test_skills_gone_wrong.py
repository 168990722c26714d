"""Whatever a skill does, the run ends with an answer."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from refold import Failure, Limits, Retry, SkillRegistry, StepContext, WorkflowEngine, WorkflowResult
from refold.core.canonical_careful import MAX_DEPTH
from refold.core.events import StepAttemptFailed
from refold.core.seeds import step_seed
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.workflows import events_of, soon, spec, step

pytestmark = pytest.mark.timeout(60)

FORMS = ("inline", "thread", "async")


def registered(form: str, function: Callable[[], Any], **declared: Any) -> SkillRegistry:
    """A registry whose skill `bad` does what `function` does, in one of the three ways to run."""
    registry = SkillRegistry()

    def sync_bad() -> Any:
        return function()

    async def async_bad() -> Any:
        return function()

    registry.skill("bad", inline=form == "inline", **declared)(async_bad if form == "async" else sync_bad)
    return registry


async def outcome_of(form: str, function: Callable[[], Any], **fields: Any) -> WorkflowResult:
    """The result of a run of that one skill."""
    store = MemoryStore()
    async with WorkflowEngine(store, registered(form, function)) as engine:
        result = await soon(engine.run(spec(step("a", "bad", **fields)), "r"))
    assert verify_run(store, "r").ok
    return result


def raising(error: BaseException) -> Callable[[], Any]:
    """A function that raises `error`."""

    def function() -> Any:
        raise error

    return function


_KNOWN = {
    asyncio.CancelledError: "SKILL_CANCELLED",
    RecursionError: "SKILL_BUG",
    MemoryError: "MEMORY_EXHAUSTED",
}
"""The codes of what is no mere SKILL_ERROR."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Own(BaseException):
    pass


class Uninitialised(Failure):
    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        SystemExit(3),
        Own("x"),
        GeneratorExit(),
        asyncio.CancelledError(),
        StopIteration(),
        RecursionError(),
        MemoryError(),
        Unprintable(),
        Uninitialised(),
        Failure(7, "no text for a code"),  # pyright: ignore[reportArgumentType]
        Failure("lower case", "no code"),
        ValueError("\ud800 lone surrogate"),
        ValueError("x" * 10_000_000),
    ],
    ids=lambda error: type(error).__name__ if isinstance(error, BaseException) else None,
)
async def test_whatever_a_skill_raises_fails_its_step(form: str, error: BaseException) -> None:
    result = await outcome_of(form, raising(error))
    assert (result.status, result.error_code) == ("failed", _KNOWN.get(type(error), "SKILL_ERROR"))
    assert len(result.message or "") <= Limits().message_characters


@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_keyboard_interrupt_raised_on_a_thread_fails_the_step() -> None:
    assert (await outcome_of("thread", raising(KeyboardInterrupt()))).error_code == "SKILL_ERROR"


def circle() -> Any:
    """A list that contains itself."""
    made: list[Any] = []
    made.append(made)
    return made


def nested(levels: int) -> Any:
    """A list in a list, and so on."""
    made: list[Any] = []
    for _ in range(levels - 1):
        made = [made]
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: float("nan"), "SKILL_OUTPUT_INVALID"),
        (lambda: {"x": float("inf")}, "SKILL_OUTPUT_INVALID"),
        (lambda: {1, 2}, "SKILL_OUTPUT_INVALID"),
        (lambda: b"x", "SKILL_OUTPUT_INVALID"),
        (lambda: {1: 2}, "SKILL_OUTPUT_INVALID"),
        (lambda: 2**53, "SKILL_OUTPUT_INVALID"),
        (lambda: "\ud800", "SKILL_OUTPUT_INVALID"),
        (object, "SKILL_OUTPUT_INVALID"),
        (circle, "SKILL_OUTPUT_INVALID"),
        (lambda: nested(100_000), "SKILL_OUTPUT_INVALID"),
        (lambda: nested(MAX_DEPTH + 1), "SKILL_OUTPUT_INVALID"),
        (lambda: "x" * 2_000_000, "OUTPUT_TOO_LARGE"),
    ],
)
async def test_an_output_that_cannot_be_stored_fails_the_step_once(
    form: str, make: Callable[[], Any], code: str
) -> None:
    result = await outcome_of(form, make, max_retries=3)
    assert result.error_code == code
    assert result.steps[0].attempts == 1


@pytest.mark.parametrize("form", FORMS)
async def test_an_output_at_the_limits_is_stored(form: str) -> None:
    for value in ("x" * 1_999_998, nested(MAX_DEPTH)):
        store = MemoryStore()
        async with WorkflowEngine(store, registered(form, lambda value=value: value)) as engine:
            result = await soon(engine.run(spec(step("a", "bad"), output=1), "r"))
            assert result.status == "completed", result.message
            again = await soon(engine.run(spec(step("a", "bad"), output=1), "r"))
        assert result.steps[0].output == again.steps[0].output == value
        assert verify_run(store, "r").ok


VALUES = [
    1.0,
    -0.0,
    1e17,
    1e-7,
    0.1 + 0.2,
    2.0**70,
    2**53 - 1,
    "é\u2028\0\U0001f600",
    {"\U0001f600": 1, "\ufb33": 2},
    None,
    "",
]


@pytest.mark.parametrize("form", FORMS)
async def test_the_live_value_is_the_stored_value(form: str) -> None:
    seen: list[Any] = []
    registry = registered(form, lambda: {"v": VALUES, "t": (1, 2)})

    @registry.skill("look")
    def look(whole: Any, ctx: StepContext) -> Any:
        seen.append((whole, ctx.outputs["a"]))
        return whole

    store = MemoryStore()
    async with WorkflowEngine(store, registry) as engine:
        live = await soon(engine.run(spec(step("a", "bad"), step("b", "look", whole="${a}")), "r"))
    async with WorkflowEngine(store, registry) as engine:
        stored = await soon(engine.run(spec(step("a", "bad"), step("b", "look", whole="${a}")), "r"))
    assert repr(seen[0][0]) == repr(seen[0][1]) == repr(live.steps[0].output) == repr(stored.steps[0].output)
    assert repr(live.output) == repr(stored.output) == repr({"b": live.steps[0].output})
    assert live.steps[0].output["t"] == [1, 2]


@pytest.mark.parametrize("form", FORMS)
async def test_a_skill_cannot_change_what_others_see(form: str) -> None:
    registry = SkillRegistry()

    def spoil(given: Any, ctx: StepContext) -> Any:
        given["x"].append(9)
        ctx.outputs["a"]["x"].append(9)
        return given

    async def spoil_async(given: Any, ctx: StepContext) -> Any:
        return spoil(given, ctx)

    registry.skill("spoil", inline=form == "inline")(spoil_async if form == "async" else spoil)
    store = MemoryStore()
    steps = [
        step("a", x=[1], n="${inputs.n}"),
        step("b", "spoil", given="${a}"),
        step("c", depends_on=["b"], it="${a}"),
    ]
    inputs: dict[str, Any] = {"n": {"y": [1]}}
    async with WorkflowEngine(store, registry) as engine:
        result = await soon(engine.run(spec(*steps), "r", inputs=inputs))
        result.steps[0].output["x"].append(7)
        result.output["c"]["it"]["x"].append(7)
        again = await soon(engine.run(spec(*steps), "r", inputs=inputs))
    assert again.output == {"c": {"it": {"x": [1], "n": {"y": [1]}}}}
    assert again.steps[1].output["x"] == [1, 9]
    assert verify_run(store, "r").ok


@pytest.mark.parametrize("form", ("thread", "async"))
async def test_a_step_that_takes_too_long_is_timed_out(form: str) -> None:
    registry = SkillRegistry()
    release = threading.Event()

    @registry.skill("hang_thread")
    def hang_thread() -> None:
        release.wait()

    @registry.skill("hang_async")
    async def hang_async() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    store = MemoryStore()
    try:
        async with WorkflowEngine(store, registry) as engine:
            hang = step("a", f"hang_{form}", timeout_seconds=0.02, max_retries=1, retry={"initial_seconds": 0})
            result = await soon(engine.run(spec(hang), "r"))
    finally:
        release.set()
    assert (result.error_code, result.steps[0].attempts) == ("STEP_TIMEOUT", 2)


def test_a_hung_thread_does_not_keep_the_process_alive() -> None:
    program = """
import asyncio, threading, refold
skills = refold.SkillRegistry()
@skills.skill
def hang():
    threading.Event().wait()
async def main():
    async with refold.WorkflowEngine("memory:", skills) as engine:
        spec = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "hang", "timeout_seconds": 0.01}]}
        print((await engine.run(spec)).error_code)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=30)
    assert (ended.stdout.strip(), ended.returncode, ended.stderr) == ("STEP_TIMEOUT", 0, "")


async def test_retries_wait_as_the_seed_says_and_cost_every_time() -> None:
    registry = SkillRegistry()
    policy = Retry(max_attempts=4, initial_seconds=0.004, multiplier=2, max_seconds=0.01, jitter=0.5)
    seen: list[tuple[int, str]] = []

    @registry.skill("flaky", cost_cents=2.5, retry=policy)
    def flaky(ctx: StepContext) -> int:
        seen.append((ctx.attempt, ctx.idempotency_key))
        if ctx.attempt < 4:
            raise ValueError("not yet")
        return ctx.attempt

    stores = MemoryStore(), MemoryStore()
    for store in stores:
        async with WorkflowEngine(store, registry) as engine:
            result = await soon(engine.run(spec(step("a", "flaky")), "r", seed=5))
            assert (result.output, result.cost_cents, result.steps[0].cost_cents) == ({"a": 4}, 10, 10)
            assert result.steps[0].attempts == 4
    assert seen == [(attempt, "r:a") for attempt in (1, 2, 3, 4)] * 2
    pauses = [
        [event.retry_at - event.at for event in events_of(store, "r") if isinstance(event, StepAttemptFailed)]
        for store in stores
    ]
    assert pauses[0] == pauses[1] == [int(policy.delay(step_seed(5, 0), n) * 1_000_000) for n in (1, 2, 3)]
    for store in stores:
        events = events_of(store, "r")
        for failed, then in itertools.pairwise(events):
            if isinstance(failed, StepAttemptFailed):
                assert then.at >= failed.retry_at


async def test_a_context_tells_what_the_step_needs_to_know() -> None:
    registry = SkillRegistry()
    seen: list[StepContext] = []

    @registry.skill("look", inline=True)
    def look(ctx: StepContext) -> None:
        seen.append(ctx)

    async with WorkflowEngine("memory:", registry) as engine:
        last = step("b", "look", depends_on=["a"], idempotency_key="key of ${a.x} ${inputs.n}")
        await soon(engine.run(spec(step("a", x=1.5), last, inputs={"n": 2}), "r", seed=7))
    (ctx,) = seen
    assert (ctx.run_id, ctx.step_id, ctx.index, ctx.attempt) == ("r", "b", 1, 1)
    assert ctx.seed == step_seed(7, 1)
    assert ctx.idempotency_key == "key of 1.5 2"
    assert dict(ctx.outputs) == {"a": {"x": 1.5}}


async def test_an_observer_that_fails_stops_its_run_and_no_other() -> None:
    def observer(stream: str, version: int, event: object) -> None:
        if stream == "default/bad" and version > 1:
            raise ValueError("the observer's own")

    async with WorkflowEngine("memory:", observer=observer) as engine:
        bad, good = await asyncio.gather(
            soon(engine.run(spec(step("a")), "bad")), soon(engine.run(spec(step("a")), "good")), return_exceptions=True
        )
    assert isinstance(bad, ValueError)
    assert isinstance(good, WorkflowResult) and good.success
