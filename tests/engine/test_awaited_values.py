"""What a workflow function gets when it awaits a ready skill: what the step recorded."""

from __future__ import annotations

from typing import Any

import pytest

from refold import SkillRegistry, WorkflowEngine, call, run_workflow, wait_signal, workflow
from refold.tests.support.workflows import soon, spec, step


@workflow
async def signalled() -> Any:
    """Returns what the signal brought."""
    return await wait_signal("go")


@workflow
async def slept() -> Any:
    """Sleeps by the name of the skill."""
    return await call("sleep", seconds=0)


@workflow
async def delegated() -> Any:
    """Returns what a child by name, and one that is a spec, output."""
    child = spec(step("a", "echo", seconds="what a Wait has too"))
    return [await run_workflow("slept"), await run_workflow(child)]


def engine() -> WorkflowEngine:
    """An engine with the workflows of this module."""
    skills = SkillRegistry()
    for each in (signalled, slept, delegated):
        skills.add_workflow(each)
    return WorkflowEngine("memory:", skills)


@pytest.mark.parametrize("payload", [None, "text", 7, [1], {"seconds": "what a Wait has too"}, {"by": "Ada"}])
async def test_a_signal_is_its_payload(payload: Any) -> None:
    async with engine() as runs:
        await runs.start("signalled", "r")
        await runs.signal("r", "go", payload)
        assert (await soon(runs.run("signalled", "r"))).output == payload


async def test_a_ready_skill_called_by_name_is_its_output() -> None:
    async with engine() as runs:
        assert (await soon(runs.run("slept"))).output == {"slept_seconds": 0}


async def test_a_child_is_its_output_whatever_it_was_named_by() -> None:
    async with engine() as runs:
        result = await soon(runs.run("delegated"))
    assert result.output == [{"slept_seconds": 0}, {"a": {"seconds": "what a Wait has too"}}]
