"""Workflow specs: the fields and their bounds, the stored form, construction from Python."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from refold.core.errors import Problem, SpecError
from refold.core.retry import Retry
from refold.core.spec import RetrySettings, StepDescriptor, WorkflowSpec, check_skills, json_schema

STEP = {"step_id": "a", "skill_id": "echo"}
FULL: dict[str, Any] = {
    "workflow_type": "orders/checkout@eu",
    "version": "2.1.0+b-1",
    "steps": [
        {**STEP, "inputs": {"n": 1.5}},
        {
            "step_id": "b",
            "skill_id": "Real-Time_Product_Search_Search",
            "inputs": {"text": "${a.text}"},
            "depends_on": ["a"],
            "max_retries": 3,
            "retry": {"initial_seconds": 0.5, "multiplier": 3, "max_seconds": 10, "jitter": 0},
            "on_error": "continue",
            "timeout_seconds": 30,
            "estimated_cost_cents": 2.5,
            "idempotency_key": "order-${inputs.id}",
            "sensitive": True,
        },
    ],
    "inputs": {"id": 7},
    "output": {"result": "${b}"},
    "workflow_ceiling_cents": 500,
    "step_ceiling_cents": 100,
    "timeout_seconds": 3600,
    "sensitive_inputs": ["name"],
    "metadata": {"owner": "sales"},
}


def spec_of(**changes: Any) -> WorkflowSpec:
    return WorkflowSpec.parse({"workflow_type": "w", "steps": [STEP], **changes})


def step_of(**changes: Any) -> StepDescriptor:
    return spec_of(steps=[{**STEP, **changes}]).steps[0]


def test_a_full_spec_comes_back_as_it_went_in() -> None:
    assert WorkflowSpec.parse(FULL).to_json() == FULL


def test_only_type_and_steps_are_required() -> None:
    spec = spec_of()
    assert (spec.version, spec.inputs, spec.output, spec.metadata) == ("1", {}, None, {})
    assert (spec.workflow_ceiling_cents, spec.step_ceiling_cents, spec.timeout_seconds) == (None, None, None)
    step = spec.steps[0]
    assert (step.inputs, step.depends_on, step.max_retries, step.on_error) == ({}, (), 0, "abort")
    assert (step.retry, step.timeout_seconds, step.estimated_cost_cents, step.idempotency_key) == (None,) * 4


def test_two_spellings_of_a_spec_are_one() -> None:
    short = spec_of(inputs={"n": 1, "m": 2})
    long = WorkflowSpec.parse(
        {
            "metadata": {},
            "timeout_seconds": None,
            "inputs": {"m": 2.0, "n": 1.0},
            "output": None,
            "steps": [{"skill_id": "echo", "inputs": {}, "depends_on": [], "on_error": "abort", "step_id": "a"}],
            "version": "1",
            "workflow_type": "w",
        }
    )
    assert short == long
    assert hash(short) == hash(long)
    assert short.sha256 == long.sha256
    assert (
        short.canonical == b'{"inputs":{"m":2,"n":1},"steps":[{"skill_id":"echo","step_id":"a"}],"workflow_type":"w"}'
    )


def test_no_retries_is_not_the_same_as_leaving_it_to_the_skill() -> None:
    none, left = spec_of(steps=[{**STEP, "max_retries": 0}]), spec_of()
    assert none != left
    assert none.to_json()["steps"][0]["max_retries"] == 0
    assert WorkflowSpec.parse(none.to_json()) == none


def test_specs_differ_by_any_field() -> None:
    changes: list[dict[str, Any]] = [
        {"version": "2"},
        {"inputs": {"x": 1}},
        {"output": 0},
        {"timeout_seconds": 1},
        {"metadata": {"x": None}},
        {"workflow_ceiling_cents": 0},
        {"steps": [{**STEP, "retry": {}}]},
    ]
    assert len({spec_of(**change) for change in changes} | {spec_of()}) == len(changes) + 1
    assert spec_of() != "w"


def test_values_are_held_as_their_stored_form_reads_back() -> None:
    given = {"n": 1.0, "list": (1, 2)}
    spec = spec_of(inputs=given)
    assert json.dumps(spec.inputs) == '{"list": [1, 2], "n": 1}'
    given["n"] = 2.0
    assert spec.inputs["n"] == 1
    assert spec_of(inputs={"n": 1e20}) == WorkflowSpec.parse(
        json.loads('{"workflow_type":"w","steps":[{"step_id":"a","skill_id":"echo"}],"inputs":{"n":1e20}}')
    )


def test_the_stored_form_is_a_fresh_value_each_time() -> None:
    spec = spec_of(inputs={"x": []})
    spec.to_json()["inputs"]["x"].append(1)
    assert spec.to_json()["inputs"] == {"x": []}


def test_python_users_build_specs_from_objects() -> None:
    spec = WorkflowSpec(
        workflow_type="w",
        steps=[
            StepDescriptor(step_id="a", skill_id="echo", retry=RetrySettings(jitter=0)),
            {"step_id": "b", "skill_id": "echo", "inputs": {"x": "${a}"}},
        ],
    )
    assert WorkflowSpec.parse(spec.to_json()) == spec
    assert WorkflowSpec.parse(spec) is spec


def test_python_users_get_the_same_problems() -> None:
    with pytest.raises(SpecError) as caught:
        WorkflowSpec(
            workflow_type="w", steps=[StepDescriptor(step_id="a", skill_id="echo", inputs={"x": "${b}"})], versio="1"
        )
    assert [problem.pointer for problem in caught.value.problems] == ["/steps/0/inputs/x", "/versio"]
    with pytest.raises(SpecError) as caught:
        StepDescriptor(step_id="a", skill="echo")  # type: ignore[call-arg]
    assert caught.value.problems == (
        Problem("", "missing field 'skill_id'", "add it"),
        Problem("/skill", "unknown field 'skill'", "did you mean 'skill_id'?"),
    )


def test_specs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec_of().version = "2"  # type: ignore[misc]


def test_a_changed_copy_is_checked_and_hashed_anew() -> None:
    spec = spec_of()
    assert spec.model_copy(update={"version": "2"}) == spec_of(version="2")
    with pytest.raises(SpecError):
        spec.model_copy(update={"version": 2})


def test_copies_and_pickles_are_equal() -> None:
    spec = WorkflowSpec.parse(FULL)
    assert copy.deepcopy(spec) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_backoff_and_retries_make_a_retry_policy() -> None:
    settings = RetrySettings(initial_seconds=2, multiplier=3, max_seconds=20, jitter=0.5)
    assert settings.retry(4) == Retry(5, 2.0, 3.0, 20.0, 0.5)
    assert RetrySettings().retry(0) == Retry()


@pytest.mark.parametrize(
    "skill_id", ["Real-Time_Product_Search_Search", "ns.tool:v2/x@1", "a", "_private", "0", "C++", "x" * 200]
)
def test_names_of_real_tools_pass(skill_id: str) -> None:
    assert step_of(skill_id=skill_id).skill_id == skill_id


@pytest.mark.parametrize("step_id", ["a", "_", "A-1_b", "bowtie2-build_ID0000001", "x" * 200])
def test_step_ids_are_names(step_id: str) -> None:
    assert step_of(step_id=step_id).step_id == step_id


def test_integers_are_fine_where_numbers_are_wanted() -> None:
    assert step_of(timeout_seconds=5, estimated_cost_cents=0).timeout_seconds == 5.0
    assert spec_of(workflow_ceiling_cents=9_007_199_254).workflow_ceiling_cents == 9_007_199_254


def test_defaults_of_inputs_and_metadata_are_data_without_references() -> None:
    spec = spec_of(inputs={"x": "${nobody.y} ${"}, metadata={"${": "$${secrets.x} ${secrets"})
    assert spec.inputs == {"x": "${nobody.y} ${"}


def test_secrets_are_refused_in_all_that_is_recorded() -> None:
    step = {**STEP, "idempotency_key": "k-${secrets.K}", "inputs": {"token": "${secrets.OK}"}}
    fields = {"inputs": {"a": [{"b/c": "x ${secrets.I}"}]}, "metadata": {"m": "${secrets.M}"}, "output": "${secrets.O}"}
    with pytest.raises(SpecError) as refused:
        spec_of(steps=[step], **fields)
    assert sorted((problem.pointer, problem.reason.partition(":")[0]) for problem in refused.value.problems) == [
        ("/inputs/a/0/b~1c", "secrets are not resolved in the run's inputs"),
        ("/metadata/m", "secrets are not resolved in metadata"),
        ("/output", "'${secrets.O}'"),
        ("/steps/0/idempotency_key", "'${secrets.K}'"),
    ]


def test_unknown_skills_are_named_with_a_guess() -> None:
    spec = spec_of(steps=[STEP, {"step_id": "b", "skill_id": "trasnform"}, {"step_id": "c", "skill_id": "zzz"}])
    assert [str(problem) for problem in check_skills(spec, {"echo", "transform", "hash"})] == [
        "at /steps/1/skill_id: unknown skill 'trasnform'. Fix: did you mean 'transform'?",
        "at /steps/2/skill_id: unknown skill 'zzz'. Fix: register it, or import the module that does",
    ]
    assert check_skills(spec, ["echo", "trasnform", "zzz"]) == []


def test_the_json_schema_describes_every_field() -> None:
    schema = json_schema()
    json.dumps(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(FULL)
    assert schema["required"] == ["workflow_type", "steps"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["steps"]["minItems"] == 1
    step = schema["$defs"]["StepDescriptor"]
    assert set(step["properties"]) == set(FULL["steps"][1])
    assert step["required"] == ["step_id", "skill_id"]
    assert step["properties"]["on_error"]["enum"] == ["abort", "continue", "skip"]
    assert all("description" in field for field in [*schema["properties"].values(), *step["properties"].values()])
