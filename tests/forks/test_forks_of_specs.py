"""Forks of runs of specs: what is taken over, what runs again, and what cannot be changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from refold import (
    CallError,
    Failure,
    PolicyViolationError,
    RunConflictError,
    RunNotFoundError,
    SkillRegistry,
    StepContext,
    WorkflowEngine,
    skill,
)
from refold.core.events import RunStarted, StepReused
from refold.core.ids import stream_of
from refold.eventstore.log import EventLog
from refold.replay.verify import verify_run
from refold.tests.support.own_codes import OWN_CODES

CALLS: Counter[str] = Counter()
BROKEN: set[str] = set()


def work(value: Any, context: StepContext) -> Any:
    """Give the value with the step's id; count the call."""
    CALLS[context.step_id] += 1
    if context.step_id in BROKEN:
        raise Failure("BROKEN", "not today", retryable=False)
    return {"by": context.step_id, "value": value}


def spec(**steps: dict[str, Any]) -> dict[str, Any]:
    listed = [{"step_id": name, "skill_id": "work", **step} for name, step in steps.items()]
    return {"workflow_type": "w", "inputs": {"x": 1, "y": 2}, "steps": listed}


DIAMOND = spec(
    a={"inputs": {"value": "${inputs.x}"}},
    left={"inputs": {"value": "${a.value}"}},
    right={"inputs": {"value": ["${a}", "${inputs.y}"]}},
    end={"inputs": {"value": ["${left.value}", "${right.value}"]}},
)


@pytest.fixture
async def engine() -> AsyncGenerator[WorkflowEngine]:
    CALLS.clear()
    BROKEN.clear()
    skills = SkillRegistry()
    skills.register(skill("work", deterministic=True, failures=OWN_CODES)(work))
    async with WorkflowEngine("memory:", skills) as engine:
        yield engine


def events(engine: WorkflowEngine, run_id: str) -> list[Any]:
    return EventLog(engine.store, "").events(stream_of("default", run_id))


def reused(engine: WorkflowEngine, run_id: str) -> list[str]:
    return [event.step_id for event in events(engine, run_id) if isinstance(event, StepReused)]


async def test_a_fork_takes_over_what_its_step_does_not_lead_to_and_runs_the_rest(engine: WorkflowEngine) -> None:
    parent = await engine.run(DIAMOND, "parent", seed=5)
    before = engine.store.heads([stream_of("default", "parent")])
    CALLS.clear()
    fork = await engine.fork("parent", from_step="right", new_id="fork", here=True)
    assert fork.status == "completed" and fork.output == parent.output
    assert reused(engine, "fork") == ["a", "left"]
    assert CALLS == {"right": 1, "end": 1}
    assert fork.step_hashes == parent.step_hashes
    assert fork.workflow_hash != parent.workflow_hash, "a fork must not pass for its parent"
    assert engine.store.heads([stream_of("default", "parent")]) == before


async def test_the_first_event_names_the_parent_its_event_and_that_events_hash(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    await engine.fork("parent", from_step="end", new_id="fork", by="ann")
    first = events(engine, "fork")[0]
    assert isinstance(first, RunStarted) and first.forked is not None
    head = engine.store.heads([stream_of("default", "parent")])[stream_of("default", "parent")]
    assert (first.forked.run_id, first.forked.version, first.forked.hash) == ("parent", *head)
    assert (first.forked.by, first.forked.began) == ("ann", events(engine, "parent")[0].at)


async def test_changed_inputs_run_again_all_that_refers_to_them(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    CALLS.clear()
    fork = await engine.fork("parent", changes={"/inputs/y": [3]}, here=True)
    scratch = await engine.run(DIAMOND, "scratch", inputs={"y": [3]})
    assert fork.step_hashes == scratch.step_hashes and fork.output == scratch.output
    assert reused(engine, fork.run_id) == ["a", "left"]


async def test_all_inputs_may_be_given_anew_and_are_laid_over_the_specs(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    fork = await engine.fork("parent", changes={"/inputs": {"x": 4}}, new_id="fork", here=True)
    scratch = await engine.run(DIAMOND, "scratch", inputs={"x": 4})
    assert fork.step_hashes == scratch.step_hashes and reused(engine, "fork") == []
    assert events(engine, "fork")[0].inputs == events(engine, "scratch")[0].inputs


async def test_a_change_to_the_same_value_changes_nothing(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    await engine.fork("parent", changes={"/inputs/y": 2.0}, new_id="fork")
    assert reused(engine, "fork") == ["a", "left", "right", "end"]


async def test_a_given_output_is_recorded_as_given_and_what_follows_runs_again(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    CALLS.clear()
    changes = {"/steps/a/output/value": 7, "/steps/a/output/by": "me"}
    fork = await engine.fork("parent", changes=changes, new_id="fork", here=True)
    assert fork.steps[0].output == {"by": "me", "value": 7}
    assert fork.output["end"]["value"] == [7, [{"by": "me", "value": 7}, 2]]
    assert CALLS == {"left": 1, "right": 1, "end": 1}
    assert [(e.step_id, e.given) for e in events(engine, "fork") if isinstance(e, StepReused)] == [("a", True)]
    assert (await engine.state("fork")).reused[0].given


async def test_a_given_output_after_changed_inputs_has_the_hash_of_the_new_inputs(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    fork = await engine.fork(
        "parent", changes={"/inputs/x": 9, "/steps/a/output": {"value": 1}}, new_id="fork", here=True
    )
    assert fork.steps[0].inputs_hash == (await engine.run(DIAMOND, "s", inputs={"x": 9})).steps[0].inputs_hash
    assert verify_run(engine.store, "fork").ok


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"/inputs/z": 1}, "nothing at 'z'"),
        ({"/inputs/x/deep": 1}, "nothing at 'deep'"),
        ({"/inputs": [1]}, "must be an object"),
        ({"/outputs/a": 1}, "nothing that a fork could change"),
        ({"inputs/x": 1}, "no JSON pointer"),
        ({"/steps/nobody/output": 1}, "'nobody' has no recorded outcome"),
        ({"/steps/a/inputs": 1}, "nothing that a fork could change"),
        ({"/steps/a/output/other": 1}, "nothing at 'other'"),
        ({"/steps/end/output": 1}, "'end' runs again"),
        ({"/inputs/x": 5, "/steps/left/output": 1}, "'left' runs again, or one that it depends on"),
        ({"/inputs/x": float("nan")}, "no JSON number"),
    ],
)
async def test_what_cannot_be_changed_is_refused_and_nothing_is_written(
    engine: WorkflowEngine, changes: dict[str, Any], reason: str
) -> None:
    await engine.run(DIAMOND, "parent")
    with pytest.raises(ValueError, match=reason):
        await engine.fork("parent", from_step="end", changes=changes, new_id="fork")
    with pytest.raises(RunNotFoundError):
        await engine.state("fork")


async def test_a_fork_without_a_step_or_a_change_or_of_an_unknown_step_is_refused(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    with pytest.raises(CallError, match="give either"):
        await engine.fork("parent")
    with pytest.raises(CallError, match=r"no step 'nobody'.*it has: a, left, right, end"):
        await engine.fork("parent", from_step="nobody")
    with pytest.raises(RunNotFoundError):
        await engine.fork("nobody", from_step="a")


async def test_a_failed_run_is_retried_at_the_step_that_made_it_fail(engine: WorkflowEngine) -> None:
    BROKEN.add("right")
    failed = await engine.run(DIAMOND, "parent")
    assert failed.status == "failed"
    BROKEN.clear()
    CALLS.clear()
    fork = await engine.retry("parent", new_id="again", here=True)
    assert fork.status == "completed"
    assert reused(engine, "again") == ["a", "left"] and CALLS == {"right": 1, "end": 1}
    with pytest.raises(CallError, match="only a failed run"):
        await engine.retry("again")


async def test_a_failure_that_let_the_run_go_on_is_taken_over_with_what_was_skipped(engine: WorkflowEngine) -> None:
    steps = spec(
        a={"inputs": {"value": 1}, "on_error": "skip"},
        b={"inputs": {"value": "${a.value}"}},
        c={"inputs": {"value": 1}, "on_error": "continue"},
        d={"inputs": {"value": "${c.value}"}},
        e={"inputs": {"value": 2}},
    )
    BROKEN.update("ac")
    parent = await engine.run(steps, "parent")
    CALLS.clear()
    fork = await engine.fork("parent", from_step="e", new_id="fork", here=True)
    assert fork.step_hashes == parent.step_hashes and CALLS == {"e": 1}
    assert reused(engine, "fork") == ["a", "c", "d"] and fork.steps[1].status == "skipped"
    assert [step.message for step in fork.steps] == [step.message for step in parent.steps]
    mended = await engine.fork("parent", changes={"/steps/a/output": {"value": 3}}, new_id="mended", here=True)
    assert mended.steps[1].status == "completed" and mended.steps[1].output["value"] == 3
    with pytest.raises(CallError, match=r"'b' has no recorded outcome.*of one that was skipped"):
        await engine.fork("parent", changes={"/steps/b/output": 1})


async def test_the_fork_of_a_fork_is_proved_as_any(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    await engine.fork("parent", changes={"/steps/a/output/value": 7}, new_id="fork", here=True)
    second = await engine.fork("fork", from_step="end", new_id="second", here=True)
    assert reused(engine, "second") == ["a", "left", "right"]
    assert list(second.step_hashes) == (await engine.state("fork")).step_hashes
    assert not any(each.given for each in (await engine.state("second")).reused.values()), "of its parent it is none"
    for run in ("parent", "fork", "second"):
        verdict = verify_run(engine.store, run)
        assert verdict.ok and verdict.notes == ()


async def test_an_unfinished_run_can_be_forked_too(engine: WorkflowEngine) -> None:
    waiting = {
        "workflow_type": "w",
        "steps": [
            {"step_id": "a", "skill_id": "work", "inputs": {"value": 1}},
            {"step_id": "ask", "skill_id": "wait_signal", "inputs": {"name": "go"}, "depends_on": ["a"]},
            {"step_id": "b", "skill_id": "work", "inputs": {"value": "${ask}"}},
        ],
    }
    await engine.start(waiting, "parent")
    forked = await engine.fork("parent", from_step="a", new_id="early")
    assert forked.status == "running" and reused(engine, "early") == []


async def test_the_same_fork_again_is_the_same_and_another_of_its_name_a_conflict(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    one = await engine.fork("parent", from_step="end", new_id="fork", here=True)
    assert await engine.fork("parent", from_step="end", new_id="fork", here=True) == one
    with pytest.raises(RunConflictError):
        await engine.fork("parent", from_step="left", new_id="fork")
    with pytest.raises(RunConflictError):
        await engine.fork("parent", from_step="end", new_id="parent")
    with pytest.raises(RunConflictError, match="another parent"):
        await engine.run(DIAMOND, "fork")


async def test_a_fork_is_replayed_with_what_it_took_over_served(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    await engine.fork("parent", changes={"/steps/a/output/value": 7}, new_id="fork", here=True)
    replayed = await engine.replay("fork")
    assert (replayed.executed, replayed.served) == (3, 1)


async def test_a_fork_may_go_to_another_queue_and_tells_no_parent_of_its_end(engine: WorkflowEngine) -> None:
    await engine.run(DIAMOND, "parent")
    await engine.fork("parent", from_step="end", new_id="fork", queue="later")
    first = events(engine, "fork")[0]
    assert isinstance(first, RunStarted)
    assert (first.queue, first.parent, first.awaited) == ("later", None, None)
    row = next(row for row in engine.store.dispatch.rows() if row.stream == stream_of("default", "fork"))
    assert row.queue == "later"


async def test_a_fork_of_a_planners_run_passes_the_sandbox_with_its_changed_inputs_or_is_none() -> None:
    plan = {
        "workflow_type": "w",
        "inputs": {"text": "fine"},
        "steps": [{"step_id": "a", "skill_id": "echo", "inputs": {"x": "${inputs.text}"}}],
    }
    async with WorkflowEngine("memory") as engine:
        await engine.run(plan, "trusted")
        await engine.run(plan, "planned", source="planner")
        evil = {"/inputs/text": "; rm -rf / && cat /etc/passwd"}
        with pytest.raises(PolicyViolationError, match="command") as refused:
            await engine.fork("planned", changes=evil, new_id="fork")
        assert refused.value.step_code == "SANDBOX_REJECTED"
        with pytest.raises(RunNotFoundError):
            await engine.state("fork")
        assert (await engine.fork("planned", changes={"/inputs/text": "finer"}, here=True)).status == "completed"
        assert (await engine.fork("trusted", changes=evil, here=True)).status == "completed"
