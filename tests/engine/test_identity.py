"""One run id, one run: who may go on with it, and what is refused before anything is written."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refold import (
    CallError,
    RunConflictError,
    RunNotFoundError,
    RunOwnedError,
    SkillRegistry,
    SpecError,
    StepContext,
    WorkflowEngine,
    open_store,
)
from refold.core.events import StepStarted
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import events_of, soon, spec, step, topics_of, until

pytestmark = pytest.mark.timeout(60)


def gated(gates: Gates, seen: list[str]) -> SkillRegistry:
    """A registry with skills that wait: `gated`, and `once`, which is at-most-once."""
    registry = SkillRegistry()

    @registry.skill("gated")
    async def gated_skill(ctx: StepContext) -> str:
        seen.append(ctx.step_id)
        await gates()
        return ctx.step_id

    @registry.skill("once", at_most_once=True)
    async def once(ctx: StepContext) -> str:
        seen.append(ctx.step_id)
        await gates()
        return ctx.step_id

    return registry


async def test_an_ended_run_is_returned_and_nothing_is_run_or_written() -> None:
    store, gates, seen = MemoryStore(), Gates(), []
    gates.open()
    one = spec(step("a", "gated"), inputs={"n": 1})
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        first = await soon(engine.run(one, "r", 3, {"m": 2.0}))
        written = store.last_position()
        again = await soon(engine.run({**one, "version": "1"}, "r", 3, {"m": 2, "n": 1}))
    assert again.to_json() == first.to_json()
    assert (store.last_position(), seen) == (written, ["a"])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"spec": spec(step("a", x=2))}, "spec"),
        ({"seed": 1}, "seed"),
        ({"inputs": {"n": 1}}, "inputs"),
        ({"seed": 1, "inputs": {"n": 1}}, "inputs and another seed"),
    ],
)
async def test_another_run_of_the_same_id_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    call: dict[str, Any] = {"spec": spec(step("a", x=1)), "run_id": "r", "seed": 0, "inputs": None}
    store = MemoryStore()
    async with WorkflowEngine(store) as engine:
        await soon(engine.run(**call))
        for replay in (False, True):
            with pytest.raises(RunConflictError, match=f"another {named};"):
                await soon(engine.run(**{**call, **changed}, replay=replay))
        await soon(engine.run(**call, tenant="other"))
    assert verify_run(store, "r").ok and verify_run(store, "r", "other").ok


async def test_what_cannot_run_is_refused_before_anything_is_written() -> None:
    store = MemoryStore()
    async with WorkflowEngine(store) as engine:
        for refused, error in [
            (engine.run(spec(step("a", "nobody_knows")), "r"), SpecError),
            (engine.run(spec(step("a", x="${b}")), "r"), SpecError),
            (engine.run(spec(step("a", x="${inputs.absent}")), "r"), CallError),
            (engine.run(spec(step("a")), "r", inputs={"t": "x" * 2_000_000}), CallError),
            (engine.run(spec(step("a")), "r", inputs={"t": float("nan")}), CallError),
            (engine.run(spec(step("a")), "r", seed=-1), CallError),
            (engine.run(spec(step("a")), "r/x"), CallError),
            (engine.run(spec(step("a")), "r", tenant=""), CallError),
            (engine.run(spec(step("a")), "r", replay=True), RunNotFoundError),
        ]:
            with pytest.raises(error):
                await soon(refused)
    assert store.last_position() == 0


async def test_a_live_run_is_owned() -> None:
    store, gates, seen = MemoryStore(), Gates(), []
    async with WorkflowEngine(store, gated(gates, seen)) as owner, WorkflowEngine(store, gated(gates, seen)) as other:
        run = asyncio.create_task(owner.run(spec(step("a", "gated")), "r"))
        await until(lambda: seen)
        with pytest.raises(RunOwnedError, match=r"another (29|30) s"):
            await soon(other.run(spec(step("a", "gated")), "r"))
        with pytest.raises(RunOwnedError):
            await soon(other.resume("r"))
        gates.open()
        assert (await soon(run)).status == "completed"
        assert (await soon(other.resume("r"))).status == "completed"
    assert seen == ["a"]


async def test_two_calls_at_once_share_one_run() -> None:
    store, gates, seen = MemoryStore(), Gates(), []
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        runs = [asyncio.create_task(engine.run(spec(step("a", "gated")), "r")) for _ in range(3)]
        runs.append(asyncio.create_task(engine.run(spec(step("a", "gated")), "r", seed=1)))
        await until(lambda: seen)
        gates.open()
        *same, other = await soon(asyncio.gather(*runs, return_exceptions=True))
    assert isinstance(other, RunConflictError)
    assert len({result.workflow_hash for result in same}) == 1  # pyright: ignore[reportAttributeAccessIssue]
    assert seen == ["a"]


async def test_a_caller_who_gives_up_does_not_take_the_run_from_the_others() -> None:
    store, gates, seen = MemoryStore(), Gates(), []
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        first, second = (asyncio.create_task(engine.run(spec(step("a", "gated")), "r")) for _ in range(2))
        await until(lambda: seen)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gates.open()
        assert (await soon(second)).status == "completed"
    assert verify_run(store, "r").ok


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_closing_in_the_middle_leaves_a_run_that_goes_on_at_once(kind: str, tmp_path: Path) -> None:
    store, gates, seen = open_store("memory:" if kind == "memory" else f"sqlite:///{tmp_path}/log.db"), Gates(), []
    two = spec(step("a", x=1), step("b", "gated", depends_on=["a"]))
    for turns in (0, 1, 2, 3, 5, 8, 13, None):
        run_id = f"r{turns}"
        async with WorkflowEngine(store, gated(gates, seen)) as engine:
            run = asyncio.create_task(engine.run(two, run_id))
            if turns is None:
                await until(lambda: seen)
            for _ in range(turns or 0):
                await asyncio.sleep(0)
        with pytest.raises(CallError, match="closed"):
            await soon(run)
    gates.open()
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        for turns in (0, 1, 2, 3, 5, 8, 13, None):
            assert (await soon(engine.run(two, f"r{turns}"))).output == {"b": "b"}
            assert verify_run(store, f"r{turns}").ok
    store.close()


async def test_a_closed_engine_refuses_instead_of_hanging(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/log.db")
    async with WorkflowEngine(store) as engine:
        pass
    with pytest.raises(CallError, match="closed"):
        await soon(engine.run(spec(step("a")), "r"))
    store.close()


async def test_an_at_most_once_step_that_was_cut_off_is_never_run_again() -> None:
    store, gates, seen = MemoryStore(), Gates(), []
    one = spec(step("a", "once", max_retries=3, on_error="continue"), step("b", x="${a}"))
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        run = asyncio.create_task(engine.run(one, "r"))
        await until(lambda: seen)
    await asyncio.gather(run, return_exceptions=True)
    gates.open()
    async with WorkflowEngine(store, gated(gates, seen)) as engine:
        result = await soon(engine.run(one, "r"))
        await soon(engine.run(one, "r", replay=True))
    assert seen == ["a"]
    assert (result.status, result.steps[0].error_code, result.output) == (
        "completed",
        "INTERRUPTED",
        {"b": {"x": None}},
    )
    assert topics_of(store, "r") == ["run.started", "step.started", "step.failed", "step.completed", "run.completed"]
    assert verify_run(store, "r").ok


async def test_an_at_most_once_step_that_fails_is_not_tried_again() -> None:
    store, seen = MemoryStore(), []
    registry = SkillRegistry()

    @registry.skill("once", at_most_once=True, deterministic=True)
    def once() -> None:
        seen.append("x")
        raise ValueError("no")

    async with WorkflowEngine(store, registry) as engine:
        for replay in (False, True):
            await soon(engine.run(spec(step("a", "once", max_retries=3)), "r", replay=replay))
    assert seen == ["x"]
    assert [event.attempt for event in events_of(store, "r") if isinstance(event, StepStarted)] == [1]


VICTIM = """
import asyncio, sys, refold
skills = refold.SkillRegistry()
@skills.skill
async def wait():
    print("waiting", flush=True)
    await asyncio.sleep(3600)
async def main():
    async with refold.WorkflowEngine(sys.argv[1], skills, lease_seconds=3600) as engine:
        await engine.run({"workflow_type": "test", "steps": [{"step_id": "a", "skill_id": "wait"}]}, "r")
asyncio.run(main())
"""


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the run `r` of the store in `tmp_path`."""
    command = [sys.executable, "-P", "-c", VICTIM, f"sqlite:///{tmp_path}/log.db"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"waiting\n"
        yield process
        process.kill()


async def test_a_run_whose_owner_was_killed_goes_on_at_once(tmp_path: Path, victim: subprocess.Popen[bytes]) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> str:
        return "done"

    one = spec(step("a", "wait"))
    async with WorkflowEngine(url, registry) as engine:
        with pytest.raises(RunOwnedError, match=str(victim.pid)):
            await soon(engine.run(one, "r"))
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        assert (await soon(engine.run(one, "r"))).output == {"a": "done"}


async def test_ids_are_made_where_none_is_given() -> None:
    async with WorkflowEngine("memory:") as engine:
        ids = [(await soon(engine.run(spec(step("a"))))).run_id for _ in range(3)]
    assert ids == sorted(set(ids)) and all(id[14] == "7" for id in ids)
