"""`refold state`: a run as it stood at some point of its past."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from refold import SkillRegistry, WorkflowEngine
from refold.tests.cli.driver import Refold
from refold.tests.support.workflows import topics_of, until

CODE = """
from refold import gather, patched, set_attribute, skill, wait_signal, workflow

@skill(deterministic=True)
async def told(text: str) -> str:
    return text

@workflow
async def asking() -> list:
    first = await told("one")
    set_attribute("stage", first)
    patched("newer")
    return await gather(wait_signal("go", timeout="1h"), told("two"))
"""

WAITING: dict[str, Any] = {
    "workflow_type": "waiting",
    "timeout_seconds": 86400,
    "inputs": {"x": 1},
    "steps": [
        {"step_id": "a", "skill_id": "echo", "inputs": {"v": "${inputs.x}"}},
        {"step_id": "b", "skill_id": "wait_signal", "inputs": {"name": "go", "timeout_seconds": 3600}},
        {"step_id": "c", "skill_id": "echo", "inputs": {"v": ["${a}", "${b}"]}},
    ],
}


async def left_waiting(what: Any, modules: list[str]) -> None:
    """Begin the run `r` and leave it as it waits, with a signal that nobody waits for."""
    skills = SkillRegistry()
    for module in modules:
        skills.load_module(module)
    async with WorkflowEngine("sqlite:///refold.db", skills) as engine:
        run = asyncio.create_task(engine.run(what, "r"))
        await until(lambda: "step.waiting" in topics_of(engine.store, "r"))
        await engine.signal("r", "other", {"n": 1})
        await until(lambda: "signal.received" in topics_of(engine.store, "r"))
    await asyncio.wait([run])
    assert run.exception() is not None


@pytest.fixture
def waiting(folder: Path) -> None:
    """The spec's run `r`, which waits for the signal `go`."""
    asyncio.run(left_waiting(WAITING, []))


def state(refold: Refold, *words: str) -> dict[str, Any]:
    done = refold("state", "r", "--json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_the_whole_state_is_told(waiting: None, refold: Refold) -> None:
    now = state(refold)
    assert now["status"] == "waiting" and now["event"] == now["events"]
    assert [(each["step_id"], each["status"]) for each in now["steps"]] == [
        ("a", "completed"),
        ("b", "pending"),
        ("c", "pending"),
    ]
    assert [(wait["step_id"], wait["signal"], wait["fails"]) for wait in now["waits"]] == [
        ("b", "go", "SIGNAL_TIMEOUT")
    ]
    assert [timer["of"] for timer in now["timers"]] == ["b", "run"]
    assert now["signals"] == {"other": [{"n": 1}]} and now["inputs"] == {"x": 1}
    assert now["next"]["runs"] == [] and now["next"]["wake"] == now["timers"][0]["due"]


def test_after_the_first_event_the_first_steps_would_run(waiting: None, refold: Refold) -> None:
    first = state(refold, "--at", "1")
    assert (first["event"], first["status"], first["next"]["runs"]) == (1, "running", ["a", "b"])
    assert first["at"] == first["started_at"] == first["updated_at"]
    told = refold("state", "r", "--at", "1").out
    assert "event 1 of" in told and "runs a, b" in told and "inputs" in told


def test_a_time_is_the_state_after_the_events_until_then(waiting: None, refold: Refold) -> None:
    begun = state(refold, "--at", "1")["started_at"]
    assert state(refold, "--at", begun)["event"] == 1
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    past = state(refold, "--at", later)
    assert past["event"] == past["events"]
    assert [(each["topic"], each["step_id"]) for each in past["next"]["records"]] == [
        ("step.failed", "b"),
        ("run.failed", "b"),
    ], "by then the wait is over"
    assert state(refold, "--at", "-0s")["event"] == past["events"]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("0", "has no event 0"),
        ("99", "has no event 99: it has"),
        ("-1d", "there was no run 'r': it began at"),
        ("2026-01-01T00:00:00", "has no zone"),
        ("yesterday", "no point of a run's past"),
        ("-5x", "no point of a run's past"),
        ("1999-01-01T00:00:00Z", "there was no run 'r'"),
    ],
)
def test_a_point_that_is_not_of_the_runs_past_is_refused(at: str, said: str, waiting: None, refold: Refold) -> None:
    done = refold("state", "r", "--at", at)
    assert done.code == 2 and said in done.err


def test_a_run_that_is_not_there_has_no_state(refold: Refold) -> None:
    assert refold("state", "r").code == 2


def test_of_a_function_its_code_tells_what_it_asks_for(folder: Path, refold: Refold) -> None:
    (folder / "asking_code.py").write_text(CODE)
    asyncio.run(left_waiting("asking", ["asking_code.py"]))
    unaided = state(refold)
    assert unaided["next"]["runs"] is None and unaided["attributes"] == {"stage": "one"}
    assert unaided["patches"] == ["newer"] and unaided["waits"][0]["step_id"] == "wait_signal#1.0.0"
    assert state(refold, "--at", "1", "--skills", "asking_code.py")["next"]["runs"] == ["told#0"]
    told = refold("state", "r").out
    assert "only its code tells: --skills MODULE" in told and "newer" in told
    (folder / "asking_other.py").write_text(CODE.replace('told("one")', 'told("other")'))
    wrong = state(refold, "--skills", "asking_other.py")
    assert wrong["next"]["runs"] is None and "recorded told at path 0" in wrong["next"]["fault"]
    assert "the code does not fit" in refold("state", "r", "--skills", "asking_other.py").out


def test_an_ended_run_has_nothing_next(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "r")
    now = state(refold)
    assert now["status"] == "completed" and now["next"] == {"records": [], "runs": [], "wake": None, "fault": None}
    # The last append held the last outcome and the end.
    before = state(refold, "--at", str(now["events"] - 1))
    assert before["status"] == "running" and [each["topic"] for each in before["next"]["records"]] == ["run.completed"]
