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
from dataclasses import dataclass, field, replace
from typing import Any

from ..decide import Decision, Execute, cancel, decide, outcome_hash, step_failed
from ..errors import RefoldError, StepError
from ..events import (
    Event,
    MessageRefused,
    MessageSent,
    RunPaused,
    RunResumed,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from ..limits import Limits
from ..plan import PlannedStep
from ..ports import Ack, Append, Clock, Head, Journal, Schedule, Unit, Unschedule
from ..retry import Retry
from ..seeds import step_seed
from ..state import RunState, evolve
from .attempt import Attempt, Call, Failure, Result, call_inline, failure_of, prepare
from .registry import SkillRegistry
from .skill import Skill
from .threads import ThreadPool

Observer = Callable[[str, int, Event], None]
"""Told of every event once it is durable: stream, version, event."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all actors of an engine share. `recorded` holds outcomes to serve instead of executing (for a replay)."""

    journal: Journal
    skills: SkillRegistry
    clock: Clock
    limits: Limits
    pool: ThreadPool
    lease_seconds: float
    observer: Observer | None = None
    recorded: Mapping[int, StepCompleted | StepFailed] = field(default_factory=dict[int, StepCompleted | StepFailed])


class RunActor:
    """One live run. `done` ends with its state, ended or paused with nothing running, or with the error that cut it."""

    def __init__(self, services: Services, stream: str, state: RunState, head: Head):
        self.stream = stream
        self.state = state
        self.head = head
        self.done: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        self._services = services
        self._running: dict[int, Attempt | None] = {}
        self._results: list[Result | StepCompleted | StepFailed] = []
        self._messages: deque[tuple[int, MessageSent]] = deque()
        self._committing = False
        self._lease_given_up = False
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
        at = self._services.clock.now()
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
        if events:
            self._append(events, decision)
        elif self._rests():
            self._finish()
        else:
            self._launch(decision)

    def _rests(self) -> bool:
        """Whether nothing more will happen here: the run has ended, or it is paused and all has been heard."""
        state = self.state
        return state.end is not None or (state.paused and not self._running and not self._messages)

    def _finish(self) -> None:
        self._stop()
        self.done.set_result(self.state)

    def _take_results(self, at: int) -> list[Event]:
        events: list[Event] = []
        for result in self._results:
            index = result.index
            if self._running.pop(index, _ABSENT) is not _ABSENT and index < self.state.counted:
                event = self._event(result, at)
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
        elif state.paused and not self._running:
            dispatch = (Schedule(self.stream, 0),)
            self._lease_given_up = True
        elif self._lease_given_up:
            dispatch = (Schedule(self.stream, self._services.lease_seconds),)
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

    def _event(
        self, result: Result | StepCompleted | StepFailed, at: int
    ) -> StepCompleted | StepAttemptFailed | StepFailed:
        if not isinstance(result, Result):
            return replace(result, at=at)
        step = self.state.plan.steps[result.index]
        skill, output = result.skill, result.output
        cost = _cost(step, skill) if result.executed else 0
        version = "" if skill is None else skill.version
        if not isinstance(output, Failure):
            digest = output.sha256
            hashed = outcome_hash(self.state, step.index, result.inputs_hash, True, digest, None)
            # By position: the hot path, and keywords cost as much as the rest of the call.
            return StepCompleted(
                at,
                step.index,
                step.step_id,
                step.skill_id,
                version,
                result.attempt,
                result.inputs_hash or "",
                output,
                digest,
                hashed,
                cost,
            )
        policy = retry_policy(step, skill)
        if output.retryable and result.attempt < policy.max_attempts:
            pause = policy.delay(step_seed(self.state.started.seed, step.index), result.attempt)
            return StepAttemptFailed(
                at=at,
                index=step.index,
                step_id=step.step_id,
                skill_id=step.skill_id,
                skill_version=version,
                attempt=result.attempt,
                error_code=output.code,
                message=output.message,
                cost_cents=cost,
                retry_at=at + int(pause * 1_000_000),
            )
        return step_failed(
            self.state, at, step.index, version, result.attempt, result.inputs_hash, output.code, output.message, cost
        )

    def _wake_at(self, wake: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake is not None:
            delay = max(0.0, (wake - self._services.clock.now()) / 1_000_000)
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


def take(state: RunState, at: int, version: int, message: MessageSent) -> Event:
    """The event that records the taking of a message: what it brings about, or why it changes nothing."""
    if message.kind == "cancel":
        return cancel(state, at, version, message.reason)
    if message.kind == "pause" and not state.paused:
        return RunPaused(at, version, message.reason)
    if message.kind == "resume" and state.paused:
        return RunResumed(at, version)
    return MessageRefused(at, version, f"{message.kind} while the run is {state.status}")


def _cost(step: PlannedStep, skill: Skill[..., Any] | None) -> float:
    """What one attempt costs: what the skill declares, else what the step estimates, else nothing."""
    if skill is not None and skill.cost_cents is not None:
        return skill.cost_cents
    return step.estimated_cost_cents or 0


def retry_policy(step: PlannedStep, skill: Skill[..., Any] | None) -> Retry:
    """The step's own retries where the spec gives any, else the skill's default; none for at-most-once skills."""
    if skill is not None and skill.at_most_once:
        return Retry()
    default = skill.retry if skill is not None and skill.retry is not None else Retry()
    retries = default.max_attempts - 1 if step.max_retries is None else step.max_retries
    if step.backoff is not None:
        return step.backoff.retry(retries)
    return Retry(retries + 1, default.initial_seconds, default.multiplier, default.max_seconds, default.jitter)
