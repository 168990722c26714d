"""The reference language: what is a reference, what it resolves to, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core import references
from refold.core.canonical import canonical_json
from refold.core.errors import Problem
from refold.core.references import (
    FAILED,
    Reference,
    Template,
    TextTooLongError,
    UnresolvedReferenceError,
    compile_template,
    compile_text,
)


class Run:
    """A scope of fixed inputs and outputs."""

    def __init__(self, inputs: Mapping[str, Any] | None = None, **outputs: Any):
        self.inputs: Mapping[str, Any] = inputs or {}
        self.outputs = outputs

    def output(self, step_id: str) -> Any:
        return self.outputs[step_id]


def compiled(value: Any) -> Template:
    problems: list[Problem] = []
    template = compile_template(value, "/at", problems)
    assert problems == []
    return template


def resolved(value: Any, inputs: Mapping[str, Any] | None = None, **outputs: Any) -> Any:
    return compiled(value).resolve(Run(inputs, **outputs))


def problems_of(value: Any) -> list[str]:
    problems: list[Problem] = []
    compile_template(value, "/at", problems)
    return [str(problem) for problem in problems]


def failure_of(text: str, inputs: Mapping[str, Any] | None = None, **outputs: Any) -> str:
    with pytest.raises(UnresolvedReferenceError) as caught:
        resolved(text, inputs, **outputs)
    assert caught.value.pointer == "/at"
    return caught.value.reason


@pytest.mark.parametrize("value", [1, 1.5, True, None, "x", [1], {"k": [None]}])
def test_a_whole_reference_keeps_the_type(value: Any) -> None:
    assert resolved("${a}", a=value) is value
    assert resolved(["${a.x}"], a={"x": value})[0] is value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${a.rows[1].name}", "two"),
        ('${a["odd key"]}', "odd"),
        ('${a["q\\"]}\\u0041"]}', "quoted"),
        ('${a[""]["${a}"]}', "empty"),
        ("${a-b_9.x-y_1}", "dashes"),
        ("${inputs.x.y[2]}", 3),
        ("${inputs}", {"x": {"y": [1, 2, 3]}}),
    ],
)
def test_paths_go_through_fields_indexes_and_quoted_keys(text: str, expected: Any) -> None:
    a = {"rows": [{"name": "one"}, {"name": "two"}], "odd key": "odd", 'q"]}A': "quoted", "": {"${a}": "empty"}}
    run = Run({"x": {"y": [1, 2, 3]}}, **{"a": a, "a-b_9": {"x-y_1": "dashes"}})
    assert compiled(text).resolve(run) == expected


def test_inside_a_longer_string_strings_go_in_as_they_are_and_the_rest_as_canonical_json() -> None:
    assert resolved("${a}-${b}-${c}-${d}", a='é"', b=1.0, c={"z": 1, "a": [None]}, d=None) == (
        'é"-1-{"a":[null],"z":1}-null'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$${a}", "${a}"),
        ("cost $5 {x} $", "cost $5 {x} $"),
        ("$$${a}", "$${a}"),
        ("$${", "${"),
        ("a $${b} ${a}", "a ${b} A"),
        ("$${a}${a}", "${a}A"),
        ("", ""),
        ("$", "$"),
        ("{{a}} }", "{{a}} }"),
    ],
)
def test_two_dollars_and_a_brace_are_a_literal(text: str, expected: str) -> None:
    assert resolved({"k": [text]}, a="A") == {"k": [expected]}


def test_what_is_brought_in_is_not_read_again() -> None:
    assert resolved("${a} ${b}", a="${b}", b="$${a}") == "${b} $${a}"


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${a",
        "${ a}",
        "${a }",
        "${1a}",
        "${a.}",
        "${a..b}",
        "${a.0}",
        "${a[-1]}",
        "${a[01]}",
        "${a[1:2]}",
        "${a[1234567890]}",
        "${a[b]}",
        "${a['b']}",
        '${a["b]}',
        '${a["\\x"]}',
        "${a b}",
        "${a.b\n}",
        "${é}",
        "${a|b}",
        "${a٣}",
        "${a[٣]}",
    ],
)
def test_what_starts_no_valid_reference_is_refused(text: str) -> None:
    (problem,) = problems_of({"k": ["x", "see " + text]})
    assert problem.startswith("at /at/k/1: '${")
    assert problem.endswith(" is no valid reference. Fix: write $${ for a literal ${")


def test_the_message_shows_where_it_went_wrong_and_no_more() -> None:
    assert problems_of("a ${b.c d} e") == ["at /at: '${b.c d}' is no valid reference. Fix: write $${ for a literal ${"]
    assert problems_of("${" + "a." * 1000) == [
        f"at /at: '${{{'a.' * 19}...' is no valid reference. Fix: write $${{ for a literal ${{"
    ]


def test_secrets_are_refused_where_they_would_be_recorded() -> None:
    assert problems_of({"k": "${secrets.TOKEN}"}) == [
        "at /at/k: '${secrets.TOKEN}': secrets are resolved in steps' inputs only. "
        "Fix: refer to it in a step's inputs: what stands here is recorded"
    ]


def test_inputs_have_no_indexes() -> None:
    assert problems_of("${inputs[0]}") == [
        "at /at: '${inputs[0]}': inputs have names, not indexes. Fix: write ${inputs.x}"
    ]


def test_references_in_keys_are_refused() -> None:
    assert problems_of({"a/${b}~": 1}) == [
        "at /at/a~1${b}~0: references in keys are not resolved. Fix: put the reference in a value"
    ]


def test_too_deep_a_template_is_refused() -> None:
    deep: Any = "${a}"
    for _ in range(200):
        deep = [deep]
    (problem,) = problems_of(deep)
    assert problem.endswith("nested more than 128 levels deep. Fix: make it flatter")


def test_too_many_references_are_refused() -> None:
    assert problems_of("${a}" * 20_001) == [
        "at /at: more than 20000 references. Fix: gather the values in a step of their own"
    ]
    assert problems_of(["${a}"] * 20_000) == []


def test_problems_are_collected_up_to_a_bound() -> None:
    assert len(problems_of(["${"] * 3)) == 3
    assert len(problems_of(["${"] * 100)) == references.MAX_PROBLEMS


def test_references_are_listed_with_their_pointers_in_document_order() -> None:
    template = compiled({"z": "${b.x[0]}", "a/b": ["", {"k": "${inputs.n} and ${b}"}]})
    assert template.references == (
        Reference("b", ("x", 0), "/at/z", "${b.x[0]}"),
        Reference("inputs", ("n",), "/at/a~1b/1/k", "${inputs.n}"),
        Reference("b", (), "/at/a~1b/1/k", "${b}"),
    )


def test_a_failed_step_gives_null_and_so_does_any_path_into_it() -> None:
    assert resolved(["${a}", "${a.b[0]}", "<${a.b}>"], a=FAILED) == [None, None, "<null>"]


@pytest.mark.parametrize(
    ("text", "output", "reason"),
    [
        ("${a.x}", {"b": 1, "c": 2}, 'there is no field "x"; there is "b", "c"'),
        ("${a.x}", {}, 'there is no field "x"; the object is empty'),
        ("${a.b.x}", {"b": {"y": 0}}, 'there is no field "x"; there is "y"'),
        ("${a.x}", [1], 'there is no field "x": a list has none'),
        ("${a.x}", None, 'there is no field "x": null has none'),
        ("${a.x}", True, 'there is no field "x": true has none'),
        ("${a.x}", "text", 'there is no field "x": a string has none'),
        ("${a[0]}", "text", "there is no index 0: a string has none"),
        ("${a[0]}", 5, "there is no index 0: a number has none"),
        ("${a[0]}", {"0": 1}, "there is no index 0: an object has none"),
        ("${a[2]}", [1, 2], "there is no index 2; the list has 2 items"),
        ('${a["é"]}', {"e": 1}, 'there is no field "\\u00e9"; there is "e"'),
    ],
)
def test_a_missing_part_is_named_with_what_there_is(text: str, output: Any, reason: str) -> None:
    assert failure_of(text, a=output) == reason
    assert failure_of(f"in {text} text", a=output) == reason


def test_a_missing_input_path_fails_the_same_way() -> None:
    assert failure_of("${inputs.x.y}", {"x": {}}) == 'there is no field "y"; the object is empty'
    assert failure_of("${inputs.x}", {"y": 1}) == 'there is no field "x"; there is "y"'


def test_the_message_of_a_missing_part_is_short_whatever_the_output() -> None:
    key = "k" * 10_000
    with pytest.raises(UnresolvedReferenceError) as caught:
        resolved(f"${{a.{key}}}", a={f"{number}{key}": 1 for number in range(1000)})
    assert len(str(caught.value)) < 1000
    assert "and 990 more" in str(caught.value)
    assert str(caught.value).startswith("at /at: ${a.kkk")
    assert caught.value.code == "REFERENCE_UNRESOLVED"


def test_other_mappings_and_tuples_than_json_s_own_can_be_walked() -> None:
    assert resolved("${inputs.x.y[0]}", MappingProxyType({"x": MappingProxyType({"y": (1, 2)})})) == 1


def test_a_constant_is_the_same_object_every_time() -> None:
    value = {"a": [1, {"b": "text"}]}
    template = compiled(value)
    assert template.references == ()
    assert template.resolve(Run()) is value


def test_compiling_and_resolving_leave_the_source_alone() -> None:
    value = {"z": "$${", "a": ["${a}", "$${x}", {"k": "${a}"}], "n": 1}
    before = json.dumps(value)
    template = compiled(value)
    first, second = template.resolve(Run(a=1)), template.resolve(Run(a=2))
    assert json.dumps(value) == before
    assert first == {"z": "${", "a": [1, "${x}", {"k": 1}], "n": 1}
    assert second["a"] == [2, "${x}", {"k": 2}]
    assert list(first) == ["z", "a", "n"]


def test_text_stays_text() -> None:
    problems: list[Problem] = []
    assert compile_text("${a}", "/key", problems).resolve(Run(a=5)) == "5"
    assert compile_text("${a}", "/key", problems).resolve(Run(a="x")) == "x"
    assert compile_text("plain $${", "/key", problems).resolve(Run()) == "plain ${"
    assert problems == []
    compile_text("${a", "/key", problems)
    assert [problem.pointer for problem in problems] == ["/key"]


def test_an_interpolated_string_cannot_grow_without_bound() -> None:
    template = compiled("${a}" * 17)
    assert len(template.resolve(Run(a="x" * 900_000))) == 17 * 900_000
    with pytest.raises(TextTooLongError):
        template.resolve(Run(a="x" * 1_000_000))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "part",
    [
        "${",
        "$${",
        "$",
        "${a.b",
        '${a["',
        '${a["]["]',
        '${a["\\"',
        "${a[",
        "${a[0]",
        '${a["]${a["]["',
        "${a}.",
        "[[",
        "a",
    ],
)
@pytest.mark.parametrize("start", ["", "${", "${a", '${a["', "${a[0]"])
def test_hostile_text_is_read_in_linear_time(start: str, part: str) -> None:
    problems: list[Problem] = []
    compile_template(start + part * (2_000_000 // len(part)), "", problems)
    assert len(problems) <= 1


names = st.text("ab_", min_size=1, max_size=2)
keys = st.one_of(names, st.text(max_size=3), st.sampled_from(['"', "\\", "]", "}", "${", "é"]))
leaves = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=4), st.sampled_from([0.5, 1e21]))
outputs = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2))


@st.composite
def parts(draw: st.DrawFn, scope: dict[str, Any]) -> tuple[str, Any]:
    """A piece of text, and the value that a naive interpreter gives it: LookupError where the path breaks off."""
    kind = draw(st.sampled_from(["literal", "escape", "reference", "reference"]))
    if kind == "escape":
        return "$${", "${"
    if kind == "literal":
        # No dollar at its end: before a brace it would become part of an escape or a reference.
        text = draw(st.text("a{}$ é", max_size=4)).replace("${", "").rstrip("$")
        return text, text
    root = draw(st.sampled_from(sorted(scope)))
    text, value = root, scope[root]
    for _ in range(draw(st.integers(0, 3))):
        there = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        step = draw(st.one_of(st.sampled_from(there), keys) if there else st.one_of(keys, st.integers(0, 2)))
        if root == "inputs" and text == root and isinstance(step, int):
            break
        plain = isinstance(step, str) and step.isascii() and step.isidentifier() and draw(st.booleans())
        text += f".{step}" if plain else f"[{json.dumps(step, ensure_ascii=draw(st.booleans()))}]"
        value = value if value is LookupError else naive_member(value, step)
    return f"${{{text}}}", value


def naive_member(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return value.get(step, LookupError) if isinstance(value, dict) else LookupError
    return value[step] if isinstance(value, list) and step < len(value) else LookupError


@given(st.data())
def test_resolving_agrees_with_a_naive_interpreter(data: st.DataObject) -> None:
    inputs = data.draw(st.dictionaries(keys, outputs, max_size=3))
    steps = {"a": data.draw(outputs), "b-1": data.draw(outputs)}
    pieces = data.draw(st.lists(parts({**steps, "inputs": inputs}), min_size=1, max_size=4))
    text = "".join(piece for piece, _ in pieces)
    values = [value for _, value in pieces]
    run = Run(inputs, **steps)
    template = compiled({"k": [text]})
    if any(value is LookupError for value in values):
        with pytest.raises(UnresolvedReferenceError):
            template.resolve(run)
        return
    whole = [value for piece, value in pieces if piece]
    if len(whole) == 1 and text.startswith("${"):
        expected = whole[0]
    else:
        expected = "".join(value if isinstance(value, str) else canonical_json(value).decode() for value in values)
    assert template.resolve(run) == {"k": [expected]}
