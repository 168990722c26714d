"""Forking runs: the parent is read, what the fork takes over is worked out, and both its beginnings are one append."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import uuid_utils

from ..changes import Changes, read_changes
from ..code_state import CodeState
from ..errors import (
    CallError,
    NondeterminismError,
    OwnershipLostError,
    PolicyViolationError,
    Problem,
    RunConflictError,
)
from ..events import AttributesSet, Event, RunFailed, RunStarted, StepReused
from ..forking import Parent, Wanted, first_failed, forked, path_of
from ..ids import check_queue, check_run_id, check_tenant, stream_of
from ..paths import order_of
from ..run_state import RunState
from ..state import fold, start
from .admission import MAX_LABEL, check_served, check_text
from .functions.code_decider import CodeDecider
from .history import History
from .host import Host
from .services import Services

Followed = Callable[[RunState], Awaitable[RunState]]
"""Gives the state of the run that continues a run, and so on, worked on to its end."""


class Forks:
    """Makes forks, and has those run that are wanted here."""

    def __init__(self, services: Services, history: History, host: Host, followed: Followed):
        """`followed` works on what continues a run that has ended so."""
        self._services = services
        self._history = history
        self._host = host
        self._followed = followed

    async def fork(
        self,
        run_id: str,
        from_step: str | None,
        changes: Mapping[str, Any],
        new_id: str | None,
        queue: str | None,
        by: str,
        tenant: str,
        *,
        retry: bool = False,
        here: bool,
    ) -> RunState:
        """See `Engine.fork` and `Engine.retry`."""
        parent = await self._parent(stream_of(check_tenant(tenant), check_run_id(run_id)))
        state = parent.state()
        if retry:
            from_step = first_failed(state)
        elif from_step is None and not changes:
            raise CallError(Problem("", "a fork without a step and without a change is the same run", "give either"))
        wanted = Wanted(
            str(uuid_utils.uuid7()) if new_id is None else check_run_id(new_id),
            from_step,
            read_changes(changes),
            self._services.clock.now(),
            check_text("the name of who forks", by, MAX_LABEL),
            None if queue is None else check_queue(queue),
        )
        if here:
            check_served(state, self._services.skills)
            await self._host.check_stops(state.started)
        events = self._of_function(parent, state, wanted) if isinstance(state, CodeState) else forked(parent, wanted)
        self._check_sizes(events)
        await self._check_plan(fold(events).started)
        made = await self._record(events, here)
        if not here:
            return made
        stream = stream_of(made.started.tenant, made.started.run_id)
        return await self._followed(await self._host.enter(stream, lambda: self._host.go_on(stream)))

    async def _parent(self, stream: str) -> Parent:
        events, head = await self._history.whole(stream)
        return Parent(events, head.hash or "")

    def _of_function(self, parent: Parent, state: CodeState, wanted: Wanted) -> list[Event]:
        """The fork of a function. Where its code is here, it is driven: what it takes over must be what it asks for.

        A change may lead it to ask for something else: from that call on everything runs again.
        """
        workflow = self._services.skills.workflow(state.started.workflow_type)
        if workflow is None:
            return forked(parent, wanted, _unaided(state, wanted.changes))
        before: str | None = None
        while True:
            events = forked(parent, wanted, before)
            started = start(events[0]).started
            workflow.checked_inputs(started.inputs.revealed().value, self._services.limits)
            source, version = workflow.source, workflow.version
            events[0] = replace(
                started, source=source, workflow_version=version, timeout_seconds=workflow.timeout_seconds
            )
            fault, events = self._driven(events)
            if fault is None:
                return events
            path = fault.details.get("path")
            if not wanted.changes or not isinstance(path, str):
                raise fault
            before = path

    def _driven(self, events: list[Event]) -> tuple[NondeterminismError | None, list[Event]]:
        """What the code has against these events, and the events with the attributes that it sets on the way."""
        found: list[Event] = []
        decider = CodeDecider(
            [event for event in events if not isinstance(event, AttributesSet)],
            self._services.skills,
            self._services.limits,
        )
        try:
            for event in decider.replay():
                if isinstance(event, StepReused):
                    found += [replace(mark, at=event.at) for mark in decider.marks if isinstance(mark, AttributesSet)]
                found.append(event)
            fault = decider.fault
        finally:
            decider.close()
        return None if fault is None else NondeterminismError(fault.message, fault.details.value), [events[0], *found]

    async def _check_plan(self, started: RunStarted) -> None:
        """Raises PolicyViolationError where the sandbox refuses the plan, as it stands after the changes."""
        for refusal in await self._host.judged(started):
            if isinstance(refusal, RunFailed):
                raise PolicyViolationError(refusal.message, refusal.error_code)

    def _check_sizes(self, events: list[Event]) -> None:
        most = self._services.limits.payload_bytes
        for event in events:
            for name in ("inputs", "output"):
                payload = getattr(event, name, None)
                if payload is not None and len(payload) > most:
                    reason = f"the {name} of {getattr(event, 'step_id', 'the run')} has more than {most} bytes"
                    raise CallError(Problem("", reason, "store it elsewhere, give where"))

    async def _record(self, events: list[Event], here: bool) -> RunState:
        started, following = fold(events).started, events[1:]
        stream = stream_of(started.tenant, started.run_id)
        try:
            await self._host.record_start(stream, started, self._services.lease_seconds if here else 0, following)
        except OwnershipLostError:
            recorded = await self._history.events(stream)
            if [replace(event, at=0) for event in recorded[: len(events)]] != [replace(e, at=0) for e in events]:
                reason = f"run {started.run_id!r} exists and is no such fork; choose another run id"
                raise RunConflictError(reason) from None
            return fold(recorded)
        if self._services.observer is not None:
            for number, event in enumerate(events, 1):
                self._services.observer(stream, number, event)
        return fold(events)


def _unaided(state: CodeState, changes: Changes) -> str | None:
    """Before which call everything is taken over where only workers have the code: nobody here can say what follows
    from a change, so everything after it runs again."""
    if changes.inputs and changes.outputs:
        reason = "what follows from other inputs only the code can tell, and it is not here"
        raise CallError(Problem(changes.inputs[0].pointer, reason, "load the module that has it: --skills MODULE"))
    if changes.inputs:
        return "0"
    paths = sorted((path_of(state, step) for step in changes.outputs), key=order_of)
    if len(paths) > 1:
        reason = "whether later outputs still apply only the code can tell, and it is not here"
        raise CallError(Problem("", reason, "load the module that has it: --skills MODULE, or give one output"))
    later = sorted((path for path in state.calls if paths and order_of(path) > order_of(paths[0])), key=order_of)
    return later[0] if later else None
