"""When the steps of a run began and ended, as far as the log says.

It does not say when an attempt begins, but for steps that run at most once. So a step begins at the recorded start of
its first attempt, else when what it depends on (of a function: what is before it in its branch) had ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.paths import order_of
from ..core.run_state import RunState
from ..core.spec_state import SpecState
from ..core.step_events import StepIndex


@dataclass(slots=True)
class StepTimes:
    """When steps began and ended, in µs since the epoch; kept beside a run while its events are taken in.

    `ended` holds ends by branch and number in it: of the steps of a spec, which are all in one, and of calls.
    """

    begun: dict[StepIndex, int] = field(default_factory=dict[StepIndex, int])
    ended: dict[tuple[int, ...], dict[int, int]] = field(default_factory=dict[tuple[int, ...], dict[int, int]])

    def end(self, index: StepIndex, at: int) -> None:
        """Note an end; of a call also for the gathers that it is in."""
        if isinstance(index, int):
            self.ended.setdefault((), {})[index] = at
            return
        parts = order_of(index)
        for length in range(len(parts), 0, -2):
            numbered = self.ended.setdefault(parts[: length - 1], {})
            numbered[parts[length - 1]] = max(at, numbered.get(parts[length - 1], at))

    def began(self, state: RunState, index: StepIndex) -> int:
        """When a step began."""
        known = self.begun.get(index)
        if known is not None:
            return known
        if not isinstance(state, SpecState):
            return self._asked_at(str(index), state.started.at)
        ended = self.ended.get((), {})
        needed = state.plan.steps[int(index)].dependencies
        return max((ended[each] for each in needed), default=state.started.at)

    def _asked_at(self, path: str, started: int) -> int:
        """When a function came to ask for a call: when what is before it in its branch, or its gather's, had ended."""
        parts = order_of(path)
        # Every other part numbers the branches of a gather, which wait for nothing of each other.
        for length in range(len(parts), 0, -2):
            numbered = self.ended.get(parts[: length - 1], {})
            number = parts[length - 1]
            if number - 1 in numbered:
                return numbered[number - 1]
            earlier = max((each for each in numbered if each < number), default=None)
            if earlier is not None:
                return numbered[earlier]
        return started
