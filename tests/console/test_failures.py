"""The pages of failures: counted, drawn, filtered by their address, and explained."""

from __future__ import annotations

import re

import pytest

from refold import SkillRegistry, WorkflowEngine, skill
from refold.projections.failures import FailuresProjection
from refold.projections.projector import Projector
from refold.tests.api.client import Api, problem

HOSTILE = "no <script>alert(1)</script> & \"such\" 'thing'"


@skill
async def refuse(how: str) -> None:
    """Fails."""
    raise TimeoutError(HOSTILE) if how == "late" else ValueError(HOSTILE)


async def _failed(console: Api) -> None:
    """Two runs that fail, one of them by a time-out after a second attempt; counted."""
    skills = SkillRegistry()
    skills.register(refuse)
    async with WorkflowEngine(console.store, skills) as engine:
        for run_id, how, retries in (("late-1", "late", 1), ("wrong-1", "wrong", 0)):
            step = {"step_id": "get", "skill_id": "refuse", "inputs": {"how": how}, "max_retries": retries}
            step["retry"] = {"initial_seconds": 0.001}
            await engine.run({"workflow_type": how, "steps": [step]}, run_id)
    runner = Projector(console.store, [FailuresProjection()]).runner(FailuresProjection())
    assert runner is not None and runner.claim()
    while runner.step():
        pass


def test_without_the_projection_it_is_said_what_builds_it(console: Api) -> None:
    text = console.get("/failures").text
    assert "refold projector" in text and "<svg" not in text


@pytest.mark.asyncio
async def test_what_failed_is_counted_by_what_it_has_in_common(console: Api) -> None:
    await _failed(console)
    model = console.get("/failures", format="json").json()
    assert model["total"] == {"final": 4, "again": 1, "runs": 2, "steps": 2, "parked": 0}
    by_code = {row["value"]: (row["final"], row["again"]) for row in model["groups"]["code"]}
    assert by_code == {"CALL_TIMEOUT": (2, 1), "SKILL_ERROR": (2, 0)}
    assert sum(each["final"] for each in model["times"]) == 4 and len(model["times"]) in (8, 9)
    late = next(row for row in model["rows"] if row["run_id"] == "late-1")
    assert sorted(late["kinds"]) == ["attempt", "run", "step"], "a failure is told once, not by each of its events"


@pytest.mark.asyncio
async def test_the_address_says_what_is_shown(console: Api) -> None:
    await _failed(console)
    model = console.get("/failures", workflow="late", span="24h", format="json").json()
    assert {row["run_id"] for row in model["rows"]} == {"late-1"} and model["unit"] == "hour"
    assert "workflow" not in model["groups"]
    assert "Nothing failed that fits" in console.get("/failures", skill="other").text
    problem(console.client.get("/failures?span=2d", headers={"accept": "*/*"}), 422, "INPUT_INVALID")


@pytest.mark.asyncio
async def test_pictures_say_in_words_what_they_show_and_a_table_says_it_again(console: Api) -> None:
    await _failed(console)
    text = console.get("/failures").text
    assert '<svg class="over-time"' in text and "<title>Failures by day</title><desc>4 for good, 1 tried again" in text
    assert "As a table" in text and 'href="/runs/late-1"' in text
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert not re.search(r"\sstyle=", text)


@pytest.mark.asyncio
async def test_a_code_is_explained_with_what_to_do(console: Api) -> None:
    await _failed(console)
    text = console.get("/failures/CALL_TIMEOUT").text
    assert "What to do" in text and "late-1" in text and "wrong-1" not in text
    assert console.get("/failures/BUDGET_EXCEEDED").status_code == 200, "codes are explained that did not occur"
    assert console.get("/failures/NO_SUCH_CODE").status_code == 404
    assert console.get("/failures/%00").status_code == 404
