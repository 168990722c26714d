"""Workflow specs: the fields, what is accepted in them, and the one form in which a spec is stored.

    spec = WorkflowSpec.parse(document)        # from JSON or YAML, already decoded
    spec = WorkflowSpec(workflow_type="hello", steps=[StepDescriptor(step_id="a", skill_id="echo")])

Both check everything (types, ids, references, graph) and raise SpecError with all problems in document order.
JSON values are taken in as their canonical form reads back, so a spec in memory is what a stored one will be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field

from .canonical import canonical_json, decode
from .errors import NotCanonicalError, Problem, SpecError
from .retry import Retry
from .spec_checks import cross_problems
from .spec_problems import NAME, STEP_ID, did_you_mean, first_in_order, kind_of, shown, wrong_type
from .strict_model import StrictModel

MAX_STEPS = 10_000
"""Steps of one spec."""
MAX_INPUTS_BYTES = 2_000_000
"""Bytes of canonical JSON in any one of a spec's own values: its inputs, its output, its metadata, a step's inputs."""
MAX_SECONDS = 3_155_760_000
"""The longest time-out and pause: a hundred years, so that every due time is a date."""
MAX_CENTS = (2**53 - 1) // 1_000_000
"""The largest cost or ceiling: it is counted in millionths of a cent, as a whole number that JSON carries exactly."""


def _read_back(value: object) -> object:
    data = canonical_json(value)
    if len(data) > MAX_INPUTS_BYTES:
        reason = f"{len(data)} bytes of canonical JSON, more than {MAX_INPUTS_BYTES}"
        raise SpecError(Problem("", reason, "store the bulk elsewhere and send a reference"))
    return decode(data)


def _tuple(value: Any) -> tuple[Any, ...]:
    # Sets are no lists: their order is not the same everywhere.
    if not isinstance(value, list | tuple):
        raise SpecError(wrong_type("", "a list", value))
    return tuple(cast("list[Any]", value))


def _steps(value: Any) -> tuple[Any, ...]:
    # Not by pydantic's min_length, which counts the steps that are left after the broken ones.
    steps = _tuple(value)
    if not steps:
        raise SpecError(Problem("", "a workflow needs at least one step", "add one"))
    if len(steps) > MAX_STEPS:
        raise SpecError(Problem("", f"more than {MAX_STEPS} steps", "split the workflow in several"))
    return steps


def _made(model: Callable[..., object]) -> Callable[[object], object]:
    def build(value: object) -> object:
        return model(**_string_keys(cast("dict[object, object]", value))) if isinstance(value, dict) else value

    return build


def _string_keys(fields: dict[object, object]) -> dict[str, object]:
    odd = [key for key in fields if not isinstance(key, str)]
    if odd:
        raise SpecError(Problem("", f"a field name must be a string, not {kind_of(odd[0])}", "quote it"))
    return cast("dict[str, object]", fields)


_Name = Annotated[str, Field(pattern=NAME)]
_StepId = Annotated[str, Field(pattern=STEP_ID)]
_Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
_Pause = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
_Cents = Annotated[float, Field(ge=0, le=MAX_CENTS, allow_inf_nan=False)]
_JsonObject = Annotated[dict[str, Any], BeforeValidator(_read_back)]
_Json = Annotated[Any, BeforeValidator(_read_back)]

_BACKOFF = Retry()


class _Model(StrictModel):
    fault = SpecError

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; checked like any other, unlike pydantic's own."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**given, **(update or {})})


class RetrySettings(_Model):
    """How long to wait between attempts: exponential backoff with jitter, see `refold.core.retry.Retry`."""

    initial_seconds: _Pause = _BACKOFF.initial_seconds
    """The pause after the first attempt, in seconds."""
    multiplier: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = _BACKOFF.multiplier
    """By how much each further pause is longer than the one before."""
    max_seconds: _Pause = _BACKOFF.max_seconds
    """The longest pause, in seconds."""
    jitter: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = _BACKOFF.jitter
    """The share of each pause, 0 to 1, that is left to chance (drawn from the step's seed)."""

    def retry(self, max_retries: int) -> Retry:
        """The policy of at most `max_retries` attempts after the first."""
        return Retry(max_retries + 1, self.initial_seconds, self.multiplier, self.max_seconds, self.jitter)


class StepDescriptor(_Model):
    """One step: a skill, its inputs, and what to do when it fails."""

    step_id: _StepId
    """The name by which other steps refer to this one; never `inputs` or `secrets`."""
    skill_id: _Name
    """The skill to run."""
    inputs: _JsonObject = Field(default_factory=dict[str, Any])
    """The skill's inputs by name; strings may hold references, each of which implies the dependency."""
    depends_on: Annotated[Sequence[str], BeforeValidator(_tuple)] = ()
    """Steps that must end first, beyond those that the inputs refer to."""
    max_retries: Annotated[int, Field(ge=0, le=1000)] = 0
    """Attempts after the first. Left out, the skill's own default counts; 0 means none."""
    retry: Annotated[RetrySettings | None, BeforeValidator(_made(RetrySettings))] = None
    """The pauses between attempts; left out, the skill's own default counts."""
    on_error: Literal["abort", "continue", "skip"] = "abort"
    """On failure: fail the run, give dependents null for the output, or skip all dependents."""
    timeout_seconds: _Seconds | None = None
    """The longest an attempt may take, in seconds."""
    estimated_cost_cents: _Cents | None = None
    """What the step is expected to cost, in cents; left out, what the skill declares."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Handed to the skill so that a repeated side effect can be recognised; may hold references."""
    sensitive: bool = False
    """What comes of the step is encrypted in the log, with a key that can be destroyed."""


class WorkflowSpec(_Model):
    """A workflow as data: steps, the references between them, defaults and limits."""

    workflow_type: _Name
    """The name of the workflow."""
    version: _Name = "1"
    """The version of the workflow, as text."""
    steps: Annotated[
        tuple[Annotated[StepDescriptor, BeforeValidator(_made(StepDescriptor))], ...],
        Field(json_schema_extra={"minItems": 1, "maxItems": MAX_STEPS}),
        BeforeValidator(_steps),
    ]
    """The steps; of those that could run, the earlier in the list has the lower index."""
    inputs: _JsonObject = Field(default_factory=dict[str, Any])
    """Defaults of the run's inputs; data, in which nothing is a reference."""
    output: _Json = None
    """A template for the run's output; left out or null, the outputs of the steps nobody depends on, by step id."""
    workflow_ceiling_cents: _Cents | None = None
    """The most that the run may cost, in cents."""
    step_ceiling_cents: _Cents | None = None
    """The most that any one step may cost, in cents."""
    timeout_seconds: _Seconds | None = None
    """The longest that the run may take, in seconds."""
    sensitive_inputs: Annotated[Sequence[str], BeforeValidator(_tuple)] = ()
    """The run's inputs that are sensitive, by name: encrypted in the log, as is all that is made of them."""
    metadata: _JsonObject = Field(default_factory=dict[str, Any])
    """Anything; part of the spec, without effect on the run."""

    def __init__(self, /, **fields: Any) -> None:
        problems: list[Problem] = []
        try:
            super().__init__(**fields)
        except SpecError as error:
            problems.extend(error.problems)
        problems += cross_problems(fields, problems)
        if problems:
            raise SpecError(first_in_order(problems, fields))
        try:
            _ = self.canonical
        except NotCanonicalError as error:  # Each value is fine by itself, but with the spec around it too deep.
            raise SpecError(error.problems) from None

    @classmethod
    def parse(cls, value: object) -> WorkflowSpec:
        """The spec that the decoded JSON or YAML `value` describes.

        Raises SpecError with everything that is wrong with it, at most `MAX_PROBLEMS`, in the order of the document.
        """
        if isinstance(value, WorkflowSpec):
            return value
        if not isinstance(value, dict):
            fix = "begin with workflow_type and steps"
            raise SpecError(Problem("", f"a workflow spec must be an object, not {kind_of(value)}", fix))
        return cls(**_string_keys(cast("dict[object, object]", value)))

    @cached_property
    def canonical(self) -> bytes:
        """The stored form: RFC 8785 JSON without what equals its default, so that two spellings of a spec are one."""
        normal = self.model_dump(exclude_defaults=True)
        for step, dumped in zip(self.steps, normal["steps"], strict=True):
            # An explicit 0 is not the default: it overrules what the skill declares.
            if "max_retries" in step.model_fields_set:
                dumped["max_retries"] = step.max_retries
        return canonical_json(normal)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `canonical`, in hexadecimal."""
        return sha256(self.canonical).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The stored form as a JSON value, a fresh one each time."""
        return decode(self.canonical)

    def __eq__(self, other: object) -> bool:
        return self.canonical == other.canonical if isinstance(other, WorkflowSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.canonical)


def check_skills(spec: WorkflowSpec, known: Collection[str]) -> list[Problem]:
    """A problem for each step whose skill is not in `known`, in the order of the spec; only the first have a guess."""
    problems: list[Problem] = []
    guesses: dict[str, str] = {}
    for position, step in enumerate(spec.steps):
        name = step.skill_id
        if name in known:
            continue
        if name not in guesses:
            guesses[name] = did_you_mean(name, sorted(known)) if len(guesses) < 50 else ""
        fix = guesses[name] or "register it, or import the module that does"
        problems.append(Problem(f"/steps/{position}/skill_id", f"unknown skill {shown(name)}", fix))
    return problems


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec; what it cannot say (ids, references, cycles) `parse` checks."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **WorkflowSpec.model_json_schema()}
