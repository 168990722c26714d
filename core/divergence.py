"""Where two runs that should agree do not, and of which class each difference is (requirements, R7).

Pure functions on plain values: whoever compares (two runs, two goldens, a record and its repetition) says what either
side did as `RunFacts`, and the classes follow from the structure, never from a text. The first rule that applies
gives the class:

- `TAMPERED`: a side's own hashes or signature do not fit what it says; nothing else of it can be believed.
- `SEED_DRIFT`: the seeds differ, of the run or of a step.
- `VOLATILE_LEAK`: outputs differ only in members that say when or where (named as volatile, or both are times), which
  should not be in what a hash covers.
- `CODE_CHANGE`: the spec, the function's source, the version of a skill or the build of the program differ.
- `DETERMINISM_VIOLATION`: the same spec, inputs and outcomes led to other steps, another order or other inputs.
- `UNSEEDED_RANDOMNESS`: a skill that declares itself deterministic gave another outcome for the same seed and inputs.
- `EXTERNAL_VARIATION`: what came from outside differs: the run's inputs, an outcome of a skill that is not
  deterministic, a signal, an outcome given by hand, a cut.

A difference that an earlier one explains (other inputs of a step, because the output before was another) has that
one's class, and names it in `follows`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from re import compile as pattern
from typing import Any, Literal

from .differences import Place, places, told
from .step_events import StepIndex

DivergenceKind = Literal[
    "TAMPERED",
    "SEED_DRIFT",
    "VOLATILE_LEAK",
    "CODE_CHANGE",
    "DETERMINISM_VIOLATION",
    "UNSEEDED_RANDOMNESS",
    "EXTERNAL_VARIATION",
]
"""The class of a difference; the module says which rule gives which."""

CRITICAL: frozenset[DivergenceKind] = frozenset(
    {
        "TAMPERED",
        "SEED_DRIFT",
        "CODE_CHANGE",
        "DETERMINISM_VIOLATION",
        "UNSEEDED_RANDOMNESS",
        "EXTERNAL_VARIATION",
    }
)
"""What fails a comparison: all but times and places in outputs."""

VOLATILE_FIELDS = frozenset(
    {
        "at",
        "created_at",
        "duration",
        "duration_ms",
        "duration_seconds",
        "ended_at",
        "host",
        "hostname",
        "pid",
        "recorded_at",
        "started_at",
        "timestamp",
        "updated_at",
        "worker",
        "worker_id",
    }
)
"""Names of members, at any depth, that say when or where and not what: left out of comparisons unless told otherwise.

The hashes over them are not left out: where such a field has leaked into an output, its hash tells.
"""

_TIME = pattern(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?")
_FROM_OUTSIDE = frozenset(
    {
        "APPROVAL_EXPIRED",
        "APPROVAL_REJECTED",
        "CHILD_FAILED",
        "CHILD_TIMEOUT",
        "INTERRUPTED",
        "SIGNAL_TIMEOUT",
        "STEP_TIMEOUT",
    }
)


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What one side says of a step.

    `skill_version` and `build` are None where the side does not know them, `deterministic` where nobody knows the
    skill: then it is judged as one that does not declare itself deterministic. `outside` tells that the outcome is
    none of the skill's: the step waited, or somebody gave the output.
    """

    index: StepIndex
    step_id: str
    skill_id: str
    seed: int
    status: str
    inputs_hash: str | None
    output: Any
    error_code: str | None
    step_hash: str
    skill_version: str | None = None
    build: str | None = None
    deterministic: bool | None = None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What one side says of a run: how it began, its steps in index order, how it ended.

    `ended` is False for a run that goes on, `cut` tells that it was ended from outside (cancel, time-out). `fault` says
    why the side cannot be believed, None when it can. Ids of runs are no difference, nor hashes over them.
    """

    workflow: str
    seed: int
    spec_hash: str | None
    source_hash: str | None
    inputs_hash: str | None
    steps: Sequence[StepFacts]
    status: str
    output: Any
    error_code: str | None
    ended: bool = True
    cut: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """One difference: at which event (`run_start`, `step INDEX`, `run_end`), where in it, what either side has, its
    class and the reason for it. `follows` is the earlier event that explains it."""

    event: str
    step_id: str | None
    pointer: str
    left: str
    right: str
    kind: DivergenceKind
    reason: str
    follows: str | None = None

    @property
    def critical(self) -> bool:
        """Whether a comparison fails by it."""
        return self.kind in CRITICAL

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object of the same names."""
        return {**asdict(self), "critical": self.critical}


def divergences(left: RunFacts, right: RunFacts, volatile: Collection[str]) -> list[Divergence]:
    """All differences of two runs, in the order of the events; none if they did the same.

    Steps are aligned by their ids. `volatile` are the names of members that say when or where.
    """
    faults = [fault for fault in (left.fault, right.fault) if fault is not None]
    if faults:
        sides = (left.fault or "intact", right.fault or "intact")
        return [Divergence("run_start", None, "", *sides, "TAMPERED", "; ".join(faults))]
    found = list(_of_starts(left, right))
    others = {step.step_id: step for step in right.steps}
    known = {step.step_id for step in left.steps}
    for step in left.steps:
        other = others.get(step.step_id)
        found += [_lacking(step, right, found, "right")] if other is None else of_steps(step, other, found, volatile)
    found += [_lacking(step, left, found, "left") for step in right.steps if step.step_id not in known]
    found += _of_ends(left, right, found, volatile)
    return found


def of_steps(
    left: StepFacts, right: StepFacts, before: Sequence[Divergence], volatile: Collection[str]
) -> Iterator[Divergence]:
    """The differences of one step, `before` being those of all that came before it."""
    event = f"step {left.index}"
    first = _cause(before, volatile_too=True)

    def differ(pointer: str, one: Any, other: Any, kind: DivergenceKind, why: str) -> Divergence:
        place = told(Place((pointer,), one, other))
        return Divergence(event, left.step_id, place.pointer, place.left, place.right, kind, why)

    if left.index != right.index or left.skill_id != right.skill_id:
        kind, why, follows = _structure(first, "the same spec and outcomes led to another step, or another order")
        name = "index" if left.index != right.index else "skill_id"
        found = differ(name, getattr(left, name), getattr(right, name), kind, why)
        yield _following(found, follows)
        return
    if left.seed != right.seed:
        yield differ("seed", left.seed, right.seed, "SEED_DRIFT", "the seeds of the step differ")
        first = None
    if left.inputs_hash != right.inputs_hash:
        kind, why, follows = _structure(first, "the same spec and outcomes led to other inputs")
        yield _following(differ("inputs_hash", left.inputs_hash, right.inputs_hash, kind, why), follows)
        yield from (_following(each, follows or event) for each in _outcome(left, right, kind, why))
        return
    if left.seed != right.seed:
        yield from _outcome(left, right, "SEED_DRIFT", "the seeds of the step differ")
        return
    yield from _outcome(left, right, *kind_of_outcome(left, right, volatile))


def kind_of_outcome(left: StepFacts, right: StepFacts, volatile: Collection[str]) -> tuple[DivergenceKind, str]:
    """The class of a difference between two outcomes of a step that had the same seed and inputs, and the reason."""
    if _same_outcome(left, right):
        return "TAMPERED", "the outcome is the same, and its hash another"
    if left.status == right.status == "completed" and only_volatile(left.output, right.output, volatile):
        return "VOLATILE_LEAK", "only times or places differ, and the step's hash covers them: keep them out of outputs"
    if left.outside or right.outside or {left.error_code, right.error_code} & _FROM_OUTSIDE:
        return "EXTERNAL_VARIATION", "the outcome came from outside of the skill"
    if left.deterministic is not True or right.deterministic is not True:
        known = None not in (left.deterministic, right.deterministic)
        more = "is not deterministic" if known else "is not known here, so nobody says that it is deterministic"
        return "EXTERNAL_VARIATION", f"the skill {more}"
    if None not in (left.skill_version, right.skill_version) and left.skill_version != right.skill_version:
        return "CODE_CHANGE", f"skill version {left.skill_version!r} became {right.skill_version!r}"
    if None not in (left.build, right.build) and left.build != right.build:
        return "CODE_CHANGE", f"build {left.build!r} became {right.build!r}"
    return "UNSEEDED_RANDOMNESS", "a deterministic skill gave another outcome for the same seed and inputs"


def only_volatile(left: Any, right: Any, volatile: Collection[str]) -> bool:
    """Whether two decoded JSON values differ, and only in members named in `volatile`, at any depth, or in times
    (texts of ISO 8601 with date and time on both sides)."""
    found = list(places(left, right))
    return bool(found) and all(
        any(part in volatile for part in place.path) or (_is_time(place.left) and _is_time(place.right))
        for place in found
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _same_outcome(left: StepFacts, right: StepFacts) -> bool:
    same = (left.status, left.error_code) == (right.status, right.error_code)
    return same and not any(places(left.output, right.output))


def _outcome(left: StepFacts, right: StepFacts, kind: DivergenceKind, why: str) -> Iterator[Divergence]:
    """The places where two outcomes differ, all of one class. Hashes are named only where nothing else differs."""
    one = {"status": left.status, "error_code": left.error_code, "output": left.output}
    other = {"status": right.status, "error_code": right.error_code, "output": right.output}
    found = [told(place) for place in places(one, other)]
    if not found and left.step_hash != right.step_hash and kind == "TAMPERED":
        found = [told(Place(("step_hash",), left.step_hash, right.step_hash))]
    for place in found:
        yield Divergence(f"step {left.index}", left.step_id, *place, kind, why)


def _of_starts(left: RunFacts, right: RunFacts) -> Iterator[Divergence]:
    rules: tuple[tuple[str, DivergenceKind, str], ...] = (
        ("seed", "SEED_DRIFT", "the runs have different seeds"),
        ("workflow", "CODE_CHANGE", "the runs are of different workflows or versions"),
        ("spec_hash", "CODE_CHANGE", "the specs differ"),
        ("source_hash", "CODE_CHANGE", "the functions' sources differ"),
        ("inputs_hash", "EXTERNAL_VARIATION", "the runs were given different inputs"),
    )
    for name, kind, why in rules:
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            yield Divergence("run_start", None, *told(Place((name,), one, other)), kind, why)


def _lacking(
    step: StepFacts, run: RunFacts, before: Sequence[Divergence], side: Literal["left", "right"]
) -> Divergence:
    """The difference that `run`, on that side, has no such step."""
    first = _cause(before, volatile_too=True)
    kind, why, follows = _structure(first, "the same spec and outcomes led to other steps")
    if first is None and (run.cut or not run.ended):
        kind, why = "EXTERNAL_VARIATION", "one run was cut short, or goes on"
    sides = ("nothing", "it is there") if side == "left" else ("it is there", "nothing")
    return Divergence(f"step {step.index}", step.step_id, "", *sides, kind, why, follows)


def _of_ends(
    left: RunFacts, right: RunFacts, before: Sequence[Divergence], volatile: Collection[str]
) -> Iterator[Divergence]:
    one = {"status": left.status, "error_code": left.error_code, "output": left.output}
    other = {"status": right.status, "error_code": right.error_code, "output": right.output}
    first = _cause(before, volatile_too=only_volatile(left.output, right.output, volatile))
    kind, why, follows = _structure(first, "the same spec and outcomes led to another end")
    if first is None and (left.cut or right.cut or not (left.ended and right.ended)):
        kind, why = "EXTERNAL_VARIATION", "one run was cut short, or goes on"
    for place in places(one, other):
        yield Divergence("run_end", None, *told(place), kind, why, follows)


def _cause(before: Sequence[Divergence], *, volatile_too: bool) -> Divergence | None:
    """What explains later differences: the first that is more than a time in an output, else the first."""
    first = next((each for each in before if each.kind != "VOLATILE_LEAK"), None)
    return first or (before[0] if before and volatile_too else None)


def _structure(first: Divergence | None, otherwise: str) -> tuple[DivergenceKind, str, str | None]:
    if first is None:
        return "DETERMINISM_VIOLATION", otherwise, None
    return first.kind, f"it follows from {first.event}{first.pointer and ' ' + first.pointer}", first.event


def _following(found: Divergence, event: str | None) -> Divergence:
    return replace(found, follows=event)
