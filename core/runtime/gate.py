"""Where attempts are held against policies, and asked for in the ledger, before they begin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

from ..canonical import Payload
from ..errors import CallError, IntegrityError, StoreUnreachableError
from ..events import PLANNER, RunFailed, RunStarted
from ..ledger import Answer, Ledger, Request
from ..plan import PlannedStep
from ..policy.document import Policy
from ..policy.enforcer import PolicyCheckResult, PolicyContext, PolicyEnforcer
from ..run_state import FIRST, RunState
from .judging import Judge
from .policy_control import PolicyControl
from .pricing import Step, cost_of
from .skill import Skill

ASK_AGAIN_SECONDS = 0.5
"""How long to wait after the store did not answer."""


FORGOTTEN = 60_000_000
"""Microseconds after which nobody stands in line any more who was promised a time."""

_log = logging.getLogger(__name__)


_Asked = tuple[Request, Callable[[Answer], None]]
"""A request, and who is to be told the answer."""


class PolicySource(Protocol):
    """The policy that a process goes by; it may change at any moment."""

    def current(self) -> Policy | None:
        """The policy in force now, None if there is none."""
        ...


class NoPolicy:
    """A process without a policy of its own."""

    def current(self) -> Policy | None:
        """None."""
        return None


class Gate:
    """One for an engine: the policies in force, and the way to the ledger. Asks of many runs share a call.

    A policy is in force once it was adopted (`refold.core.runtime.policy_control`): `refresh` sees to that.
    """

    def __init__(self, policies: PolicySource, ledger: Ledger, control: PolicyControl, by: str = ""):
        self._policies = policies
        self._ledger = ledger
        self._control = control
        self._by = by
        self._judge = Judge()
        self._current: Policy | None = None
        self._refused: Policy | None = None
        self._queue: list[_Asked] = []
        self._pump: asyncio.Task[None] | None = None
        self._enforcer: PolicyEnforcer | None = None
        self._line: list[tuple[int, int, Callable[[int], bool]]] = []
        self._count = count()

    @property
    def policy(self) -> Policy | None:
        """The policy that this process goes by, or will at its next step."""
        policy = self._policies.current()
        return self._current if policy is None or policy is self._refused else policy

    async def refresh(self) -> None:
        """Go by the policy that there is now. Raises CallError or IntegrityError while none is in force and this one
        cannot be."""
        policy = self._policies.current()
        if policy is self._current or policy is None or (policy is self._refused and self._current is not None):
            return
        try:
            await self._control.adopt(policy, self._by)
        except (CallError, IntegrityError) as error:
            if self._current is None:
                raise
            self._refused = policy
            _log.error("policy %s stays in force: %s", self._current.label, error)
            return
        self._current = policy

    async def judged(self, started: RunStarted) -> RunFailed | None:
        """The event that ends a run before its first step, because the sandbox refuses its plan; else None."""
        await self.refresh()
        own = None if started.policy is None else _parsed(started.policy)
        asked = any(each is not None and each.sandbox == "all" for each in (self._current, own))
        return await self._judge.refusal(started) if asked or started.origin == PLANNER else None

    def concerns(self, state: RunState) -> bool:
        """Whether there is any policy for a run, or something held for it since there was one."""
        return self._current is not None or state.started.policy is not None or bool(state.cleared)

    def enforcer(self, state: RunState) -> PolicyEnforcer | None:
        """What applies to a run now; None where there is neither a policy of the process nor one of the run."""
        current, own = self._current, state.started.policy
        if current is None and own is None:
            return None
        if own is not None:
            return PolicyEnforcer(() if current is None else current, _parsed(own))
        if current is not None and (self._enforcer is None or self._enforcer.policies[0] is not current):
            self._enforcer = PolicyEnforcer(current)
        return self._enforcer

    def check(
        self,
        enforcer: PolicyEnforcer,
        state: RunState,
        step: Step,
        skill: Skill[..., Any] | None,
        at: int,
        in_flight: float,
    ) -> PolicyCheckResult:
        """Whether an attempt may begin at the time `at`; `in_flight` is what those that run now may cost, in cents."""
        started = state.started
        pending = state.attempted.get(step.index, FIRST)
        context = PolicyContext(
            run_id=started.run_id,
            tenant=started.tenant,
            workflow_type=started.workflow_type,
            queue=started.queue,
            source=started.origin,
            attempt=pending.attempt,
            at=at,
            cost_cents=cost_of(step, skill),
            spent_cents=state.cost_cents + in_flight,
            step_spent_cents=pending.cost_cents,
            side_effect=skill is not None and skill.side_effect,
            keyed=not isinstance(step, PlannedStep) or step.idempotency_key is not None,
            inputs=state.inputs,
        )
        return enforcer.check_can_execute(step, context, started.agent_id)

    def ask(self, request: Request, answered: Callable[[Answer], None]) -> None:
        """Have the ledger asked; `answered` is called on this event loop. The store may be away for a while."""
        self._queue.append((request, answered))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._ask_all())

    async def _ask_all(self) -> None:
        while self._queue:
            asked, self._queue = self._queue, []
            unanswered = await self._answer(asked)
            if unanswered:
                await asyncio.sleep(ASK_AGAIN_SECONDS)
                self._queue[:0] = unanswered

    async def _answer(self, asked: list[_Asked]) -> list[_Asked]:
        """Have them answered; returns those that are to be asked again."""
        try:
            answers = await asyncio.to_thread(self._ledger.ask, [request for request, _ in asked])
        except Exception as error:  # whatever it is, the runs that wait here must not wait for ever
            _log.warning("asking the ledger: %s", error)
            if len(asked) == 1 or isinstance(error, StoreUnreachableError):
                return asked
            # One that cannot be answered must not keep the others waiting.
            return [left for each in asked for left in await self._answer([each])]
        for (_, answered), answer in zip(asked, answers, strict=True):
            answered(answer)
        return []

    def stand(self, until: int, recall: Callable[[int], bool]) -> None:
        """Somebody here has to ask again at `until`. `recall` is called with this time should something come back
        before, and says whether that was still waited for."""
        while self._line and self._line[0][0] < until - FORGOTTEN:
            heappop(self._line)
        heappush(self._line, (until, next(self._count), recall))

    def gave_back(self, times: int) -> None:
        """Attempts of this process have settled what they held: so many of those who wait here ask again at once."""
        while times and self._line:
            until, _, recall = heappop(self._line)
            times -= recall(until)

    async def withdraw(self, stream: str, step: str) -> None:
        """Give back what a step was granted that will not run."""
        await asyncio.to_thread(self._ledger.withdraw, stream, step)

    async def close(self) -> None:
        """Ask no more."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])


@lru_cache(maxsize=256)
def _policy_of(document: bytes) -> Policy:
    return Policy.parse(Payload.from_canonical(document).value)


def _parsed(payload: Payload) -> Policy:
    return _policy_of(payload.data)
