"""A spec made ready to run: steps in index order, with compiled templates and dependencies in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from .canonical import decode
from .errors import CallError, Problem, SpecError
from .graph import dependents_of, topological_order
from .needs import needs_of_spec
from .references import INPUTS, Reference, Template, compile_template, compile_text
from .spec import RetrySettings, StepDescriptor, WorkflowSpec
from .spec_problems import did_you_mean, kind_of, shown


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step at its index: `dependencies` and `dependents` are indexes, ascending, each once.

    `max_retries` and `backoff` are None where the spec leaves them to the skill. Of the rest, see `StepDescriptor`.
    """

    index: int
    step_id: str
    skill_id: str
    inputs: Template
    dependencies: tuple[int, ...]
    dependents: tuple[int, ...]
    on_error: Literal["abort", "continue", "skip"]
    max_retries: int | None
    backoff: RetrySettings | None
    timeout_seconds: float | None
    estimated_cost_cents: float | None
    idempotency_key: Template | None
    sensitive: bool = False
    retry: None = None
    """A spec's steps say what they change of a policy, never a whole one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled spec.

    `steps` are in index order: topological, ties by the spec's list. `sinks` are the indexes that nobody depends on.
    `skill_ids` are the skills that it runs, `sensitive` says that the spec calls some step so.
    `needs` is what a worker must offer to serve it (`refold.core.needs`).
    `required_inputs` holds, for each `${inputs.x}` used anywhere, the name x and the pointers where it stands.
    References in `output` imply no dependency: it is resolved when all steps have ended.
    """

    spec: WorkflowSpec
    steps: tuple[PlannedStep, ...]
    index_of: dict[str, int]
    output: Template | None
    sinks: tuple[int, ...]
    skill_ids: frozenset[str]
    sensitive: bool
    needs: str
    required_inputs: dict[str, tuple[str, ...]]


def compile_plan(spec: WorkflowSpec) -> Plan:
    """The plan of `spec`, which was checked when it was made."""
    problems: list[Problem] = []
    inputs = [
        compile_template(step.inputs, f"/steps/{at}/inputs", problems, secrets=True)
        for at, step in enumerate(spec.steps)
    ]
    keys = [
        None
        if step.idempotency_key is None
        else compile_text(step.idempotency_key, f"/steps/{at}/idempotency_key", problems)
        for at, step in enumerate(spec.steps)
    ]
    output = None if spec.output is None else compile_template(spec.output, "/output", problems)
    if problems:
        raise SpecError(problems)
    references = [
        template.references + (key.references if key else ()) for template, key in zip(inputs, keys, strict=True)
    ]
    position_of = {step.step_id: at for at, step in enumerate(spec.steps)}
    needs = [{position_of[name] for name in _needed(step, references[at])} for at, step in enumerate(spec.steps)]
    order = topological_order(len(needs), needs)
    index_at = {at: index for index, at in enumerate(order)}
    dependencies = [sorted(index_at[need] for need in needs[at]) for at in order]
    dependents = dependents_of(len(order), dependencies)
    steps = tuple(
        _planned(index, spec.steps[at], inputs[at], keys[at], dependencies[index], dependents[index])
        for index, at in enumerate(order)
    )
    return Plan(
        spec=spec,
        steps=steps,
        index_of={step.step_id: step.index for step in steps},
        output=output,
        sinks=tuple(step.index for step in steps if not step.dependents),
        skill_ids=frozenset(step.skill_id for step in steps),
        sensitive=any(step.sensitive for step in steps),
        needs=needs_of_spec(spec.workflow_type, spec.version, (step.skill_id for step in steps)),
        required_inputs=_required([*references, output.references if output else ()]),
    )


@lru_cache(maxsize=256)
def plan_of(canonical_spec: bytes) -> Plan:
    """The plan of a spec in its stored form; the last 256 are kept. Raises SpecError for bytes that are no spec."""
    try:
        document = decode(canonical_spec)
    except ValueError as error:
        raise SpecError(
            Problem("", f"the stored spec is no JSON: {error}", "restore it, or start the run anew")
        ) from None
    return compile_plan(WorkflowSpec.parse(document))


def merge_inputs(plan: Plan, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The run's inputs: `given` laid over the spec's defaults, name by name.

    Raises CallError for each input that the spec refers to and neither has. Names that nothing refers to are kept.
    """
    # Callers are users: the type is a promise, not a fact.
    if not isinstance(cast("object", given), Mapping | None):
        raise CallError(Problem("", f"inputs must be an object, not {kind_of(given)}", "give names with values"))
    merged = {**plan.spec.inputs, **(given or {})}
    problems = [
        Problem("", f"unknown input {shown(name)} used at {pointers[0]}", _cure(name, merged))
        for name, pointers in plan.required_inputs.items()
        if name not in merged
    ]
    if problems:
        raise CallError(problems)
    return merged


def _cure(name: str, merged: Mapping[str, Any]) -> str:
    near = did_you_mean(name, filter(_is_text, merged))
    return (near + " Otherwise " if near else "") + "pass it with inputs or give a default"


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def _needed(step: StepDescriptor, references: tuple[Reference, ...]) -> set[str]:
    return {*step.depends_on, *(each.root for each in references if each.root != INPUTS)}


def _required(references: list[tuple[Reference, ...]]) -> dict[str, tuple[str, ...]]:
    required: dict[str, list[str]] = {}
    for each in (reference for group in references for reference in group):
        if each.root == INPUTS and each.path:
            pointers = required.setdefault(str(each.path[0]), [])
            if each.pointer not in pointers[-1:]:
                pointers.append(each.pointer)
    return {name: tuple(pointers) for name, pointers in required.items()}


def _planned(
    index: int,
    step: StepDescriptor,
    inputs: Template,
    key: Template | None,
    dependencies: list[int],
    dependents: list[int],
) -> PlannedStep:
    return PlannedStep(
        index=index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        inputs=inputs,
        dependencies=tuple(dependencies),
        dependents=tuple(dependents),
        on_error=step.on_error,
        max_retries=step.max_retries if "max_retries" in step.model_fields_set else None,
        backoff=step.retry,
        timeout_seconds=step.timeout_seconds,
        estimated_cost_cents=step.estimated_cost_cents,
        idempotency_key=key,
        sensitive=step.sensitive,
    )
