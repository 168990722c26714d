"""`refold deploy-check`: open runs against code that is to be deployed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from refold import SkillRegistry, WorkflowEngine
from refold.ops.cli.reading import existing_store
from refold.tests.cli.driver import Refold
from refold.tests.support.workflows import topics_of, until

CODE = """
from refold import patched, skill, wait_signal, workflow

@skill
async def note(text: str) -> str:
    return text

@skill
async def price(item: str, amount: int = 1) -> int:
    return amount

@workflow
async def order(item: str) -> str:
    await note(item)
    await wait_signal("paid")
    return await note("done")
"""
CHANGED = CODE.replace("await note(item)", 'await note(item + "!")')
PATCHED = CODE.replace("await note(item)", 'await note(item + "!" if patched("louder") else item)')
WITHOUT_NOTE = (
    CODE.replace("async def note", "async def other")
    .replace("note(", 'call("note", text=')
    .replace("import patched", "import call, patched")
)
OTHER_PRICE = CODE.replace("amount: int = 1", "quantity: int")

SPEC: dict[str, Any] = {
    "workflow_type": "priced",
    "steps": [
        {"step_id": "wait", "skill_id": "wait_signal", "inputs": {"name": "paid"}},
        {"step_id": "price", "skill_id": "price", "inputs": {"item": "x", "amount": 2}, "depends_on": ["wait"]},
        {"step_id": "later", "skill_id": "price", "inputs": {"item": "${price}", "amount": "${price}"}},
    ],
}

Module = Callable[[str], str]


@pytest.fixture
def module(folder: Path) -> Module:
    """Writes code to a file of its own, for modules are loaded once in a process, and gives its name."""
    count = iter(range(100))

    def write(code: str) -> str:
        name = f"deploy_{next(count)}.py"
        (folder / name).write_text(code)
        return name

    return write


async def left_open(what: Any, run_id: str, file: str, inputs: dict[str, Any] | None = None) -> None:
    """Begin a run and leave it as it waits."""
    skills = SkillRegistry()
    skills.load_module(file)
    async with WorkflowEngine("sqlite:///refold.db", skills) as engine:
        run = asyncio.create_task(engine.run(what, run_id, inputs=inputs))
        await until(lambda: "step.waiting" in topics_of(engine.store, run_id))
    await asyncio.wait([run])
    assert run.exception() is not None


@pytest.fixture
def open_runs(module: Module) -> str:
    """The runs `function` and `spec`, both of which wait; the file of their code."""
    file = module(CODE)
    asyncio.run(left_open("order", "function", file, {"item": "book"}))
    asyncio.run(left_open(SPEC, "spec", file))
    return file


def verdicts(refold: Refold, *words: str, code: int) -> dict[str, dict[str, Any]]:
    done = refold("deploy-check", "--json", *words)
    assert done.code == code, (done.out, done.err)
    *found, last = [json.loads(line) for line in done.out.splitlines()]
    assert last["runs"] == len(found) and last["ok"] is (code == 0)
    return {each["run_id"]: each for each in found}


def versions() -> dict[str, int]:
    with existing_store(None) as store:
        return {stream: head.version for stream, head in store.heads(list(store.streams("default"))).items()}


def test_the_code_that_wrote_the_runs_goes_on_with_them(open_runs: str, refold: Refold) -> None:
    before = versions()
    found = verdicts(refold, "--app", open_runs, code=0)
    assert {name: each["verdict"] for name, each in found.items()} == {"function": "safe", "spec": "safe"}
    assert "safe  2 safe" in refold("deploy-check", "--app", open_runs).out
    assert versions() == before


def test_code_that_asks_for_something_else_needs_a_patch_and_is_told_where(
    open_runs: str, module: Module, refold: Refold
) -> None:
    file = module(CHANGED)
    found = verdicts(refold, "--app", file, code=3)["function"]
    assert (found["verdict"], found["event"], found["step_id"]) == ("patch", 2, "note#0")
    assert found["place"].endswith(f"{file}:14") and found["fix"].startswith('if patched("note-0")')
    told = refold("deploy-check", "--app", file).out
    assert "needs a patch  function of order" in told and 'patched("note-0")' in told
    assert "not safe  1 safe, 1 needs a patch" in told


def test_patched_code_is_safe_again(open_runs: str, module: Module, refold: Refold) -> None:
    assert refold("deploy-check", "--app", module(PATCHED)).code == 0


def test_code_that_is_gone_is_unknown_not_safe(open_runs: str, module: Module, refold: Refold) -> None:
    found = verdicts(refold, code=3)
    assert {each["verdict"] for each in found.values()} == {"unknown"}
    assert found["function"]["reason"] == "not verifiable: no workflow 'order' is here"
    assert found["spec"]["reason"] == "not verifiable: no skill 'price' is here"
    lacking = verdicts(refold, "--app", module(WITHOUT_NOTE), code=3)["function"]
    assert lacking["verdict"] == "unknown" and "note" in lacking["reason"]


def test_parameters_that_no_longer_fit_what_is_to_come_are_named(
    open_runs: str, module: Module, refold: Refold
) -> None:
    found = verdicts(refold, "--app", module(OTHER_PRICE), code=3)["spec"]
    assert (found["verdict"], found["step_id"]) == ("patch", "price")
    assert "input 'quantity' is missing" in found["reason"] and "input 'amount' is unknown" in found["reason"]


def test_a_parked_run_is_said_to_be_parked_and_whether_it_would_go_on(
    open_runs: str, module: Module, refold: Refold
) -> None:
    refold("signal", "function", "paid")
    assert refold("resume", "function", "--app", module(CHANGED)).code == 1
    still = verdicts(refold, "--app", module(CHANGED + "\n"), code=3)["function"]
    assert still["verdict"] == "parked" and "now: event 2 recorded" in still["reason"]
    mended = verdicts(refold, "--app", open_runs, code=3)["function"]
    assert mended["verdict"] == "parked" and "the code here fits it: resume it" in mended["reason"]


def test_one_type_or_tenant_can_be_checked_alone(open_runs: str, module: Module, refold: Refold) -> None:
    file = module(CHANGED)
    assert set(verdicts(refold, "--app", file, "--type", "priced", code=0)) == {"spec"}
    assert verdicts(refold, "--app", file, "--tenant", "other", code=0) == {}


def test_the_verdicts_are_written_for_ci(open_runs: str, module: Module, refold: Refold, folder: Path) -> None:
    assert refold("deploy-check", "--app", module(CHANGED), "--junit", "report.xml").code == 3
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    case = next(case for case in suite if case.get("name") == "function")
    failure = case.find("failure")
    assert case.get("classname") == "order#1" and failure is not None
    assert failure.get("type") == "patch" and 'patched("note-0")' in (failure.text or "")
    assert refold("deploy-check", "--app", open_runs, "--junit", "no/such/report.xml").code == 2


def test_a_database_that_is_not_there_is_not_safe(refold: Refold) -> None:
    assert refold("deploy-check").code == 5


def test_a_store_without_open_runs_is_safe(refold: Refold) -> None:
    refold("run", "hello.json")
    done = refold("deploy-check")
    assert done.code == 0 and "no runs are open" in done.out
