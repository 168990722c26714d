"""A run's state as JSON and back: what a checkpoint holds.

What `restore` makes of `snapshot(state)` and `outputs(state)`, written down and read, is equal to `state`, and goes on
as it does. What follows from the plan and
the outcomes is not written down but computed again. Of a function's run only the state comes back: where its code
stands only the code knows, which is driven through the whole history as before.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_args, get_type_hints

from .approvals import restored as approval_restored
from .canonical import Payload, composed
from .code_state import Called, CodeState
from .errors import IntegrityError
from .events import EVENTS, Cut, Event, Fork
from .run_state import Outcome, Pending, Reused, RunState
from .spec_state import SpecState
from .state import start

FORMAT = 1
"""The version of what `snapshot` writes."""


def outputs(state: RunState) -> dict[str, Payload]:
    """The output of every completed step, by step id, in index order; for `composed`."""
    return {step_id: outcome.output for _, step_id, outcome in _ended(state) if outcome.output is not None}


def snapshot(state: RunState) -> dict[str, Any]:
    """All of the state but for the outputs of completed steps (`outputs`), as JSON with payloads in it.

    `canonical.composed` writes it down.
    """
    told: dict[str, Any] = {
        "format": FORMAT,
        "started": _told(state.started),
        "attempted": [[index, *pending] for index, pending in sorted(state.attempted.items())],
        "announced": sorted(state.announced),
        "waits": [_told(wait) for _, wait in sorted(state.waits.items())],
        "progress": [[index, payload] for index, payload in sorted(state.progress.items())],
        "signals": {name: list(bodies) for name, bodies in state.signals.items()},
        "children": [_told(state.children[name]) for name in sorted(state.children)],
        "attributes": state.attributes,
        "ended_steps": state.ended_steps,
        "cost_cents": state.cost_cents,
        "paused": state.paused,
        "parked": None if state.parked is None else _told(state.parked),
        "cancelling": None if state.cancelling is None else _told(state.cancelling),
        "taken": state.taken,
        "end": None if state.end is None else _told(state.end),
        # The outputs stand beside, in `outputs`.
        "outcomes": [
            [index, status, attempt, inputs_hash, None, code, message, step_hash, cost]
            for index, _, (status, attempt, inputs_hash, _, code, message, step_hash, cost) in _ended(state)
        ],
    }
    for name in ("cleared", "deferred"):
        if attempts := getattr(state, name):
            told[name] = [[index, attempt] for index, attempt in sorted(attempts.items())]
    if state.approvals:
        told["approvals"] = [[_told(each.requested), each.to_json()] for _, each in sorted(state.approvals.items())]
    if state.reused:
        told["reused"] = [[index, *reused] for index, reused in sorted(state.reused.items())]
    if isinstance(state, CodeState):
        told["calls"] = [[path, *called] for path, called in state.calls.items()]
        told["patches"] = sorted(state.patches)
    return told


def start_text(started: Event) -> bytes:
    """The canonical JSON of what a snapshot of a run that began with `started` has as its member `started`."""
    return composed(_told(started))


def restore(told: Mapping[str, Any], outputs: Mapping[str, Any], started: Event | None = None) -> RunState:
    """The state that `snapshot` and `outputs` have written down, as `decode` reads it: it is trusted to be canonical.

    `started` is the run's first event where `told` is without it. Raises IntegrityError for anything else.
    """
    try:
        if told["format"] != FORMAT:
            raise IntegrityError(f"a snapshot of format {told['format']!r} cannot be read by this version")
        return _restored(told, outputs, _read(told["started"]) if started is None else started)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise IntegrityError(f"the snapshot cannot be read: {type(error).__name__} {error}") from None


def _restored(told: Mapping[str, Any], outputs: Mapping[str, Any], started: Event) -> RunState:
    state = start(started)
    state.attempted = {index: Pending(*pending) for index, *pending in told["attempted"]}
    state.announced = set(told["announced"])
    waits: list[Any] = [_read(each) for each in told["waits"]]
    state.waits = {wait.index: wait for wait in waits}
    state.progress = {index: Payload.decoded(value) for index, value in told["progress"]}
    state.cleared = dict(told.get("cleared", ()))
    state.deferred = dict(told.get("deferred", ()))
    state.reused = {index: Reused(*reused) for index, *reused in told.get("reused", ())}
    state.signals = {name: deque(map(Payload.decoded, bodies)) for name, bodies in told["signals"].items()}
    children: list[Any] = [_read(each) for each in told["children"]]
    state.children = {child.child: child for child in children}
    for requested, approval in told.get("approvals", ()):
        asked: Any = _read(requested)
        state.approvals[asked.index] = approval_restored(asked, approval)
    state.attributes = dict(told["attributes"])
    state.ended_steps = told["ended_steps"]
    state.cost_cents = told["cost_cents"]
    state.paused = told["paused"]
    state.taken = told["taken"]
    for name in ("parked", "cancelling", "end"):
        setattr(state, name, None if told[name] is None else _read(told[name]))
    if isinstance(state, CodeState):
        state.calls = called = {path: Called(step_id, skill_id) for path, step_id, skill_id in told["calls"]}
        for path, *outcome in told["outcomes"]:
            state.outcomes[path] = _outcome(outcome, called[path].step_id, outputs)
        state.patches = set(told["patches"])
    elif isinstance(state, SpecState):
        steps = state.plan.steps
        index: int
        for index, *outcome in told["outcomes"]:
            state.outcomes[index] = _outcome(outcome, steps[index].step_id, outputs)
        _advance(state)
    return state


def _ended(state: RunState) -> list[tuple[Any, str, Outcome]]:
    """Index, step id and outcome of every step that has ended, in the order in which outcomes are kept."""
    if isinstance(state, SpecState):
        steps = state.plan.steps
        return [(at, steps[at].step_id, each) for at, each in enumerate(state.outcomes) if each is not None]
    if isinstance(state, CodeState):
        return [(path, state.calls[path].step_id, each) for path, each in state.outcomes.items()]
    raise TypeError(type(state).__name__)


def _outcome(told: list[Any], step_id: str, outputs: Mapping[str, Any]) -> Outcome:
    if told[0] == "completed":
        told[_OUTPUT] = Payload.decoded(outputs[step_id])
    return Outcome._make(told)


_OUTPUT = Outcome._fields.index("output")


def _advance(state: SpecState) -> None:
    """What follows from the outcomes: see `SpecState.close`, which does the same one outcome at a time."""
    state.ready.clear()
    for step in state.plan.steps:
        outcome = state.outcomes[step.index]
        state.unmet[step.index] = sum(state.outcomes[each] is None for each in step.dependencies)
        if outcome is None and not state.unmet[step.index]:
            insort(state.ready, step.index)
        if outcome is None or outcome.status == "completed":
            continue
        if outcome.status == "failed" and step.on_error == "abort" and state.abort_at is None:
            state.abort_at = step.index
            state.counted = step.index + 1
        if outcome.status == "skipped" or step.on_error == "skip":
            for dependent in step.dependents:
                state.doomed.setdefault(dependent, step.step_id)
    state.skippable = {index for index in state.ready if index in state.doomed}
    while state.leading < len(state.outcomes) and state.outcomes[state.leading] is not None:
        state.leading += 1


class _Shape(NamedTuple):
    """An event's class, and which of its fields hold payloads or other classes of ours."""

    cls: Callable[..., Event]
    names: tuple[str, ...]
    values: Callable[[Event], tuple[Any, ...]]
    payloads: frozenset[str]
    parts: dict[str, Callable[..., Any]]


@cache
def _shape(topic: str) -> _Shape:
    cls = EVENTS[topic]
    hints = get_type_hints(cls)
    names = tuple(field.name for field in fields(cls))

    def of(kind: type) -> frozenset[str]:
        return frozenset(name for name in names if kind in (hints[name], *get_args(hints[name])))

    parts = {name: part for part in (Cut, Fork) for name in of(part)}
    return _Shape(cls, names, attrgetter(*names), of(Payload), parts)


def _told(event: Event) -> dict[str, Any]:
    shape = _shape(event.topic)
    told: dict[str, Any] = dict(zip(shape.names, shape.values(event), strict=True))
    for name in shape.payloads:
        if told[name] is not None:
            # None stands for no payload, so one that holds null must look otherwise.
            told[name] = {"json": told[name]}
    for name in shape.parts:
        if told[name] is not None:
            told[name] = asdict(told[name])
    told["topic"] = event.topic
    return told


def _read(told: Mapping[str, Any]) -> Event:
    shape = _shape(told["topic"])
    values: list[Any] = []
    for name in shape.names:
        value: Any = told[name]
        if value is not None and name in shape.payloads:
            value = Payload.decoded(value["json"])
        elif value is not None and name in shape.parts:
            value = shape.parts[name](**value)
        values.append(value)
    return shape.cls(*values)
