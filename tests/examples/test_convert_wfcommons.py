"""WfCommons workflows of every version become specs; what cannot be one is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold import SkillRegistry, WorkflowEngine, WorkflowSpec
from refold.examples.convert.wfcommons import ConversionError, convert, main
from refold.tests.support.root_package import ROOT

DIAMOND = {
    "name": "diamond",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"id": "top", "name": "split", "parents": [], "children": ["left", "right"], "outputFiles": ["a", "b"]},
                {"id": "left", "name": "work", "parents": ["top"], "children": ["join"], "inputFiles": ["a"]},
                {"id": "right", "name": "work", "parents": ["top"], "children": ["join"], "inputFiles": ["b"]},
                {"id": "join", "name": "join", "parents": ["left", "right"], "children": []},
            ]
        },
        "execution": {
            "makespanInSeconds": 9,
            "tasks": [{"id": "left", "runtimeInSeconds": 2.5, "command": {"program": "sort"}}],
        },
    },
}


def needs(spec: WorkflowSpec) -> dict[str, set[str]]:
    """What each step waits for."""
    return {step.step_id: set(step.depends_on) for step in spec.steps}


def old(*tasks: Any, key: str = "tasks") -> dict[str, Any]:
    """A document of a version before 1.5."""
    return {"name": "old", "schemaVersion": "1.3", "workflow": {key: list(tasks)}}


def test_a_task_becomes_a_step_that_waits_for_its_parents() -> None:
    spec = convert(DIAMOND)
    assert needs(spec) == {"top": set(), "left": {"top"}, "right": {"top"}, "join": {"left", "right"}}
    assert spec.workflow_type == "diamond" and spec.metadata["makespan_seconds"] == 9


def test_runtime_and_program_come_from_the_execution_part() -> None:
    left = convert(DIAMOND).steps[1]
    assert (left.inputs["runtime_seconds"], left.inputs["program"]) == (2.5, "sort")


@pytest.mark.parametrize("key", ["tasks", "jobs"])
def test_versions_before_1_5_name_parents_and_runtime_in_the_task(key: str) -> None:
    spec = convert(old({"name": "a", "runtime": 4}, {"name": "b", "runtime": 1, "parents": ["a"]}, key=key))
    assert needs(spec) == {"a": set(), "b": {"a"}}
    assert spec.steps[0].inputs["runtime_seconds"] == 4


def test_parents_are_found_by_name_where_no_task_has_that_id() -> None:
    spec = convert(old({"id": "ID1", "name": "a"}, {"id": "ID2", "name": "b", "parents": ["a"]}))
    assert needs(spec) == {"ID1": set(), "ID2": {"ID1"}}


def test_children_alone_are_enough() -> None:
    spec = convert(old({"name": "a", "children": ["b", "c"]}, {"name": "b"}, {"name": "c"}))
    assert needs(spec) == {"a": set(), "b": {"a"}, "c": {"a"}}


def test_without_parents_a_task_waits_for_those_who_make_its_files() -> None:
    made = [{"link": "output", "name": "x"}]
    read = [{"link": "input", "name": "x"}, {"link": "input", "name": "given"}]
    assert needs(convert(old({"name": "b", "files": read}, {"name": "a", "files": made}))) == {"b": {"a"}, "a": set()}


def test_a_file_that_is_changed_in_place_makes_no_circle() -> None:
    tasks = [{"id": name, "inputFiles": ["x"], "outputFiles": ["x"]} for name in ("a", "b", "c")]
    spec = convert({"workflow": {"specification": {"tasks": tasks}}})
    assert needs(spec)["c"] == {"a", "b"}


def test_parents_that_are_stated_are_not_guessed_from_files() -> None:
    spec = convert(old({"id": "a", "outputFiles": ["x"]}, {"id": "b", "inputFiles": ["x"], "parents": []}))
    assert needs(spec)["b"] == set()


def test_odd_ids_become_safe_and_stay_apart() -> None:
    names = ["a b", "a_b", "7", "inputs", "secrets", "ü", "", "x" * 500, "${a}", 8, None]
    spec = convert(old(*({"id": name} for name in names)))
    assert len({step.step_id for step in spec.steps}) == len(names)
    assert spec.steps[8].inputs["task"] == "$${a}"


def test_tasks_with_the_same_id_are_kept_apart_and_reported() -> None:
    notes: list[str] = []
    spec = convert(old({"id": "a"}, {"id": "a"}, {"id": "b", "parents": ["a"]}), warn=notes.append)
    assert needs(spec) == {"a": set(), "a_2": set(), "b": {"a", "a_2"}}
    assert "2 tasks have the id 'a'" in notes[0]


def test_a_parent_that_is_not_there_is_left_out_and_reported() -> None:
    notes: list[str] = []
    assert needs(convert(old({"id": "a", "parents": ["ghost", None]}), warn=notes.append)) == {"a": set()}
    assert notes == ["task 'a' names 'ghost' among its parents, but there is no such task: left out"]


def test_a_circle_is_named_step_by_step() -> None:
    with pytest.raises(ConversionError, match="a -> b -> a"):
        convert(old({"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}))


@pytest.mark.parametrize("document", [None, [], {}, {"workflow": None}, {"workflow": {"tasks": []}}, old(None, 3)])
def test_a_document_without_tasks_is_refused(document: Any) -> None:
    with pytest.raises(ConversionError, match="no tasks"):
        convert(document)


def test_thousands_of_tasks_are_converted() -> None:
    tasks = [{"id": f"t{n}", "parents": [f"t{p}" for p in range(max(0, n - 3), n)]} for n in range(5_000)]
    tasks.append({"id": "last", "parents": [f"t{n}" for n in range(5_000)]})
    spec = convert(old(*tasks))
    assert len(spec.steps) == 5_001 and len(spec.steps[-1].depends_on) == 5_000


def test_more_tasks_than_a_spec_may_have_are_refused() -> None:
    with pytest.raises(ConversionError, match="more than 10000 steps"):
        convert(old(*({"id": f"t{n}"} for n in range(10_001))))


NAMES = st.sampled_from(["a", "b", "c", "inputs", "", "${x}", "é"]) | st.none() | st.integers() | st.text(max_size=3)
TASKS = st.fixed_dictionaries(
    {},
    optional={
        "id": NAMES,
        "name": NAMES,
        "parents": st.none() | NAMES | st.lists(NAMES | st.fixed_dictionaries({"id": NAMES}), max_size=2),
        "children": st.none() | st.lists(NAMES, max_size=2),
        "runtimeInSeconds": st.none() | st.floats() | st.text(max_size=3) | st.booleans(),
        "files": st.lists(st.none() | st.fixed_dictionaries({"name": NAMES, "link": NAMES}), max_size=2),
        "inputFiles": NAMES | st.lists(NAMES, max_size=2),
        "command": st.none() | NAMES | st.fixed_dictionaries({"program": NAMES}),
    },
)


@given(st.lists(TASKS | st.none(), max_size=6), NAMES)
def test_whatever_the_tasks_hold_there_is_a_spec_or_a_reason(tasks: list[Any], name: Any) -> None:
    try:
        spec = convert({"name": name, "workflow": {"tasks": tasks}})
    except ConversionError as error:
        assert str(error)
    else:
        assert len(spec.steps) == sum(task is not None for task in tasks)


def test_the_command_writes_a_spec(tmp_path: Path) -> None:
    source, target = tmp_path / "in.json", tmp_path / "spec.json"
    source.write_text(json.dumps(DIAMOND))
    assert main([str(source), "-o", str(target), "--skill", "task"]) == 0
    assert WorkflowSpec.parse(json.loads(target.read_bytes())) == convert(DIAMOND, skill="task")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"workflow": {"tasks": [{"id": "a", "parents": "a"}]}}']
)
def test_the_command_refuses_what_is_no_workflow(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.json"
    source.write_bytes(content)
    assert main([str(source)]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"{source}: ") and not shown.out and "Traceback" not in shown.err


async def test_outputs_flow_through_the_whole_graph_on_every_store(tmp_path: Path, postgres_url: str) -> None:
    skills = SkillRegistry()
    skills.load_module(str(ROOT / "examples/convert/skills.py"))
    spec = convert(DIAMOND, skill="task")
    hashes: set[str | None] = set()
    for url in ("memory:", f"sqlite:///{tmp_path}/refold.db", postgres_url):
        async with WorkflowEngine(url, skills) as engine:
            result = await engine.run(spec, "diamond")
        assert result.success and result.output["join"]["ends_at_seconds"] == 2.5
        hashes.add(result.workflow_hash)
    assert len(hashes) == 1
