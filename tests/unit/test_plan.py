"""Plans: index order, dependencies both ways, what is left to the skill, and the inputs of a run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.errors import CallError, SpecError
from refold.core.plan import Plan, compile_plan, merge_inputs, plan_of
from refold.core.spec import RetrySettings, WorkflowSpec


class Run:
    """A scope of fixed inputs and outputs."""

    def __init__(self, inputs: dict[str, Any], **outputs: Any):
        self.inputs = inputs
        self.outputs = outputs

    def output(self, step_id: str) -> Any:
        return self.outputs[step_id]


def step(step_id: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "skill_id": f"do_{step_id}", "depends_on": list(depends_on), **fields}


def plan(*steps: dict[str, Any], **fields: Any) -> Plan:
    return compile_plan(WorkflowSpec.parse({"workflow_type": "w", "steps": list(steps), **fields}))


def test_a_step_s_index_is_its_topological_position_with_ties_by_list_order() -> None:
    made = plan(step("late", "z"), step("b"), step("z"), step("a"))
    assert [each.step_id for each in made.steps] == ["b", "z", "late", "a"]
    assert [each.index for each in made.steps] == [0, 1, 2, 3]
    assert made.index_of == {"b": 0, "z": 1, "late": 2, "a": 3}
    assert [each.skill_id for each in made.steps] == ["do_b", "do_z", "do_late", "do_a"]


def test_references_and_depends_on_both_make_dependencies_each_once() -> None:
    made = plan(
        step("d", "a", "a", inputs={"x": "${c.y} ${a} ${inputs.n}"}, idempotency_key="k-${b.id}"),
        step("c"),
        step("b"),
        step("a"),
    )
    d = made.steps[made.index_of["d"]]
    assert d.dependencies == (0, 1, 2)
    assert [each.dependents for each in made.steps] == [(3,), (3,), (3,), ()]
    assert made.sinks == (3,)


def test_the_output_implies_no_dependency() -> None:
    made = plan(step("a"), step("b"), output={"x": "${a.y}", "n": "${inputs.n}"})
    assert made.sinks == (0, 1)
    assert [each.dependents for each in made.steps] == [(), ()]
    assert made.output is not None
    assert made.output.resolve(Run({"n": 1}, a={"y": 2})) == {"x": 2, "n": 1}
    assert plan(step("a")).output is None


def test_templates_are_compiled() -> None:
    made = plan(step("a"), step("b", inputs={"text": "${a.text}", "n": 1}, idempotency_key="${a.id}"))
    run = Run({}, a={"text": "hi", "id": 7})
    b = made.steps[1]
    assert b.inputs.resolve(run) == {"text": "hi", "n": 1}
    assert b.idempotency_key is not None
    assert b.idempotency_key.resolve(run) == "7"
    assert made.steps[0].idempotency_key is None


def test_what_the_spec_leaves_open_is_left_to_the_skill() -> None:
    made = plan(step("a"), step("b", max_retries=0), step("c", max_retries=2, retry={"jitter": 0}))
    assert [each.max_retries for each in made.steps] == [None, 0, 2]
    assert [each.backoff for each in made.steps] == [None, None, RetrySettings(jitter=0)]


def test_the_other_fields_are_taken_over() -> None:
    made = plan(step("a", on_error="skip", timeout_seconds=5, estimated_cost_cents=1.5), step("b"))
    a, b = made.steps
    assert (a.on_error, a.timeout_seconds, a.estimated_cost_cents) == ("skip", 5, 1.5)
    assert (b.on_error, b.timeout_seconds, b.estimated_cost_cents) == ("abort", None, None)


def test_a_stored_spec_gives_the_same_plan_each_time() -> None:
    spec = WorkflowSpec.parse(
        {"workflow_type": "w", "steps": [step("b", "a", max_retries=0), step("a", inputs={"n": 1e20})]}
    )
    made = plan_of(spec.canonical)
    assert made is plan_of(bytes(spec.canonical))
    assert made.spec == spec
    assert [each.max_retries for each in made.steps] == [None, 0]
    assert made.steps[0].inputs.resolve(Run({})) == {"n": 1e20}


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"null", b'{"workflow_type":"w"}', b"\xff", b'{"steps":[]}'])
def test_a_broken_stored_spec_is_refused(stored: bytes) -> None:
    with pytest.raises(SpecError):
        plan_of(stored)


def test_required_inputs_are_listed_with_where_they_are_used() -> None:
    made = plan(
        step("a", inputs={"p": "${inputs.x.deep} ${inputs.x}", "q": ["${inputs.y}", "${inputs}"]}),
        step("b", inputs={"r": "${inputs.x}"}, idempotency_key="${inputs.key}"),
        output="${inputs.z}",
    )
    assert made.required_inputs == {
        "x": ("/steps/0/inputs/p", "/steps/1/inputs/r"),
        "y": ("/steps/0/inputs/q/0",),
        "key": ("/steps/1/idempotency_key",),
        "z": ("/output",),
    }


def test_given_inputs_lie_over_the_defaults() -> None:
    made = plan(step("a", inputs={"x": "${inputs.x}"}), inputs={"x": {"deep": 1}, "y": 2})
    assert merge_inputs(made, None) == {"x": {"deep": 1}, "y": 2}
    assert merge_inputs(made, {"x": 5, "more": 6}) == {"x": 5, "y": 2, "more": 6}
    assert made.spec.inputs == {"x": {"deep": 1}, "y": 2}


def test_an_input_set_to_null_is_there() -> None:
    assert merge_inputs(plan(step("a", inputs={"x": "${inputs.x}"})), {"x": None}) == {"x": None}


def test_each_unknown_input_is_named_with_where_it_is_used() -> None:
    made = plan(step("a", inputs={"text": "${inputs.x} ${inputs.topic.name}"}))
    with pytest.raises(CallError) as caught:
        merge_inputs(made, {"topics": 1})
    assert [str(problem) for problem in caught.value.problems] == [
        "unknown input 'x' used at /steps/0/inputs/text. Fix: pass it with inputs or give a default",
        "unknown input 'topic' used at /steps/0/inputs/text. "
        "Fix: did you mean 'topics'? Otherwise pass it with inputs or give a default",
    ]


def test_inputs_are_an_object() -> None:
    with pytest.raises(CallError, match="inputs must be an object, not a list"):
        merge_inputs(plan(step("a")), ["x"])  # type: ignore[arg-type]


def test_ten_thousand_steps_in_a_chain_are_planned() -> None:
    n = 10_000
    made = plan(*(step(f"s{at}", *([f"s{at + 1}"] if at + 1 < n else [])) for at in range(n)))
    assert [each.step_id for each in made.steps] == [f"s{at}" for at in reversed(range(n))]
    assert made.steps[n - 1].dependencies == (n - 2,)
    assert made.sinks == (n - 1,)


@given(st.permutations(range(6)), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_dependencies_and_dependents_mirror_each_other_and_point_backwards(
    listed: list[int], pairs: set[tuple[int, int]]
) -> None:
    needs = {(step, need) for step, need in pairs if need < step}
    made = plan(*(step(f"s{at}", *(f"s{need}" for each, need in sorted(needs) if each == at)) for at in listed))
    edges = {(made.index_of[f"s{each}"], made.index_of[f"s{need}"]) for each, need in needs}
    assert edges == {(each.index, need) for each in made.steps for need in each.dependencies}
    assert edges == {(dependent, each.index) for each in made.steps for dependent in each.dependents}
    assert all(need < each for each, need in edges)
    assert made.sinks == tuple(index for index in range(6) if not any(need == index for _, need in edges))
    assert all(list(each.dependencies) == sorted(set(each.dependencies)) for each in made.steps)
