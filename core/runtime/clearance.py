"""What policies make of one run's attempts: which may begin, which are refused, and which come later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ..canonical import Payload
from ..code_state import CodeState
from ..decision import Decision, Execute
from ..errors import RefoldError
from ..events import Event, PolicyDecided, RunCancelling, StepAttemptFailed, StepCompleted, StepFailed, StepWaiting
from ..ledger import Answer, Deferred, Granted, Limit, Request, millionths
from ..limits import Limits
from ..policy.enforcer import PolicyCheckResult, PolicyEnforcer
from ..ports import Settle
from ..run_state import FIRST, RunState
from ..spec_state import SpecState
from ..step_events import StepIndex
from .attempt import Cause, Result
from .decider import Decider
from .gate import Gate
from .outcomes import outcome_event
from .pricing import cost_of
from .services import Services

_CODES = {"budget": "BUDGET_EXCEEDED", "rate": "RATE_LIMITED", "concurrency": "CONCURRENCY_LIMITED"}


SHORTEST_WAIT = 10_000
"""Microseconds that pass at least before a step is asked for again."""


class _Asked(NamedTuple):
    """An attempt that waits for the ledger's answer."""

    execute: Execute
    enforcer: PolicyEnforcer
    checked: PolicyCheckResult


class Clearance:
    """The clearance of one run's attempts. Its actor asks `sift` before it starts any, applies the events that this
    gives, and calls `send` once they are durable. `changed` is called when answers have come."""

    def __init__(self, gate: Gate, stream: str, decider: Decider, limits: Limits, changed: Callable[[], None]):
        self._gate = gate
        self._stream = stream
        self._decider = decider
        self._limits = limits
        self._changed = changed
        self._asked: dict[StepIndex, _Asked] = {}
        self._unsent: list[StepIndex] = []
        self._answers: list[tuple[StepIndex, Answer]] = []
        self._later: dict[StepIndex, int] = {}

    @property
    def idle(self) -> bool:
        """Whether no answer waits to be taken."""
        return not self._answers

    def later(self, at: int) -> dict[StepIndex, int]:
        """The steps that must not be asked for again yet, and until when."""
        if self._later:
            self._later = {index: until for index, until in self._later.items() if until > at}
        return self._later

    def sift(self, decision: Decision, at: int, running: Collection[StepIndex]) -> tuple[Decision, Sequence[StepIndex]]:
        """Those executions of a decision that may start, and the steps whose attempts must first be asked for.

        A refusal takes the place of all else: the decision then holds its events, to be applied before anything.
        """
        state = self._decider.state
        enforcer = self._gate.enforcer(state)
        if enforcer is None:
            return decision, ()
        free: list[Execute] = []
        asked: dict[StepIndex, _Asked] = {}
        in_flight = 0.0
        if any(rule.max_run_cents is not None for policy in enforcer.policies for rule in policy.rules):
            granted = (each.index for each in decision.execute if state.cleared.get(each.index) == each.attempt)
            in_flight = sum(map(self._cost, (*running, *granted)))
        for execute in decision.execute:
            index = execute.index
            if state.cleared.get(index) == execute.attempt:
                free.append(execute)
                continue
            step, skill = self._decider.step(index), self._decider.skill(index)
            checked = self._gate.check(enforcer, state, step, skill, at, in_flight)
            if not checked.allowed:
                return Decision(self._refused(execute, checked, (), at)), ()
            in_flight += cost_of(step, skill)
            if checked.limits:
                asked[index] = _Asked(execute, enforcer, checked)
            else:
                free.append(execute)
        self._asked |= asked
        self._unsent.extend(asked)
        return decision._replace(execute=free), tuple(asked)

    def _cost(self, index: StepIndex) -> float:
        return cost_of(self._decider.step(index), self._decider.skill(index))

    def send(self) -> None:
        """Ask the ledger for what `sift` has found."""
        unsent, self._unsent = self._unsent, []
        for index in unsent:
            asked = self._asked.get(index)
            if asked is not None:
                request = Request(self._stream, str(index), asked.execute.attempt, asked.checked.limits)
                self._gate.ask(request, lambda answer, index=index: self._answered(index, answer))

    def _answered(self, index: StepIndex, answer: Answer) -> None:
        self._answers.append((index, answer))
        self._changed()

    def take_answers(self, at: int, waiting: dict[StepIndex, Any]) -> Iterator[Sequence[Event]]:
        """The events that follow from the answers that have come, for the caller to apply before it asks for more.

        Steps that were answered are taken out of `waiting`; what was granted for those that nobody waits for goes back.
        """
        answers, self._answers = self._answers, []
        if self._decider.state.end is not None:  # Which gives back all that the run holds.
            return
        for index, answer in answers:
            asked = self._asked.pop(index, None)
            if asked is None or index not in waiting or self._decider.abandoned((index,)):
                self._give_back(index)
                continue
            del waiting[index]
            execute, enforcer, checked = asked
            if isinstance(answer, Granted):
                yield [self._decided(execute, at, "allowed", checked, "", "", "", checked.limits)]
                continue
            short = [limit for limit in checked.limits if limit.account == answer.account]
            rule, code = enforcer.rule_of(answer.account), _CODES[short[0].kind]
            if isinstance(answer, Deferred):
                # The time is the database's: a clock that is ahead of it must not have us ask as fast as we can.
                self._stand(index, max(answer.until, at + SHORTEST_WAIT))
                if self._decider.state.deferred.get(index) != execute.attempt:
                    reason = f"{answer.account} has not enough now"
                    yield [self._decided(execute, at, "deferred", checked, rule, code, reason, short)]
                continue
            reason = f"{answer.account} has {_amount(short[0], answer.left)} left, {_amount(short[0])} is asked for"
            refusal = PolicyCheckResult(False, code, rule, reason, checked.policy)
            yield self._refused(execute, refusal, short, at)

    def unused(self, at: int, running: Collection[StepIndex]) -> Iterator[PolicyDecided]:
        """What gives back what is held for attempts that do not begin now: the run is paused or parked, or a step of
        lower index has aborted it and may need that very place."""
        state = self._decider.state
        held: dict[Any, int] = state.cleared
        if not held or state.end is not None:
            return
        idle: Sequence[StepIndex] = [index for index in held if index not in running]
        if state.paused or state.parked is not None:
            reason = "the run is paused" if state.paused else "the run is parked"
        else:
            # What functions give up is settled as they are told of the cancel.
            idle = self._decider.abandoned(idle) if isinstance(state, SpecState) else ()
            reason = "the run is being aborted"
        for index in idle:
            # A function that is parked has no calls any more but those of its log.
            named = state.calls[str(index)] if isinstance(state, CodeState) else self._decider.step(index)
            code, nothing = "POLICY_REFUSED", Payload.of([])
            yield PolicyDecided(
                at, index, named.step_id, named.skill_id, held[index], "deferred", "", code, reason, "", nothing
            )

    def close(self) -> None:
        """The run leaves memory: what comes back is for others who wait here."""
        self._later.clear()

    def _stand(self, index: StepIndex, until: int) -> None:
        def recall(promised: int) -> bool:
            if self._later.get(index) != promised:
                return False
            del self._later[index]
            self._changed()
            return True

        self._later[index] = until
        self._gate.stand(until, recall)

    def _refused(self, execute: Execute, refusal: PolicyCheckResult, short: Sequence[Limit], at: int) -> list[Event]:
        """What records a refusal: the decision, and the failure of the step."""
        decider, index, attempt = self._decider, execute.index, execute.attempt
        code, rule, reason = refusal.code, refusal.rule, refusal.reason
        decided = self._decided(execute, at, "refused", refusal, rule, code, reason, short)
        cause = Cause(code, f"rule {rule}: {reason}" if rule else reason, retryable=False)
        made = decider.prepare(index, attempt, self._limits)
        result = Result(index, attempt, decider.skill(index), made.inputs, cause, executed=False)
        return [decided, outcome_event(decider.state, decider.step(index), result, at)]

    def _decided(
        self,
        execute: Execute,
        at: int,
        verdict: str,
        checked: PolicyCheckResult,
        rule: str,
        code: str,
        reason: str,
        limits: Sequence[Limit],
    ) -> PolicyDecided:
        step = self._decider.step(execute.index)
        holds = [
            {"account": each.account, "kind": each.kind, "amount": each.amount, "capacity": each.capacity}
            for each in limits
        ]
        return PolicyDecided(
            at=at,
            index=step.index,
            step_id=step.step_id,
            skill_id=step.skill_id,
            attempt=execute.attempt,
            verdict=verdict,
            rule=rule,
            code=code,
            reason=reason,
            policy=checked.policy,
            holds=Payload.of(holds),
        )

    def _give_back(self, index: StepIndex) -> None:
        async def withdraw() -> None:
            try:
                await self._gate.withdraw(self._stream, str(index))
            except RefoldError:  # The end of the run gives it back.
                return

        task = asyncio.get_running_loop().create_task(withdraw())
        _WITHDRAWALS.add(task)
        task.add_done_callback(_WITHDRAWALS.discard)


def clearance_for(services: Services, stream: str, decider: Decider, changed: Callable[[], None]) -> Clearance | None:
    """The clearance of a run's attempts, None while there is no policy for it and nothing is held for it."""
    gate = services.gate
    if gate is None or not gate.concerns(decider.state):
        return None
    return Clearance(gate, stream, decider, services.limits, changed)


_WITHDRAWALS: set[asyncio.Task[None]] = set()
"""Kept from the garbage collector while they go on."""


def settlements(state: RunState, stream: str, event: Event) -> Sequence[Settle]:
    """How `event`, which is about to be applied to `state`, settles what attempts hold."""
    if isinstance(event, RunCancelling):  # The function gives up all that runs, and cleans up.
        return [Settle(stream, str(index), attempt, 0) for index, attempt in state.cleared.items()]
    if isinstance(event, PolicyDecided) and event.verdict == "deferred" and event.index in state.cleared:
        return [Settle(stream, str(event.index), event.attempt, 0)]
    if not isinstance(event, StepCompleted | StepFailed | StepAttemptFailed | StepWaiting):
        return ()
    if event.index not in state.cleared:
        return ()
    attempt = state.attempted.get(event.index, FIRST).attempt
    return [Settle(stream, str(event.index), attempt, millionths(event.cost_cents))]


def _amount(limit: Limit, amount: int | None = None) -> str:
    amount = limit.amount if amount is None else amount
    return f"{amount / 1_000_000:g} cents" if limit.kind == "budget" else str(amount)
