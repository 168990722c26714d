"""What a run or a golden says that it did, in the plain values that `core.divergence` compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..core.code_state import CodeState
from ..core.divergence import RunFacts, StepFacts
from ..core.events import Event, RunCancelled, RunCompleted, RunFailed, RunTimedOut, StepReused, StepWaiting
from ..core.run_state import Outcome, RunState
from ..core.seeds import step_seed
from ..core.spec_state import SpecState
from ..core.state import fold
from ..core.step_events import StepIndex
from ..eventstore.codec import decode, open_envelope, references
from ..eventstore.store import Store
from .golden_faults import GoldenFault, check_golden, lines_of

Deterministic = Callable[[str], bool | None]
"""Whether the skill of a name declares itself deterministic; None where it is not known."""

_CUT = ("cancelled", "timed_out")


def golden_facts(data: bytes, deterministic: Deterministic, fault: str | None = None) -> RunFacts:
    """What a golden says. `fault` is what is known to be wrong with it, its signature say; damage is found here."""
    try:
        first = lines_of(data)[0]
        start, *steps, end = check_golden(data, str(first.get("tenant")), str(first.get("run_id")))
    except GoldenFault as found:
        return _unbelieved(fault or str(found))
    if fault is not None:
        return _unbelieved(fault)
    return RunFacts(
        workflow=start["spec_id"],
        seed=start["seed"],
        spec_hash=start["spec_hash"],
        source_hash=start["source_hash"],
        inputs_hash=start["inputs_hash"],
        steps=[_of_line(line, deterministic) for line in steps],
        status=end["status"],
        output=end["output"],
        error_code=end["error_code"],
        cut=end["status"] in _CUT,
    )


def run_facts(store: Store, stream: str, deterministic: Deterministic, fault: str | None = None) -> RunFacts:
    """What the log says of a run, ended or not; there must be one. `fault` is what a verification has found.

    Raises IntegrityError for what does not fold, unless there is a `fault`.
    """
    if fault is not None:
        return _unbelieved(fault)
    records = store.read(stream)
    large = store.large(sorted(references(records)))
    events = [decode(record, large) for record in records]
    state = fold(events)
    builds = {index_of(event): open_envelope(record).build for event, record in zip(events, records, strict=True)}
    started, end = state.started, state.end
    ended_badly = isinstance(end, RunFailed | RunCancelled | RunTimedOut)
    return RunFacts(
        workflow=f"{started.workflow_type}#{started.workflow_version}",
        seed=started.seed,
        spec_hash=None if started.spec is None else started.spec.sha256,
        source_hash=started.source,
        inputs_hash=started.inputs.sha256,
        steps=list(_of_state(state, _Events(events, builds), deterministic)),
        status=state.status,
        output=end.output.value if isinstance(end, RunCompleted) else None,
        error_code=end.error_code if ended_badly else None,
        ended=end is not None,
        cut=state.status in _CUT,
    )


def index_of(event: Event) -> StepIndex | None:
    """The index of the step that an outcome is of; None for any other event."""
    return getattr(event, "index", None) if hasattr(event, "step_hash") else None


class _Events:
    """What of a run's events its state does not hold."""

    def __init__(self, events: list[Event], builds: dict[StepIndex | None, str]):
        waited = {event.index for event in events if isinstance(event, StepWaiting)}
        self.outside = waited | {event.index for event in events if isinstance(event, StepReused) and event.given}
        reused = {event.index for event in events if isinstance(event, StepReused)}
        # By which build the parent of a fork did it, the fork does not say.
        self.builds = {index: build for index, build in builds.items() if index not in reused}
        self.versions = {index_of(event): getattr(event, "skill_version", None) for event in events}


def _of_state(state: RunState, told: _Events, deterministic: Deterministic) -> Iterator[StepFacts]:
    for index, step_id, skill_id, outcome in _outcomes(state):
        yield StepFacts(
            index=index,
            step_id=step_id,
            skill_id=skill_id,
            seed=step_seed(state.started.seed, index),
            status=outcome.status,
            inputs_hash=outcome.inputs_hash,
            output=None if outcome.output is None else outcome.output.value,
            error_code=outcome.error_code,
            step_hash=outcome.step_hash,
            skill_version=told.versions.get(index) or None,
            build=told.builds.get(index),
            deterministic=deterministic(skill_id),
            outside=index in told.outside,
        )


def _outcomes(state: RunState) -> Iterator[tuple[StepIndex, str, str, Outcome]]:
    if isinstance(state, SpecState):
        for step in state.plan.steps[: state.counted]:
            outcome = state.outcomes[step.index]
            if outcome is not None:
                yield step.index, step.step_id, step.skill_id, outcome
    elif isinstance(state, CodeState):
        for path in state.in_order(state.outcomes):
            called = state.calls[path]
            yield path, called.step_id, called.skill_id, state.outcomes[path]


def _of_line(line: dict[str, Any], deterministic: Deterministic) -> StepFacts:
    return StepFacts(
        index=line["index"],
        step_id=line["step_id"],
        skill_id=line["skill_id"],
        seed=line["seed"],
        status=line["status"],
        inputs_hash=line["inputs_hash"],
        output=line["output"],
        error_code=line["error_code"],
        step_hash=line["step_hash"],
        deterministic=deterministic(line["skill_id"]),
    )


def _unbelieved(fault: str) -> RunFacts:
    return RunFacts("", 0, None, None, None, (), "", None, None, fault=fault)
