"""Workflow functions by the command line: what is said of runs that somebody must go on with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from refold import SkillRegistry, WorkflowEngine
from refold.tests.cli.driver import Refold
from refold.tests.support.workflows import topics_of, until

CODE = """
from asyncio import CancelledError
from refold import patched, set_attribute, skill, wait_signal, workflow

@skill
async def note(text: str) -> str:
    return text

@workflow
async def flow() -> str:
    await note("{first}")
    set_attribute("stage", "{first}")
    patched("patch-1")
    try:
        return await wait_signal("go")
    except CancelledError:
        await note("cleaned up")
        raise
"""


@pytest.fixture
def waiting(folder: Path) -> str:
    """The file of a workflow whose run `r` was left while it waited."""
    # Its own name: modules are loaded once in a process.
    (folder / "old.py").write_text(CODE.replace("{first}", "one"))
    (folder / "new.py").write_text(CODE.replace("{first}", "two"))
    asyncio.run(left_waiting("old.py"))
    return "old.py"


async def left_waiting(file: str) -> None:
    """Begin the run and leave it, as Ctrl-C does."""
    skills = SkillRegistry()
    skills.load_module(file)
    async with WorkflowEngine("sqlite:///refold.db", skills) as engine:
        run = asyncio.create_task(engine.run("flow", "r"))
        await until(lambda: "step.waiting" in topics_of(engine.store, "r"))
    await asyncio.wait([run])
    assert run.exception() is not None


def test_a_cancelled_function_that_nobody_works_on_is_resumed_to_clean_up(waiting: str, refold: Refold) -> None:
    told = refold("cancel", "r", "--reason", "no").out
    assert "nobody works on it" in told and "refold resume r" in told
    ended = refold("resume", "r", "--skills", waiting)
    assert ended.code == 1 and ended.out.startswith("cancelled")
    assert refold("verify", "r").code == 0


def test_a_parked_run_is_shown_with_what_to_do(waiting: str, refold: Refold) -> None:
    parked = refold("resume", "r", "--skills", "new.py")
    assert parked.code == 1 and parked.out.startswith("parked")
    assert "at /text recorded 'one', now 'two'" in parked.out and "next       refold resume r" in parked.out
    shown = refold("show", "r").out
    assert "go on with: refold resume r" in shown and "a worker takes it up" not in shown


def test_the_log_of_a_function_can_be_read(waiting: str, refold: Refold) -> None:
    refold("signal", "r", "go", "--payload", '{"by": "Ada"}')
    refold("resume", "r", "--skills", waiting)
    lines = {line.split()[2]: line for line in refold("events", "r").out.splitlines()}
    assert 'go  body {"by":"Ada"}' in lines["signal.received"]
    assert "patch-1" in lines["patch.applied"] and '{"stage":"one"}' in lines["attributes.set"]


def test_a_version_that_nobody_named_is_not_shown(folder: Path, refold: Refold) -> None:
    refold("start", "flow", "--run-id", "unnamed")
    assert refold("show", "unnamed").out.splitlines()[0].strip() == "queued   flow"
