"""Plans of agents become specs: references, chains of calls, and any argument that JSON can hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold import SkillRegistry, WorkflowEngine, WorkflowSpec
from refold.examples.convert.agent_plans import ConversionError, convert, main


def plan(arguments: Any, *labels: Any) -> dict[str, Any]:
    """A plan with a call for each label, and one without that has the arguments."""
    calls: list[dict[str, Any]] = [{"name": "find", "arguments": {}, "label": label} for label in labels]
    return {"id": "p", "calls": [*calls, {"name": "use", "arguments": arguments}]}


def argument(text: Any, *labels: Any) -> Any:
    """What becomes of one argument in a plan with these labels."""
    return convert(plan({"x": text}, *(labels or ("var1",)))).steps[-1].inputs["x"]


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("$var1$", "${var1}"),
        ("$var1.title$", "${var1.title}"),
        ("$var1.a.b_c[0].d$", "${var1.a.b_c[0].d}"),
        ("$var1.rows.0.name$", "${var1.rows[0].name}"),
        ("$var1[2]$", "${var1[2]}"),
        ("$var1.first name$", '${var1["first name"]}'),
        ("$var1['it.is']$", '${var1["it.is"]}'),
        ('$var1.a["b\\c"]$', '${var1.a["b\\\\c"]}'),
        ("$var1.größe$", '${var1["gr\\u00f6\\u00dfe"]}'),
        ("see $var1.title$ by $var1.author$!", "see ${var1.title} by ${var1.author}!"),
        ("$var1.price$ costs $5 or $6", "${var1.price} costs $5 or $6"),
        ("costs $100$, not ${var1}", "costs $100$, not $${var1}"),
        (["$var1$", {"deep": "$var1.x$"}], ["${var1}", {"deep": "${var1.x}"}]),
        ("$", "$"),
        ("$$", "$$"),
    ],
)
def test_a_reference_is_rewritten(given_text: Any, expected: Any) -> None:
    assert argument(given_text) == expected


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "text", "", [], {}, [None, [1]], {"a": {"b": [1, "2"]}}])
def test_any_json_value_stays_what_it_is(value: Any) -> None:
    assert argument(value) == value


def test_numbers_that_json_cannot_carry_become_texts_and_are_reported() -> None:
    notes: list[str] = []
    spec = convert(plan({"big": 2**60, "nan": float("nan")}), warn=notes.append)
    assert spec.steps[0].inputs == {"big": str(2**60), "nan": "nan"} and len(notes) == 2


def test_labels_may_be_odd_or_written_as_references() -> None:
    assert argument("$my var.x$", "my var") == "${my_var.x}"
    assert argument("$var_1.x$", "$var_1") == "${var_1.x}"
    assert argument("$1$", 1) == "${call_1}"


def test_a_call_without_a_label_is_called_by_its_name() -> None:
    spec = convert({"calls": [{"name": "a.b"}, {"name": "a.b"}, {"name": "inputs"}]})
    assert [step.step_id for step in spec.steps] == ["a_b", "a_b_2", "inputs_2"]
    assert [step.skill_id for step in spec.steps] == ["a.b", "a.b", "inputs"]


def test_calls_that_share_nothing_do_not_wait_for_each_other() -> None:
    assert [step.depends_on for step in convert(plan({}, "a", "b")).steps] == [(), (), ()]


def test_an_unknown_label_is_reported_with_those_that_exist() -> None:
    with pytest.raises(ConversionError, match=r"call 2 refers to \$var9\.x\$, but the labels are: var1"):
        argument("$var9.x$")


@pytest.mark.parametrize("text", ["$var1[-1]$", "$var1[*].x$", "$var1[1:2]$", "$var1[]$"])
def test_a_selection_that_specs_do_not_have_is_reported(text: str) -> None:
    with pytest.raises(ConversionError, match="selects no single item"):
        argument(text)


def test_a_label_given_twice_means_the_nearest_call_before() -> None:
    calls = [
        {"name": "a", "label": "v"},
        {"name": "b", "label": "v", "arguments": {"x": "$v$"}},
        {"name": "c", "arguments": {"x": "$v$"}},
    ]
    notes: list[str] = []
    spec = convert({"calls": calls}, warn=notes.append)
    assert [step.inputs for step in spec.steps] == [{}, {"x": "${v}"}, {"x": "${v_2}"}]
    assert notes == ["label 'v' is given 2 times: a reference means the nearest call before it"]


def test_a_call_that_refers_to_itself_is_refused() -> None:
    with pytest.raises(ConversionError, match="depends on itself"):
        convert({"calls": [{"name": "a", "label": "v", "arguments": {"x": "$v$"}}]})


def test_turns_become_a_chain() -> None:
    turns = [[{"name": "cd", "arguments": {"folder": "${x}"}}], [], [{"name": "cd"}, {"name": "ls", "arguments": None}]]
    spec = convert({"id": "multi_turn_1", "turns": turns})
    assert [(step.step_id, step.depends_on) for step in spec.steps] == [
        ("cd", ()),
        ("cd_2", ("cd",)),
        ("ls", ("cd_2",)),
    ]
    assert spec.steps[0].inputs == {"folder": "$${x}"}


def test_calls_written_as_python_are_read() -> None:
    spec = convert({"id": "b", "ground_truth": [["mv(source='a', to=['b', 1])", "sort('x')"]]})
    assert [step.inputs for step in spec.steps] == [{"source": "a", "to": ["b", 1]}, {"arg0": "x"}]


def test_calls_and_arguments_may_be_json_in_a_text() -> None:
    spec = convert({"sample_id": "s", "output": '[{"name": "f", "arguments": "{\\"a\\": 1}"}]'})
    assert spec.steps[0].inputs == {"a": 1}


@pytest.mark.parametrize(
    "given_plan", [None, [], {}, {"calls": None}, {"calls": []}, {"calls": [3]}, {"turns": [[{}]]}, {"output": "no"}]
)
def test_what_is_no_plan_is_refused(given_plan: Any) -> None:
    with pytest.raises(ConversionError):
        convert(given_plan)


def test_a_name_that_no_spec_can_hold_is_refused() -> None:
    with pytest.raises(ConversionError, match="names in a spec cannot"):
        convert(plan({"${x}": 1}))


TEXTS = st.text("$v1.{}[]\"' a\\ü\ud800", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(st.tuples(TEXTS | st.none(), VALUES), min_size=1, max_size=3), st.booleans())
def test_whatever_the_arguments_there_is_a_spec_or_a_reason(calls: list[tuple[Any, Any]], in_turns: bool) -> None:
    made = [{"name": "f", "label": label, "arguments": {"x": value}} for label, value in calls]
    try:
        spec = convert({"id": "p", "turns": [made]} if in_turns else {"id": "p", "calls": made})
    except ConversionError as error:
        assert str(error)
    else:
        assert len(spec.steps) == len(calls)


async def test_a_text_with_dollars_reaches_the_skill_as_it_was() -> None:
    text = "pay ${amount} or $${x} or $$$"
    spec = convert({"turns": [[{"name": "echo", "arguments": {"x": text}}]]})
    async with WorkflowEngine("memory:", SkillRegistry()) as engine:
        result = await engine.run(spec, "r")
    assert result.output == {"echo": {"x": text}}


def test_the_command_writes_one_spec_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "plans.jsonl", tmp_path / "specs.jsonl"
    source.write_text("\n".join(json.dumps({**plan({"a": n}), "id": f"p{n}"}) for n in range(3)) + "\n\n")
    assert main([str(source), "-o", str(target)]) == 0
    specs = [WorkflowSpec.parse(json.loads(line)) for line in target.read_text().splitlines()]
    assert [spec.workflow_type for spec in specs] == ["p0", "p1", "p2"]
    assert main([str(source), "--only", "p1"]) == 0
    assert WorkflowSpec.parse(json.loads(capsys.readouterr().out)).steps[0].inputs == {"a": 1}


def test_one_bad_plan_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "plans.jsonl", tmp_path / "specs.jsonl"
    source.write_text(
        f"{json.dumps(plan({}))}\n{{broken\n{json.dumps(plan({'x': '$ghost$'}))}\n{json.dumps(plan({}))}\n"
    )
    assert main([str(source), "-o", str(target)]) == 2
    assert len(target.read_text().splitlines()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{source}:2: no JSON") and second.startswith(f"{source}:3: p call 1 refers to $ghost$")


@pytest.mark.parametrize("arguments", [["missing.jsonl"], ["plans.jsonl", "--only", "nobody"], ["empty.jsonl"]])
def test_the_command_says_what_is_missing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plans.jsonl").write_text(json.dumps(plan({})))
    Path("empty.jsonl").write_text("\n")
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"{arguments[0]}: ")
