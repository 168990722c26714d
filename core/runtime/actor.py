"""The run actor: it owns one run in memory and is the only one to write its stream.

Outcomes and messages come in, are turned into events, applied to the state, and followed by whatever `decide` says;
all of it goes to the log as one append. What depends on an outcome starts after that append is durable. One append is
under way at a time; what comes in meanwhile waits and shares the next one. When an append is refused, somebody else
owns the run: everything here is void and is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..decide import Decision, Execute, decide
from ..errors import RefoldError, StepError
from ..events import Event, MessageSent, StepCompleted, StepFailed, StepStarted
from ..limits import Limits
from ..ports import NEVER, Ack, Append, Clock, Head, Journal, Schedule, Unit, Unschedule
from ..state import RunState, evolve
from .attempt import Attempt, Call, Result, call_inline, failure_of, prepare
from .outcomes import outcome_event, take
from .registry import SkillRegistry
from .threads import ThreadPool

PARK_MICROSECONDS = 1_000_000
"""A run that has nothing to do for longer than this leaves memory."""

Observer = Callable[[str, int, Event], None]
"""Told of every event once it is durable: stream, version, event."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all actors of an engine share.

    With `parks`, runs with nothing to do for a while leave memory. `recorded` holds outcomes to serve instead of
    executing (for a replay).
    """

    journal: Journal
    skills: SkillRegistry
    clock: Clock
    limits: Limits
    pool: ThreadPool
    lease_seconds: float
    observer: Observer | None = None
    parks: bool = False
    recorded: Mapping[int, StepCompleted | StepFailed] = field(default_factory=dict[int, StepCompleted | StepFailed])


class RunActor:
    """One live run. `done` ends with its state, ended or paused with nothing running, or with the error that cut it."""

    def __init__(self, services: Services, stream: str, state: RunState, head: Head, floor: int = 0):
        """`floor` is a time, in microseconds since the epoch, before which it certainly is not."""
        self.stream = stream
        self.rest: int | None = None
        self.state = state
        self.head = head
        self.done: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        self._services = services
        self._running: dict[int, Attempt | None] = {}
        self._results: list[Result | StepCompleted | StepFailed] = []
        self._messages: deque[tuple[int, MessageSent]] = deque()
        self._committing = False
        self._lease_given_up = self._draining = False
        self._floor = floor
        self._timer: asyncio.TimerHandle | None = None
        self._delivered = self._stored = state.taken
        self._waiters: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        """Do what the state asks for."""
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

    def drain(self) -> None:
        """Start nothing more: what runs ends and is recorded, then the run is left for others, due at once."""
        self._draining = True
        self._advance()

    async def taken(self, version: int) -> None:
        """Wait until the inbox message of `version` is taken and that is durable, or until the run is done."""
        while self._stored < version and not self.done.done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def abandon(self, error: BaseException) -> None:
        """Drop the run: stop what runs, record nothing more, let `done` end with `error`."""
        self._stop()
        if not self.done.done():
            self.done.set_exception(error)
        self._wake_waiters()

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
        at = self._now()
        events = self._take_results(at) if self._results else []
        if self._messages:
            self._take_messages(at, events)
        decision = decide(state, at, self._running, limits)
        while decision.events:
            for event in decision.events:
                evolve(state, event)
            events.extend(decision.events)
            decision = decide(state, at, self._running, limits)
        for execute in decision.execute:
            self._running[execute.index] = None
            self._announce(execute, at, events)
        self.rest = self._rest(decision, at)
        if events:
            self._append(events, decision)
        elif self._rests():
            self._finish()
        else:
            self._launch(decision)

    def _now(self) -> int:
        """The time of day, never going back, nor behind the database's when the run was claimed."""
        self._floor = max(self._floor, self._services.clock.now())
        return self._floor

    def _rest(self, decision: Decision, at: int) -> int | None:
        """When the run is next due, if until then nothing happens and it may leave memory; None if it stays."""
        if self._running or self.state.end is not None:
            return None
        until = NEVER if decision.wake is None else decision.wake
        if self._draining:
            return min(at, until)
        parks = self._services.parks and until - at > PARK_MICROSECONDS
        return until if self.state.paused or parks else None

    def _rests(self) -> bool:
        """Whether nothing more will happen here: the run has ended, or it rests and all has been heard."""
        return self.state.end is not None or (self.rest is not None and not self._messages)

    def _finish(self) -> None:
        self._stop()
        self.done.set_result(self.state)

    def _take_results(self, at: int) -> list[Event]:
        events: list[Event] = []
        for result in self._results:
            index = result.index
            if self._running.pop(index, _ABSENT) is not _ABSENT and index < self.state.counted:
                event = outcome_event(self.state, result, at)
                evolve(self.state, event)
                events.append(event)
        self._results.clear()
        return events

    def _take_messages(self, at: int, events: list[Event]) -> None:
        while self._messages and self.state.end is None:
            version, message = self._messages.popleft()
            event = take(self.state, at, version, message)
            evolve(self.state, event)
            events.append(event)

    def _announce(self, execute: Execute, at: int, events: list[Event]) -> None:
        step = self.state.plan.steps[execute.index]
        skill = self._services.skills.find(step.skill_id)
        if skill is not None and skill.at_most_once:
            event = StepStarted(at, step.index, step.step_id, execute.attempt)
            evolve(self.state, event)
            events.append(event)

    def _append(self, events: list[Event], decision: Decision) -> None:
        state = self.state
        dispatch: tuple[Schedule | Unschedule, ...] = ()
        if state.end is not None:
            dispatch = (Unschedule(self.stream),)
        elif self.rest is not None:
            dispatch = (Schedule(self.stream, 0, self.rest, state.taken),)
            self._lease_given_up = True
        elif self._lease_given_up:
            dispatch = (Schedule(self.stream, self._services.lease_seconds, state.started.at),)
            self._lease_given_up = False
        self._committing = True

        def committed(ack: Ack) -> None:
            self._committed(ack, events, decision)

        self._services.journal.append(Unit((Append(self.stream, self.head, events),), dispatch), committed)

    def _committed(self, ack: Ack, events: list[Event], decision: Decision) -> None:
        self._committing = False
        if self.done.done():
            return
        if isinstance(ack, RefoldError):
            self.abandon(ack)
            return
        try:
            self._stored_now(ack, events, decision)
        except Exception as error:  # an observer's, say; the neighbours in the same commit must not suffer
            self.abandon(error)
        self._wake_waiters()

    def _stored_now(self, ack: Sequence[Head], events: list[Event], decision: Decision) -> None:
        version = self.head.version
        self.head = ack[0]
        observer = self._services.observer
        if observer is not None:
            for number, event in enumerate(events, version + 1):
                observer(self.stream, number, event)
        self._stored = self.state.taken
        if self._rests():
            self._finish()
            return
        if self.state.abort_at is not None:
            self._cancel_beyond(self.state.abort_at)
        self._launch(decision)
        if self._results or self._messages:
            self._advance()

    def _launch(self, decision: Decision) -> None:
        if self._timer is not None or decision.wake is not None:
            self._wake_at(decision.wake)
        for execute in decision.execute:
            if execute.index in self._running:
                self._start(execute.index, execute.attempt)
        if self._results:
            self._advance()

    def _start(self, index: int, attempt: int) -> None:
        services = self._services
        recorded = services.recorded.get(index)
        if recorded is not None:
            self._results.append(recorded)
            return
        step = self.state.plan.steps[index]
        try:
            skill = services.skills.get(step.skill_id)
        except StepError as error:
            self._results.append(Result(index, attempt, None, None, failure_of(error, services.limits), executed=False))
            return
        call = prepare(self.state, index, attempt, skill, services.limits)
        if not isinstance(call, Call):
            self._results.append(call)
        elif skill.inline:
            self._results.append(call_inline(call, services.limits))
        else:
            timeout = step.timeout_seconds
            self._running[index] = Attempt(call, timeout, services.limits, services.pool, self._attempt_ended)

    def _attempt_ended(self, result: Result) -> None:
        self._results.append(result)
        self._advance()

    def _wake_at(self, wake: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake is not None:
            delay = max(0.0, (wake - self._now()) / 1_000_000)
            self._timer = asyncio.get_running_loop().call_later(delay, self._advance)

    def _cancel_beyond(self, horizon: int) -> None:
        for index in [index for index in self._running if index > horizon]:
            attempt = self._running.pop(index)
            if attempt is not None:
                attempt.cancel()

    def _stop(self) -> None:
        self._wake_at(None)
        self._cancel_beyond(-1)

    def _wake_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()


_ABSENT: Any = object()
