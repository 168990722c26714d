"""A run as it stood at some point of its past, and what would have come next: folded, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.code_state import CodeState
from ..core.decide import decide
from ..core.durations import seconds_of
from ..core.errors import CallError, Problem, RunNotFoundError
from ..core.events import Event
from ..core.ids import check_run_id, check_tenant, stream_of
from ..core.limits import Limits
from ..core.results import result_of
from ..core.run_state import RunState
from ..core.spec_state import SpecState
from ..core.state import evolve, fold
from ..core.step_events import StepIndex
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from .times import iso

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = 'give an event\'s number, a time with its zone such as 2026-01-02T03:04:05Z, or a time ago such as "-5m"'


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a run's past: after its event `number`, or (None) at the time `at`, microseconds since the epoch."""

    at: int
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """What follows from a state: `records` are the topics and steps of events that need nothing to happen, `runs` the
    steps that would be executed then, `wake` when something happens by itself (µs since the epoch).

    Of a function only driving its code tells what it asks for: None where that was not done, and `fault` why it could
    not be.
    """

    records: Sequence[tuple[str, str | None]] = ()
    runs: Sequence[str] | None = ()
    wake: int | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run after the first `len(events)` of the `known` events that it has by now, looked at at the time `at`."""

    state: RunState
    events: Sequence[Event]
    known: int
    at: int

    def to_json(self, following: Next) -> dict[str, Any]:
        """All of the state as a JSON object, and what would come next."""
        state, started = self.state, self.state.started
        code = state if isinstance(state, CodeState) else None
        return {
            **result_of(state).to_json(),
            "tenant": started.tenant,
            "workflow_version": started.workflow_version,
            "seed": started.seed,
            "agent_id": started.agent_id,
            "inputs": started.inputs.value,
            "queue": started.queue,
            "parent": started.parent,
            "continues": started.continues,
            "forked": None if started.forked is None else asdict(started.forked),
            "event": len(self.events),
            "events": self.known,
            "at": iso(self.at),
            "started_at": iso(started.at),
            "updated_at": iso(self.events[-1].at),
            "waits": [
                {
                    "step_id": wait.step_id,
                    "signal": wait.signal,
                    "child": wait.child,
                    "until": None if wait.until is None else iso(wait.until),
                    "fails": wait.fails,
                }
                for wait in (state.waits[index] for index in state.in_order(state.waits))
            ],
            "timers": [{"of": name, "due": iso(due)} for name, due in timers(state)],
            "signals": {name: [body.value for body in bodies] for name, bodies in state.signals.items() if bodies},
            "children": {
                name: {"status": child.status, "error_code": child.error_code} for name, child in state.children.items()
            },
            "progress": {name_of(state, index): told.value for index, told in state.progress.items()},
            "begun": [name_of(state, index) for index in state.in_order(state.announced)],
            "reused": {name_of(state, index): reused._asdict() for index, reused in state.reused.items()},
            "attributes": state.attributes,
            "patches": [] if code is None else sorted(code.patches),
            "messages_taken": state.taken,
            "next": {
                "records": [{"topic": topic, "step_id": step_id} for topic, step_id in following.records],
                "runs": None if following.runs is None else list(following.runs),
                "wake": None if following.wake is None else iso(following.wake),
                "fault": following.fault,
            },
        }


def read_moment(text: str | None, now: int) -> Moment:
    """The moment that a person means; None is now, µs since the epoch. Raises CallError."""
    if text is None:
        return Moment(now)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return Moment(now, int(text))
    try:
        if text.startswith("-"):
            return Moment(now - int(seconds_of(text[1:]) * 1_000_000))
        moment = datetime.fromisoformat(text)
    except (CallError, ValueError):
        raise CallError(Problem("/at", f"{text[:60]!a} is no point of a run's past", _FORMS)) from None
    if moment.tzinfo is None:
        raise CallError(Problem("/at", f"the time {text!a} has no zone", f"write {text}Z for UTC"))
    at = moment - _EPOCH
    return Moment((at.days * 86_400 + at.seconds) * 1_000_000 + at.microseconds)


def look_back(store: Store, run_id: str, tenant: str, moment: Moment) -> PastRun:
    """The run as it stood then. Raises RunNotFoundError, CallError for before its beginning or beyond its end."""
    stream = stream_of(check_tenant(tenant), check_run_id(run_id))
    known = EventLog(store, "").events(stream)
    if not known:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    number = moment.number
    if number is None:
        number = sum(event.at <= moment.at for event in known)
        if not number:
            reason = f"at {iso(moment.at)} there was no run {run_id!r}: it began at {iso(known[0].at)}"
            raise CallError(Problem("/at", reason, "ask for a later time"))
    elif not 1 <= number <= len(known):
        reason = f"run {run_id!r} has no event {number}: it has {len(known)}"
        raise CallError(Problem("/at", reason, f"give 1 to {len(known)}"))
    events = known[:number]
    # After an event nothing is due that was not due as it was recorded; at a time, all that was due by then.
    at = moment.at if moment.number is None else events[-1].at
    return PastRun(fold(events), events, len(known), at)


def what_next(past: PastRun) -> Next:
    """What follows from a spec's state by the rules alone; of a function's, its timers only."""
    state = past.state
    if not isinstance(state, SpecState):
        return Next(runs=None, wake=min((due for _, due in timers(state)), default=None))
    state, records = deepcopied(state), list[tuple[str, str | None]]()
    decision = decide(state, past.at, (), Limits())
    while decision.events:
        for event in decision.events:
            evolve(state, event)
            records.append((event.topic, getattr(event, "step_id", None)))
        decision = decide(state, past.at, (), Limits())
    return Next(records, [name_of(state, each.index) for each in decision.execute], decision.wake)


def deepcopied(state: SpecState) -> SpecState:
    """A state that can be evolved while the other stays as it is; the plan, which nobody alters, is shared."""
    return deepcopy(state, {id(state.plan): state.plan, id(state.started): state.started})


def timers(state: RunState) -> list[tuple[str, int]]:
    """What happens by itself when its time comes (µs since the epoch), the earliest first: waits, retries, the run's
    time limit (named `run`)."""
    if state.end is not None:
        return []
    found = [(wait.step_id, wait.until) for wait in state.waits.values() if wait.until is not None]
    found += [(name_of(state, index), pending.due) for index, pending in state.attempted.items()]
    if state.deadline is not None:
        found.append(("run", state.deadline))
    return sorted(found, key=lambda timer: (timer[1], timer[0]))


def name_of(state: RunState, index: StepIndex) -> str:
    """The id of a step of the run."""
    if isinstance(state, SpecState):
        return state.plan.steps[int(index)].step_id
    return state.calls[str(index)].step_id if isinstance(state, CodeState) else str(index)
