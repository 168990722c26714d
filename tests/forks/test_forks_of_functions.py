"""Forks of runs of functions: the calls before a path are taken over, and the code is driven through them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from refold import (
    CallError,
    Failure,
    NondeterminismError,
    SkillRegistry,
    StepFailedError,
    WorkflowEngine,
    gather,
    now,
    patched,
    set_attribute,
    skill,
    workflow,
)
from refold.core.events import StepReused
from refold.core.ids import stream_of
from refold.eventstore.log import EventLog
from refold.replay.verify import verify_run
from refold.tests.support.own_codes import OWN_CODES

CALLS: Counter[str] = Counter()
BROKEN: set[str] = set()


@skill(deterministic=True, failures=OWN_CODES)
async def shout(text: str) -> str:
    """Upper case; counted."""
    CALLS[text] += 1
    if text in BROKEN:
        raise Failure("BROKEN", "not today", retryable=False)
    return text.upper()


@workflow("chain")
async def chain(first: str = "a", second: str = "b") -> list[str]:
    """Three calls, the last of what the first gave; the time of the second is part of it."""
    one = await shout(first)
    await set_attribute_of(one)
    two = await shout(f"{second}@{int(now().timestamp() * 1_000_000)}")
    return [one, two.partition("@")[0], await shout(f"{one}!")]


async def set_attribute_of(value: str) -> None:
    """What a helper of the user's may do between two calls."""
    set_attribute("seen", value)


@workflow("wide")
async def wide() -> list[Any]:
    """Two branches, and a failure that is caught."""

    async def branch(name: str) -> list[str]:
        return [await shout(name + "1"), await shout(name + "2")]

    found: list[Any] = await gather(branch("l"), branch("r"))
    try:
        await shout("catch")
    except StepFailedError as error:
        found.append(error.step_code)
    found.append(await shout("last"))
    return found


@pytest.fixture
async def engine() -> AsyncGenerator[WorkflowEngine]:
    CALLS.clear()
    BROKEN.clear()
    async with WorkflowEngine("memory:", registry(chain, wide)) as engine:
        yield engine


def registry(*workflows: Any) -> SkillRegistry:
    skills = SkillRegistry()
    skills.register(shout)
    for each in workflows:
        skills.add_workflow(each)
    return skills


def reused(engine: WorkflowEngine, run_id: str) -> list[str]:
    found = EventLog(engine.store, "").events(stream_of("default", run_id))
    return [str(event.index) for event in found if isinstance(event, StepReused)]


async def test_the_calls_before_a_path_are_taken_over_and_the_rest_runs_again(engine: WorkflowEngine) -> None:
    parent = await engine.run(chain, "parent", seed=3)
    CALLS.clear()
    fork = await engine.fork("parent", from_step="shout#2", new_id="fork", here=True)
    assert fork.output == parent.output and fork.step_hashes == parent.step_hashes
    assert reused(engine, "fork") == ["0", "1"] and sum(CALLS.values()) == 1
    state = await engine.state("fork")
    assert state.attributes == {"seen": "A"} and verify_run(engine.store, "fork").ok
    assert (await engine.replay("fork")).served == 2


async def test_branches_are_taken_over_in_the_order_in_which_they_ended(engine: WorkflowEngine) -> None:
    BROKEN.add("catch")
    parent = await engine.run(wide, "parent")
    CALLS.clear()
    fork = await engine.fork("parent", from_step="2", new_id="fork", here=True)
    assert fork.output == parent.output == [["L1", "L2"], ["R1", "R2"], "BROKEN", "LAST"]
    assert CALLS == {"last": 1} and fork.step_hashes == parent.step_hashes
    inner = await engine.fork("parent", from_step="0.1.0", new_id="inner", here=True)
    assert reused(engine, "inner") == ["0.0.0", "0.0.1"] and inner.output == parent.output


async def test_a_given_output_runs_again_only_what_it_changes(engine: WorkflowEngine) -> None:
    await engine.run(chain, "parent")
    CALLS.clear()
    fork = await engine.fork("parent", changes={"/steps/shout#0/output": "Z"}, new_id="fork", here=True)
    assert fork.output == ["Z", "B", "Z!"] and CALLS == {"Z!": 1}
    assert reused(engine, "fork") == ["0", "1"]
    assert (await engine.state("fork")).attributes == {"seen": "Z"}


async def test_changed_inputs_run_again_from_the_first_call_that_they_change(engine: WorkflowEngine) -> None:
    await engine.run(chain, "parent")
    fork = await engine.fork("parent", changes={"/inputs/second": "c"}, new_id="fork", here=True)
    assert fork.output == ["A", "C", "A!"] and reused(engine, "fork") == ["0"]
    with pytest.raises(CallError, match="annotations"):
        await engine.fork("parent", changes={"/inputs/second": 5})
    with pytest.raises(CallError, match="nothing at"):
        await engine.fork("parent", changes={"/inputs/deep/er": 5})


async def test_where_only_workers_have_the_code_everything_after_a_change_runs_again(engine: WorkflowEngine) -> None:
    await engine.run(chain, "parent")
    async with WorkflowEngine(engine.store) as remote:
        await remote.fork("parent", changes={"/steps/0/output": "Z"}, new_id="one")
        await remote.fork("parent", changes={"/inputs/second": "c"}, new_id="two")
        await remote.fork("parent", from_step="2", new_id="three")
        with pytest.raises(CallError, match="not registered here"):
            await remote.fork("parent", from_step="2", here=True)
        with pytest.raises(CallError, match="only the code can tell"):
            await remote.fork("parent", changes={"/inputs/second": "c", "/steps/0/output": "Z"})
    assert (reused(engine, "one"), reused(engine, "two"), reused(engine, "three")) == (["0"], [], ["0", "1"])
    assert (await engine.resume("one")).output == ["Z", "B", "Z!"]
    assert (await engine.resume("two")).output == ["A", "C", "A!"]


async def test_a_call_that_does_not_come_before_the_fork_cannot_be_given(engine: WorkflowEngine) -> None:
    await engine.run(chain, "parent")
    with pytest.raises(CallError, match="runs again, for it does not come before 1"):
        await engine.fork("parent", from_step="1", changes={"/steps/shout#2/output": "x"})
    with pytest.raises(CallError, match=r"no call 'shout#9'.*it has: shout#0, shout#1, shout#2"):
        await engine.fork("parent", from_step="shout#9")


async def test_a_failed_function_is_retried_at_the_call_that_failed(engine: WorkflowEngine) -> None:
    BROKEN.add("A!")
    assert (await engine.run(chain, "parent")).status == "failed"
    BROKEN.clear()
    CALLS.clear()
    fork = await engine.retry("parent", new_id="fork", here=True)
    assert fork.output == ["A", "B", "A!"] and sum(CALLS.values()) == 1


async def test_a_function_that_failed_by_itself_is_retried_with_mended_code(engine: WorkflowEngine) -> None:
    @workflow("fickle")
    async def fickle() -> str:
        return (await shout("a"))[5]

    @workflow("fickle", version="2")
    async def mended() -> str:
        return (await shout("a"))[0]

    async with WorkflowEngine(engine.store, registry(fickle)) as old:
        assert (await old.run(fickle, "parent")).status == "failed"
    CALLS.clear()
    async with WorkflowEngine(engine.store, registry(mended)) as new:
        fork = await new.retry("parent", new_id="fork", here=True)
    assert fork.output == "A" and not CALLS


async def test_code_that_does_not_fit_what_is_taken_over_is_refused_before_anything_is_written(
    engine: WorkflowEngine,
) -> None:
    @workflow("chain")
    async def other(first: str = "a", second: str = "b") -> list[str]:
        return [await shout("else")]

    await engine.run(chain, "parent")
    async with WorkflowEngine(engine.store, registry(other)) as new:
        with pytest.raises(NondeterminismError, match="event 2 recorded shout at path 0"):
            await new.fork("parent", from_step="2", new_id="fork")
    assert not engine.store.heads([stream_of("default", "fork")])


async def test_patches_that_the_parent_passed_are_passed_by_the_fork(engine: WorkflowEngine) -> None:
    @workflow("changing")
    async def changing() -> list[str]:
        found = [await shout("new" if patched("first") else "old")]
        return [*found, await shout("x"), "late" if patched("second") else "early"]

    async with WorkflowEngine(engine.store, registry(changing)) as own:
        parent = await own.run(changing, "parent")
        fork = await own.fork("parent", from_step="1", new_id="fork", here=True)
        assert parent.output == fork.output == ["NEW", "X", "late"]
        assert verify_run(own.store, "fork").ok and (await own.replay("fork")).served == 1
