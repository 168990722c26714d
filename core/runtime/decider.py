"""What drives a run: a plan, or a function. The actor asks it what follows, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from ..decide import decide
from ..decision import Decision, Named
from ..events import Event
from ..limits import Limits
from ..retry import Retry
from ..run_state import RunState
from ..spec import RetrySettings
from ..spec_state import SpecState
from ..state import evolve
from ..step_events import StepIndex
from .attempt import Call, Result, prepare
from .registry import SkillRegistry
from .skill import Skill


class Step(Named, Protocol):
    """A step as outcomes and retries see it; None where the skill's own declaration counts."""

    @property
    def max_retries(self) -> int | None:
        """How often a failed attempt is repeated."""
        ...

    @property
    def backoff(self) -> RetrySettings | None:
        """The pauses between attempts."""
        ...

    @property
    def timeout_seconds(self) -> float | None:
        """The time limit of an attempt."""
        ...

    @property
    def estimated_cost_cents(self) -> float | None:
        """What an attempt may cost."""
        ...

    @property
    def retry(self) -> Retry | None:
        """A whole policy in the place of both."""
        ...


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

    def __init__(self, state: SpecState, skills: SkillRegistry):
        self.state = state
        self._skills = skills

    def apply(self, event: Event) -> None:
        """See `Decider.apply`."""
        evolve(self.state, event)

    def decide(self, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
        """See `Decider.decide`."""
        return decide(self.state, at, running, limits)

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
