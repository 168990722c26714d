"""What a spec is refused for: all of it, where, why, and what to do, in the order of the document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.errors import SpecError
from refold.core.spec import MAX_STEPS, WorkflowSpec

STEP = {"step_id": "a", "skill_id": "echo"}
NAME_FIX = "use 1 to 200 letters, digits and . _ : / @ + -"
ID_FIX = "start with a letter or _, then only letters, digits, _ and -; at most 200 characters"
LITERAL = "name a step of this spec, or write $${ for a literal ${"


def problems(document: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        WorkflowSpec.parse(document)
    assert caught.value.code == "SPEC_INVALID"
    return [str(problem) for problem in caught.value.problems]


def spec(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"workflow_type": "w", "steps": list(steps or [STEP]), **fields}


def step(step_id: str, *depends_on: str, **inputs: Any) -> dict[str, Any]:
    return {"step_id": step_id, "skill_id": "echo", "depends_on": list(depends_on), "inputs": inputs}


@pytest.mark.parametrize(
    ("document", "kind"), [([], "a list"), ("w", "a string"), (None, "null"), (3, "an integer"), (b"", "a bytes")]
)
def test_a_spec_is_an_object(document: object, kind: str) -> None:
    assert problems(document) == [
        f"a workflow spec must be an object, not {kind}. Fix: begin with workflow_type and steps"
    ]


def test_missing_fields_are_named_at_what_lacks_them() -> None:
    assert problems({}) == ["missing field 'workflow_type'. Fix: add it", "missing field 'steps'. Fix: add it"]
    assert problems(spec(STEP, {"skill_id": "echo"})) == ["at /steps/1: missing field 'step_id'. Fix: add it"]


def test_an_unknown_field_is_named_with_the_likely_one() -> None:
    assert problems(spec(STEP, {**step("b"), "dependson": ["a"]})) == [
        "at /steps/1/dependson: unknown field 'dependson'. Fix: did you mean 'depends_on'?"
    ]
    assert problems(spec(Timeout_Second=5)) == [
        "at /Timeout_Second: unknown field 'Timeout_Second'. Fix: did you mean 'timeout_seconds'?"
    ]
    assert problems(spec({**STEP, "retry": {"max": 3, "a/b~": 1}})) == [
        "at /steps/0/retry/max: unknown field 'max'. "
        "Fix: remove it; there are initial_seconds, multiplier, max_seconds, jitter",
        "at /steps/0/retry/a~1b~0: unknown field 'a/b~'. "
        "Fix: remove it; there are initial_seconds, multiplier, max_seconds, jitter",
    ]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("version", 1, 'must be a string, not an integer. Fix: quote it: "1"'),
        ("version", 1.5, 'must be a string, not a number. Fix: quote it: "1.5"'),
        ("version", True, "must be a string, not a boolean. Fix: give a string"),
        ("version", "", f"'' is not possible here. Fix: {NAME_FIX}"),
        ("workflow_type", "a b", f"'a b' is not possible here. Fix: {NAME_FIX}"),
        ("workflow_type", "a\n", f"'a\\n' is not possible here. Fix: {NAME_FIX}"),
        ("workflow_type", "a\0", f"'a\\x00' is not possible here. Fix: {NAME_FIX}"),
        ("workflow_type", "é", f"'\\xe9' is not possible here. Fix: {NAME_FIX}"),
        ("workflow_type", None, "must be a string, not null. Fix: give a string"),
        (
            "workflow_type",
            "\ud800",
            "holds a lone surrogate, half a character. Fix: send whole characters",
        ),
        ("steps", {}, "must be a list, not an object. Fix: give a list"),
        ("steps", [], "a workflow needs at least one step. Fix: add one"),
        ("inputs", [], "must be an object, not a list. Fix: give an object"),
        ("inputs", None, "must be an object, not null. Fix: give an object"),
        ("metadata", "x", "must be an object, not a string. Fix: give an object"),
        ("timeout_seconds", 0, "must be more than 0, not 0. Fix: give a number above 0"),
        ("timeout_seconds", -1.5, "must be more than 0, not -1.5. Fix: give a number above 0"),
        ("timeout_seconds", "5", "must be a number, not a string. Fix: write it without quotes"),
        ("timeout_seconds", True, "must be a number, not a boolean. Fix: give a number"),
        (
            "timeout_seconds",
            float("inf"),
            "must be a finite number, not inf. Fix: give a finite number, or leave it out",
        ),
        (
            "timeout_seconds",
            float("nan"),
            "must be a finite number, not nan. Fix: give a finite number, or leave it out",
        ),
        ("timeout_seconds", 1e10, "must be at most 3155760000, not 10000000000.0. Fix: give at most 3155760000"),
        (
            "timeout_seconds",
            10**400,
            "must be a number within the range of a float, not a huge integer. Fix: give a smaller number",
        ),
        ("workflow_ceiling_cents", -1, "must be at least 0, not -1. Fix: give at least 0"),
        (
            "step_ceiling_cents",
            2**60,
            "must be at most 9007199254, not 1152921504606846976. Fix: give at most 9007199254",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_wanted(field: str, value: Any, problem: str) -> None:
    assert problems(spec(**{field: value})) == [f"at /{field}: {problem}"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("step_id", "1a", f"'1a' is not possible here. Fix: {ID_FIX}"),
        ("step_id", "a.b", f"'a.b' is not possible here. Fix: {ID_FIX}"),
        ("step_id", "a\n", f"'a\\n' is not possible here. Fix: {ID_FIX}"),
        ("step_id", "x" * 201, f"'{'x' * 57}...' is not possible here. Fix: {ID_FIX}"),
        ("step_id", 5, 'must be a string, not an integer. Fix: quote it: "5"'),
        ("step_id", "inputs", "the step id 'inputs' is reserved. Fix: rename it: 'inputs_step'"),
        ("step_id", "secrets", "the step id 'secrets' is reserved. Fix: rename it: 'secrets_step'"),
        ("skill_id", "", f"'' is not possible here. Fix: {NAME_FIX}"),
        ("inputs", ["x"], "must be an object, not a list. Fix: give an object"),
        ("depends_on", "b", "must be a list, not a string. Fix: write ['b']"),
        ("depends_on", None, "must be a list, not null. Fix: give a list"),
        ("max_retries", -1, "must be at least 0, not -1. Fix: give at least 0"),
        ("max_retries", 1001, "must be at most 1000, not 1001. Fix: give at most 1000"),
        ("max_retries", 1.0, "must be an integer, not a number. Fix: give an integer"),
        ("max_retries", "1", "must be an integer, not a string. Fix: write it without quotes"),
        ("max_retries", True, "must be an integer, not a boolean. Fix: give an integer"),
        ("max_retries", 10**400, "must be at most 1000, not a huge integer. Fix: give at most 1000"),
        ("retry", 3, "must be an object, not an integer. Fix: give an object"),
        ("on_error", "Skip", "must be 'abort', 'continue' or 'skip', not 'Skip'. Fix: did you mean 'skip'?"),
        ("on_error", "no", "must be 'abort', 'continue' or 'skip', not 'no'. Fix: write one of these"),
        ("on_error", None, "must be 'abort', 'continue' or 'skip', not null. Fix: write one of these"),
        ("estimated_cost_cents", -0.5, "must be at least 0, not -0.5. Fix: give at least 0"),
        ("idempotency_key", "", "must not be empty. Fix: fill it or leave it out"),
        ("idempotency_key", "k" * 1001, "longer than 1000 characters. Fix: shorten it"),
    ],
)
def test_a_wrong_value_in_a_step_is_told_the_same_way(field: str, value: Any, problem: str) -> None:
    assert problems(spec(step("z"), {**STEP, field: value})) == [f"at /steps/1/{field}: {problem}"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("initial_seconds", -1, "must be at least 0, not -1. Fix: give at least 0"),
        ("multiplier", 0.5, "must be at least 1, not 0.5. Fix: give at least 1"),
        ("jitter", 1.5, "must be at most 1, not 1.5. Fix: give at most 1"),
    ],
)
def test_backoff_is_bounded(field: str, value: Any, problem: str) -> None:
    assert problems(spec({**STEP, "retry": {field: value}})) == [f"at /steps/0/retry/{field}: {problem}"]


def test_an_integer_too_long_to_print_is_still_told() -> None:
    assert problems(spec({**STEP, "max_retries": 10**5000}, version=10**5000)) == [
        "at /steps/0/max_retries: must be at most 1000, not a huge integer. Fix: give at most 1000",
        "at /version: must be a string, not an integer. Fix: give a string",
    ]


def test_a_step_is_an_object_with_names_as_keys() -> None:
    assert problems(spec("a", None, {1: 2})) == [
        "at /steps/0: must be an object, not a string. Fix: give an object",
        "at /steps/1: must be an object, not null. Fix: give an object",
        "at /steps/2: a field name must be a string, not an integer. Fix: quote it",
    ]
    assert problems({1: 2}) == ["a field name must be a string, not an integer. Fix: quote it"]


def test_each_entry_of_depends_on_is_a_name() -> None:
    assert problems(spec(STEP, step("b", "a", 5))) == [  # type: ignore[arg-type]
        'at /steps/1/depends_on/1: must be a string, not an integer. Fix: quote it: "5"'
    ]


def test_values_without_canonical_json_are_found_where_they_are() -> None:
    assert problems(
        spec({**STEP, "inputs": {"x": [0, float("nan")]}}, inputs={"n": 2**53}, metadata={"s": {1}}, output=b"")
    ) == [
        "at /steps/0/inputs/x/1: nan is no JSON number. Fix: send null or a string",
        "at /inputs/n: integer beyond ±(2^53-1), which JSON does not carry exactly. Fix: send it as a string",
        "at /metadata/s: set is no JSON type. Fix: send a sorted list",
        "at /output: bytes is no JSON type. Fix: send text, such as its base64",
    ]


def test_values_that_contain_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    (problem,) = problems(spec({**STEP, "inputs": {"x": loop}}))
    assert problem.startswith("at /steps/0/inputs/x/0: the value contains itself")


def test_too_deep_a_value_is_refused() -> None:
    deep: Any = 0
    for _ in range(126):
        deep = [deep]
    (problem,) = problems(spec({**STEP, "inputs": {"x": deep}}))
    assert "nested deeper than 128 levels" in problem
    assert problem.startswith("at /steps/0/inputs/x/0/0")


def test_large_values_are_refused() -> None:
    large = {"x": "y" * 2_000_000}
    for document, pointer in ((spec(inputs=large), "/inputs"), (spec({**STEP, "inputs": large}), "/steps/0/inputs")):
        assert problems(document) == [
            f"at {pointer}: 2000008 bytes of canonical JSON, more than 2000000. "
            "Fix: store the bulk elsewhere and send a reference"
        ]


def test_too_many_steps_are_refused_unread() -> None:
    assert problems(spec(*[{}] * (MAX_STEPS + 1))) == [
        "at /steps: more than 10000 steps. Fix: split the workflow in several"
    ]


def test_a_duplicate_id_names_the_first() -> None:
    assert problems(spec(STEP, step("b"), STEP)) == [
        "at /steps/2/step_id: duplicate step id 'a', first at /steps/0. Fix: rename one of them"
    ]


def test_an_unknown_step_is_named_with_the_likely_one() -> None:
    assert problems(spec(step("fetch"), step("b", "fecth"), step("c", x="${Fetch.text} ${env.HOME}"))) == [
        "at /steps/1/depends_on/0: unknown step 'fecth'. Fix: did you mean 'fetch'?",
        "at /steps/2/inputs/x: unknown step 'Fetch' in '${Fetch.text}'. Fix: did you mean 'fetch'?",
        f"at /steps/2/inputs/x: unknown step 'env' in '${{env.HOME}}'. Fix: {LITERAL}",
    ]


def test_unknown_steps_in_output_and_key_are_found_too() -> None:
    assert problems(spec({**STEP, "idempotency_key": "k-${q}"}, output=["${r}"])) == [
        f"at /steps/0/idempotency_key: unknown step 'q' in '${{q}}'. Fix: {LITERAL}",
        f"at /output/0: unknown step 'r' in '${{r}}'. Fix: {LITERAL}",
    ]


def test_a_step_that_waits_for_itself_is_refused() -> None:
    assert problems(spec(step("a", "a", x="${a.y}"))) == [
        "at /steps/0/depends_on/0: step 'a' depends on itself. Fix: remove this, or name another step",
        "at /steps/0/inputs/x: step 'a' depends on itself. Fix: remove this, or name another step",
    ]


def test_a_cycle_is_named_step_by_step() -> None:
    assert problems(spec(step("z"), step("a", "z", "b"), step("b", x="${c.y}"), step("c", "a"))) == [
        "at /steps/1/depends_on/1: steps wait for each other: a -> b -> c -> a. Fix: remove one of these dependencies"
    ]


def test_every_separate_cycle_is_found() -> None:
    assert problems(spec(step("a", "b"), step("b", "a"), step("c", "d"), step("d", x=["${c}"]))) == [
        "at /steps/0/depends_on/0: steps wait for each other: a -> b -> a. Fix: remove one of these dependencies",
        "at /steps/2/depends_on/0: steps wait for each other: c -> d -> c. Fix: remove one of these dependencies",
    ]


def test_a_long_cycle_is_told_in_short() -> None:
    n = 10_000
    (problem,) = problems(spec(*(step(f"s{at}", f"s{(at + 1) % n}") for at in range(n))))
    assert "s0 -> s1 -> " in problem
    assert " -> s18 -> ... 9981 more ... -> s0." in problem


def test_bad_references_are_found_in_steps_output_and_key() -> None:
    reason = "is no valid reference. Fix: write $${ for a literal ${"
    assert problems(spec({**step("a", x={"y": "${"}), "idempotency_key": "${x y}"}, output="${a b}")) == [
        f"at /steps/0/inputs/x/y: '${{' {reason}",
        f"at /steps/0/idempotency_key: '${{x y}}' {reason}",
        f"at /output: '${{a b}}' {reason}",
    ]


def test_all_problems_come_at_once_in_the_order_of_the_document() -> None:
    document = {
        "output": "${nobody}",
        "vesion": "2",
        "steps": [
            {"inputs": {"x": "${b.y}", "a": "${"}, "skill_id": 5, "step_id": "a"},
            {"step_id": "b", "skill_id": "echo", "depends_on": ["c"], "timeout_seconds": 0},
            {"step_id": "b", "skill_id": "echo"},
        ],
        "metadata": 1,
    }
    assert [problem.split(":")[0] for problem in problems(document)] == [
        "missing field 'workflow_type'. Fix",
        "at /output",
        "at /vesion",
        "at /steps/0/inputs/a",
        "at /steps/0/skill_id",
        "at /steps/1/depends_on/0",
        "at /steps/1/timeout_seconds",
        "at /steps/2/step_id",
        "at /metadata",
    ]


def test_the_report_is_bounded_and_says_so() -> None:
    found = problems(spec(*({**step(f"s{at}"), "x": 1} for at in range(200))))
    assert len(found) == 51
    assert found[49].startswith("at /steps/49/x: ")
    assert found[50] == "more than 50 problems; these are the first. Fix: mend these and try again"


def test_messages_can_be_printed_whatever_the_document_holds() -> None:
    for problem in problems({"workflow_type": "w\ud800", "steps": [{**STEP, "\ud800": 1}], "\udfff/": {}}):
        problem.encode()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "make",
    [
        lambda at: {**step(f"s{at}"), f"max_retrie{at}": 1},
        lambda at: step(f"step_{at:05}", f"stepp_{at:05}"),
        lambda at: step(f"s{at}", f"s{at ^ 1}"),
        lambda at: {},
        lambda at: step("same"),
        lambda at: step(f"s{at}", **{f"k{n}": "${" for n in range(10)}),
    ],
)
def test_ten_thousand_broken_steps_are_reported_quickly(make: Any) -> None:
    assert len(problems(spec(*map(make, range(10_000))))) >= 50


@pytest.mark.timeout(30)
def test_ten_thousand_steps_are_read_quickly() -> None:
    document = spec(*(step(f"s{at}", x=f"${{s{at - 1}.y}} and ${{inputs.z}}" if at else 0) for at in range(10_000)))
    assert len(WorkflowSpec.parse(document).steps) == 10_000


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.sampled_from(["a", "b", "${a}", "${", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["step_id", "x"]), inner)),
    max_leaves=5,
)
fields = st.sampled_from(["step_id", "skill_id", "inputs", "depends_on", "max_retries", "retry", "on_error", "x"])


@given(
    st.lists(st.one_of(st.dictionaries(fields, json_values), json_values), max_size=3),
    st.dictionaries(st.sampled_from(["inputs", "output", "timeout_seconds", "version", "y"]), json_values),
    st.booleans(),
)
def test_any_document_is_read_or_refused_with_pointers_into_it(steps: list[Any], rest: Any, sound: bool) -> None:
    if sound:
        steps = [{"skill_id": "echo", "step_id": "a", **(each if isinstance(each, dict) else {})} for each in steps]
    document = {"workflow_type": "w", "steps": steps, **rest}
    try:
        spec = WorkflowSpec.parse(document)
    except SpecError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.reason
            assert problem.fix
            node: Any = document
            for token in problem.pointer.split("/")[1:]:
                node = node[int(token) if isinstance(node, list) else token]
    else:
        assert WorkflowSpec.parse(spec.to_json()) == spec
