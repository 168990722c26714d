"""What drives a run: a plan, or a function. The actor asks it what follows, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from ..decide import decide
from ..decision import Decision, step_failed
from ..events import Event
from ..limits import Limits
from ..policy.ceilings import Ceilings, Exceeded, Prices
from ..run_state import RunState
from ..spec_state import SpecState
from ..state import evolve
from ..step_events import StepIndex
from .attempt import Call, Result, prepare
from .pricing import Step, cost_of, retry_policy
from .registry import SkillRegistry
from .skill import Skill


class Decider(Protocol):
    """One run's rules, with its state."""

    @property
    def state(self) -> RunState:
        """What the log says."""
        ...

    def apply(self, event: Event) -> None:
        """Take in an event that happened just now."""
        ...

    def decide(self, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
        """What follows at the time `at` while the steps `running` are being executed."""
        ...

    def step(self, index: StepIndex) -> Step:
        """A step that was decided to run."""
        ...

    def skill(self, index: StepIndex) -> Skill[..., Any] | None:
        """What it runs, None if that is not known here."""
        ...

    def prepare(self, index: StepIndex, attempt: int, limits: Limits) -> Call | Result:
        """Make it ready, or say why it cannot run."""
        ...

    def abandoned(self, running: Iterable[StepIndex]) -> Sequence[StepIndex]:
        """Those of the steps `running` whose outcome nobody waits for any more."""
        ...

    def close(self) -> None:
        """The run leaves memory."""
        ...


class SpecDecider:
    """Interprets a spec's plan."""

    def __init__(self, state: SpecState, skills: SkillRegistry, *, enforced: bool = True):
        """Unless `enforced`, ceilings do not count: for a replay, which is served with what they brought about."""
        self.state = state
        self._skills = skills
        spec = state.plan.spec
        bounded = enforced and (spec.step_ceiling_cents is not None or spec.workflow_ceiling_cents is not None)
        self._ceilings = Ceilings(state, self._price) if bounded else None

    def apply(self, event: Event) -> None:
        """See `Decider.apply`."""
        evolve(self.state, event)

    def decide(self, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
        """See `Decider.decide`."""
        decision = decide(self.state, at, running, limits)
        return decision if self._ceilings is None else self._affordable(self._ceilings, decision, at)

    def _affordable(self, ceilings: Ceilings, decision: Decision, at: int) -> Decision:
        state = self.state
        wanted = sorted(decision.execute, key=lambda execute: int(execute.index))
        judged = ceilings.judge(state, [int(execute.index) for execute in wanted])
        refused = [
            step_failed(state, at, self.step(each.index), "", each.attempt, None, None, found.code, found.reason)
            for each, found in zip(wanted, judged, strict=True)
            if isinstance(found, Exceeded)
        ]
        if refused:
            return Decision(refused)
        return decision._replace(execute=[each for each, may in zip(wanted, judged, strict=True) if may == "run"])

    def _price(self, index: int) -> Prices:
        step, skill = self.step(index), self.skill(index)
        return Prices(cost_of(step, skill), retry_policy(step, skill).max_attempts)

    def step(self, index: StepIndex) -> Step:
        """See `Decider.step`."""
        return self.state.plan.steps[int(index)]

    def skill(self, index: StepIndex) -> Skill[..., Any] | None:
        """See `Decider.skill`."""
        return self._skills.find(self.step(index).skill_id)

    def prepare(self, index: StepIndex, attempt: int, limits: Limits) -> Call | Result:
        """See `Decider.prepare`."""
        return prepare(self.state, int(index), attempt, self._skills, limits)

    def abandoned(self, running: Iterable[StepIndex]) -> Sequence[StepIndex]:
        """See `Decider.abandoned`: those beyond the step that aborted the run."""
        horizon = self.state.abort_at
        return () if horizon is None else [index for index in running if int(index) > horizon]

    def close(self) -> None:
        """See `Decider.close`."""
