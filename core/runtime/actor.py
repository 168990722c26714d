"""The run actor: it owns one run in memory and is the only one to write its stream.

Outcomes and messages come in, are turned into events, applied to the state, and followed by whatever `decide` says;
all of it goes to the log as one append. What depends on an outcome starts after that append is durable. One append is
under way at a time; what comes in meanwhile waits and shares the next one. When an append is refused, somebody else
owns the run: everything here is void and is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..canonical import Payload
from ..decision import Decision, Execute
from ..errors import RefoldError
from ..events import Event, MessageSent, RunStarted, StepCompleted, StepFailed, StepProgressed, StepStarted
from ..inbox import take
from ..limits import Limits
from ..ports import NEVER, Ack, Append, Dispatch, Head, LedgerChange, Schedule, Timer, Unit, Unschedule
from ..run_state import RunState
from ..step_events import StepIndex
from .attempt import Attempt, Call, Result, Waiting, call_inline
from .brake import Brake
from .clearance import Clearance, clearance_for, settlements
from .decider import Decider
from .outcomes import approval_requested, outcome_event
from .pricing import Step, time_limit
from .relations import Letter, beginnings, children_awaited, handover, letters
from .run_spans import spans_of, work_of
from .services import Family, Services
from .waiters import Waiters

PARK_MICROSECONDS = 1_000_000
"""A run that has nothing to do for longer than this leaves memory."""


class RunActor:
    """One live run. `done` ends with its state, ended or paused with nothing running, or with the error that cut it."""

    def __init__(self, services: Services, stream: str, decider: Decider, head: Head, floor: int = 0):
        """`floor` is a time, in microseconds since the epoch, before which it certainly is not."""
        self.stream = stream
        self.rest: int | None = None
        self.state = state = decider.state
        self.brake = Brake(services.emergency, state.started)
        self._spans = spans_of(services.tracer, stream, state)
        self.head = head
        self._decider = decider
        self.done: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        self._services = services
        self._running: dict[StepIndex, Attempt | asyncio.Task[None] | None] = {}
        self._results: list[Result | StepCompleted | StepFailed] = []
        self._progress: dict[StepIndex, tuple[int, Payload]] = {}
        self._messages: deque[tuple[int, MessageSent]] = deque()
        self._committing = False
        self._lease_given_up = self._draining = self._begun = False
        self._floor = floor
        self._timer: Timer | None = None
        self._delivered = self._stored = state.taken
        self._waiters = Waiters()
        self._clearance: Clearance | None = None
        self._ledger: list[LedgerChange] = []

    def begin(self) -> None:
        """Do what the state asks for."""
        self._begun = True
        self._advance()

    def deliver(self, messages: Sequence[tuple[int, MessageSent]]) -> None:
        """Hand over inbox messages with their versions; those that were handed over before are ignored."""
        new = [(version, message) for version, message in messages if version > self._delivered]
        if new:
            self._delivered = new[-1][0]
            self._messages.extend(new)
            self._advance()

    @property
    def delivered(self) -> int:
        """The version of the last inbox message handed over."""
        return self._delivered

    @property
    def lease_given_up(self) -> bool:
        """Whether the last append has given the lease up and made the run due when it is to come back."""
        return self._lease_given_up

    @property
    def waits(self) -> bool:
        """Whether nothing will happen here before a timer or a message calls."""
        return self._begun and not (self._committing or self._running or self._unheard or self.done.done())

    @property
    def _unheard(self) -> bool:
        """Whether something has come in that is not yet taken."""
        answered = self._clearance is not None and not self._clearance.idle
        return bool(self._results or self._messages or self._progress or answered)

    def drain(self) -> None:
        """Start nothing more: what runs ends and is recorded, then the run is left for others, due at once."""
        self._draining = True
        self._advance()

    def heed(self) -> None:
        """Emergency stops have changed: hold back, or go on."""
        self.brake.moved = True
        if self._begun:
            self._advance()

    async def taken(self, version: int) -> None:
        """Wait until the inbox message of `version` is taken and that is durable, or until the run is done."""
        while self._stored < version and not self.done.done():
            await self._waiters.wait()

    def abandon(self, error: BaseException) -> None:
        """Drop the run: stop what runs, record nothing more, let `done` end with `error`."""
        self._stop()
        if not self.done.done():
            self.done.set_exception(error)
        self._waiters.wake()

    def _advance(self) -> None:
        if self._committing or self.done.done():
            return
        try:
            self._follow_up()
        except Exception as error:  # a fault in here must end the run with an answer, not leave its caller waiting
            self.abandon(error)

    def _follow_up(self) -> None:
        state, limits = self.state, self._services.limits
        if self._draining:
            limits = limits._replace(parallel_steps=0)
        if self._clearance is None:
            self._clearance = clearance_for(self._services, self.stream, self._decider, self._advance)
        at = self._now()
        awaited = children_awaited(state) if state.waits else ()
        events: list[Event] = []
        begun: list[RunStarted] = []
        if self._results:
            self._take_results(at, events, begun)
        if self._progress:
            self._take_progress(at, events)
        if self._messages:
            self._take_messages(at, events)
        self._cancel(self.brake.look(self._running, draining=self._draining))
        if self._clearance is not None and not self._clearance.idle:
            for made in self._clearance.take_answers(at, self._running):
                self._apply(made, events)
        decision = self._decide(at, limits)
        while decision.events:
            self._apply(decision.events, events)
            begun.extend(decision.begins)
            decision = self._decide(at, limits)
        if state.deferred or self.brake.withheld:
            self._apply(tuple(self.brake.recorded(self._decider, decision.execute, at)), events)
        if self._clearance is not None and state.cleared:
            self._apply(tuple(self._clearance.unused(at, self._running)), events)
        for execute in decision.execute:
            self._running[execute.index] = None
            self._announce(execute, at, events)
        self.rest = self._rest(decision, at)
        if events:
            # One that begins with these events may be waited for no longer by their end.
            known = {*awaited, *(each.run_id for each in begun if each.awaited == each.run_id)} if begun else awaited
            self._append(events, decision, begun, letters(state, known, events))
        elif self._rests():
            self._finish()
        else:
            self._launch(decision)

    def _apply(self, made: Sequence[Event], events: list[Event]) -> None:
        """Take in what has happened, for the next append."""
        for event in made:
            if self.state.cleared:
                self._ledger.extend(settlements(self.state, self.stream, event))
            self._decider.apply(event)
        events.extend(made)

    def _decide(self, at: int, limits: Limits) -> Decision:
        """What follows now, emergency stops and policies heard."""
        clearance = self._clearance
        if clearance is None:
            return self.brake.withhold(self._decider.decide(at, self._running, limits))
        later = clearance.later(at)
        decision = self._decider.decide(at, self._running | later if later else self._running, limits)
        if later:
            wake = min(later.values())
            decision = decision._replace(wake=wake if decision.wake is None else min(wake, decision.wake))
        decision = self.brake.withhold(decision)
        if not decision.execute:
            return decision
        decision, asked = clearance.sift(decision, at, self._running)
        self._running.update(dict.fromkeys(asked))
        return decision

    def _now(self) -> int:
        """The time of day, never going back, nor behind the database's when the run was claimed."""
        self._floor = max(self._floor, self._services.clock.now())
        return self._floor

    def _rest(self, decision: Decision, at: int) -> int | None:
        """When the run is next due, if until then nothing happens and it may leave memory; None if it stays."""
        if self._running or self.state.end is not None:
            return None
        until = NEVER if decision.wake is None else decision.wake
        if self.brake.withheld:
            return self.brake.due(at, until)
        if self._draining:
            return min(at, until)
        parks = until - at > PARK_MICROSECONDS if self._services.parks else self.brake.stop is not None
        return until if self.state.paused or self.state.parked is not None or parks else None

    def _rests(self) -> bool:
        """Whether nothing more will happen here: the run has ended, or it rests and all has been heard."""
        return self.state.end is not None or (self.rest is not None and not self._messages)

    def _finish(self) -> None:
        self._stop()
        self.done.set_result(self.state)

    def _take_results(self, at: int, events: list[Event], begun: list[RunStarted]) -> None:
        decider = self._decider
        for result in self._results:
            index = result.index
            if self._running.pop(index, _ABSENT) is _ABSENT or decider.abandoned((index,)):
                continue
            event = outcome_event(self.state, decider.step(index), result, at)
            if isinstance(result, Result) and result.begins is not None and not isinstance(event, StepFailed):
                begun.append(result.begins)
            self._apply((event,) if (asked := approval_requested(event, result)) is None else (event, asked), events)
        self._results.clear()

    def _take_progress(self, at: int, events: list[Event]) -> None:
        for index, (attempt, details) in self._progress.items():
            if index in self._running:
                step = self._decider.step(index)
                self._apply((StepProgressed(at, index, step.step_id, step.skill_id, attempt, details),), events)
        self._progress.clear()

    def _take_messages(self, at: int, events: list[Event]) -> None:
        while self._messages and self.state.end is None:
            version, message = self._messages.popleft()
            self._apply((take(self.state, at, version, message),), events)

    def _announce(self, execute: Execute, at: int, events: list[Event]) -> None:
        if (skill := self._decider.skill(execute.index)) is not None and skill.at_most_once:
            step = self._decider.step(execute.index)
            self._apply((StepStarted(at, step.index, step.step_id, step.skill_id, execute.attempt),), events)

    def _append(
        self, events: list[Event], decision: Decision, begun: Sequence[RunStarted], told: Sequence[Letter]
    ) -> None:
        state = self.state
        dispatch: list[Dispatch] = []
        if state.end is not None:
            dispatch.append(Unschedule(self.stream))
        elif self.rest is not None:
            dispatch.append(Schedule(self.stream, 0, self.rest, state.taken))
            self._lease_given_up = True
        elif self._lease_given_up:
            dispatch.append(Schedule(self.stream, self._services.lease_seconds, state.started.at))
            self._lease_given_up = False
        appends = [Append(self.stream, self.head, events)]
        if begun:
            firsts, rows = beginnings(begun)
            appends.extend(firsts)
            dispatch.extend(rows)
        ledger, self._ledger = self._ledger, []
        self._committing = True

        def committed(ack: Ack) -> None:
            self._committed(ack, appends, decision)
            if ledger and self._services.gate is not None:
                self._services.gate.gave_back(len(ledger))

        unit, family = Unit(appends, dispatch, ledger), self._services.family
        legacy = handover(state)
        if (told or legacy) and family is not None:
            family.append(unit, told, legacy, committed)
        else:
            self._services.journal.append(unit, committed)

    def _committed(self, ack: Ack, appends: Sequence[Append], decision: Decision) -> None:
        self._committing = False
        if self.done.done():
            return
        if isinstance(ack, RefoldError):
            self.abandon(ack)
            return
        try:
            self._stored_now(ack, appends, decision)
        except Exception as error:  # an observer's, say; the neighbours in the same commit must not suffer
            self.abandon(error)
        self._waiters.wake()

    def _stored_now(self, ack: Sequence[Head], appends: Sequence[Append], decision: Decision) -> None:
        self.head = ack[0]
        self._services.stored(appends, self._spans)
        self._stored = self.state.taken
        if self._rests():
            self._finish()
            return
        abandoned = self._decider.abandoned(self._running)
        self._cancel(abandoned)
        self._launch(decision)
        # What was abandoned held slots, and kept a run with nothing else to do from its rest.
        if abandoned or self._unheard or self.brake.moved:
            self._advance()

    def _launch(self, decision: Decision) -> None:
        if self._timer is not None or decision.wake is not None:
            self._wake_at(decision.wake)
        for execute in self.brake.permitted(decision.execute, self.state.announced, self._running):
            self._start(execute.index, execute.attempt)
        if self._clearance is not None:
            self._clearance.send()
        if self._results or self.brake.moved:
            self._advance()

    def _start(self, index: StepIndex, attempt: int) -> None:
        services = self._services
        recorded = services.recorded.get(index)
        if recorded is not None:
            self._results.append(recorded)
            return
        call = self._decider.prepare(index, attempt, services.limits)
        if not isinstance(call, Call):
            self._results.append(call)
            return
        step = self._decider.step(index)
        call.work = work_of(self._spans, self.stream, self.state, step, call.skill, attempt)
        if call.skill.inline and call.secrets is None and call.given is None:
            self._ended(call_inline(call, services.limits))
        else:
            if call.given is not None and services.keys is not None:
                call.erased = partial(services.keys.is_destroyed, self.stream)
            timeout = time_limit(step, call.skill)
            self._running[index] = Attempt(
                call, timeout, services.limits, services.pool, self._attempt_ended, self._progressed, services.vault
            )

    def _ended(self, result: Result) -> None:
        """Take in what came of an attempt; a child that it asks for must first be admitted."""
        waiting, family = result.output, self._services.family
        if isinstance(waiting, Waiting) and waiting.wait.child is not None and family is not None:
            # Looked up now: when the task begins the function may have given the call up.
            step = self._decider.step(result.index)
            task = asyncio.get_running_loop().create_task(self._admit(family, step, result))
            self._running[result.index] = task
        else:
            self._results.append(result)

    async def _admit(self, family: Family, step: Step, result: Result) -> None:
        try:
            admitted = await family.admit(self.state, step, result)
        except Exception as error:
            self.abandon(error)
        else:
            self._results.append(admitted)
            self._advance()

    def _progressed(self, index: StepIndex, attempt: int, details: Payload) -> None:
        if index in self._running:
            self._progress[index] = (attempt, details)
            self._advance()

    def _attempt_ended(self, result: Result) -> None:
        self._ended(result)
        self._advance()

    def _wake_at(self, wake: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake is not None:
            self._timer = self._services.timers.after(wake - self._now(), self._advance)

    def _cancel(self, indexes: Sequence[StepIndex]) -> None:
        for index in indexes:
            attempt = self._running.pop(index, None)
            if attempt is not None:
                attempt.cancel()

    def _stop(self) -> None:
        self._wake_at(None)
        self._cancel(list(self._running))
        if self._clearance is not None:
            self._clearance.close()
        self._decider.close()


_ABSENT: Any = object()
