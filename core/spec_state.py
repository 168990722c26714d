"""The state of a spec's run: the plan's steps with their outcomes, and which of them are ready."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

from .errors import IntegrityError
from .events import RunStarted, StepCompleted, StepFailed, StepSkipped
from .plan import Plan
from .references import FAILED
from .run_state import AnyStepEvent, Outcome, RunState


class SpecState(RunState[int]):
    """All that the log says of a spec's run.

    `outcomes[i]` is the outcome of the step of index i, or None. `ready` lists, sorted, the indexes whose
    dependencies have ended and which have no outcome yet. `doomed` maps steps that must not run to the dependency to
    blame, and `skippable` holds those of them whose turn has come. `leading` counts the steps that have ended without
    a gap from index 0. `abort_at` is the lowest index that failed with `abort`, and `counted` how many steps, from
    index 0, belong to the result: all, or those up to there.
    """

    __slots__ = (
        "_hides",
        "abort_at",
        "counted",
        "doomed",
        "leading",
        "outcomes",
        "plan",
        "ready",
        "skippable",
        "unmet",
    )

    def __init__(self, started: RunStarted, plan: Plan):
        super().__init__(started, plan.spec.timeout_seconds)
        self.plan = plan
        self.outcomes: list[Outcome | None] = [None] * len(plan.steps)
        self.unmet = [len(step.dependencies) for step in plan.steps]
        self.ready = [step.index for step in plan.steps if not step.dependencies]
        self.doomed: dict[int, str] = {}
        self.skippable: set[int] = set()
        self.leading = 0
        self.abort_at: int | None = None
        self.counted = len(plan.steps)
        self._hides = started.inputs.hidden is not None

    @property
    def needs(self) -> str:
        """See `RunState.needs`."""
        return self.plan.needs

    @property
    def hides(self) -> bool:
        """Whether some input or output is sensitive; of a state from a snapshot, which holds none of that, unknown."""
        return self._hides

    @property
    def step_hashes(self) -> list[str | None]:
        """The hashes of the counted steps in index order, None where nothing has ended."""
        return [outcome and outcome.step_hash for outcome in self.outcomes[: self.counted]]

    def only_waits(self) -> bool:
        """See `RunState.only_waits`."""
        return all(index in self.waits or index in self.attempted or index in self.deferred for index in self.ready)

    def outcome(self, index: int) -> Outcome | None:
        """See `RunState.outcome`."""
        return self.outcomes[index]

    def in_order(self, indexes: Iterable[int]) -> list[int]:
        """See `RunState.in_order`."""
        return sorted(index for index in indexes if index < self.counted)

    def output(self, step_id: str) -> Any:
        """A step's output as references see it: `FAILED` for one that failed and let the run go on, or was skipped."""
        outcome = self.outcomes[self.plan.index_of[step_id]]
        return FAILED if outcome is None or outcome.output is None else outcome.output.value

    def check_open(self, event: AnyStepEvent) -> int:
        """See `RunState.check_open`."""
        index, steps = event.index, self.plan.steps
        if isinstance(index, str) or not 0 <= index < len(steps) or steps[index].step_id != event.step_id:
            raise IntegrityError(
                f"{event.topic} names step {event.step_id!r} at index {index}, which the plan does not have"
            )
        if self.outcomes[index] is not None:
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} already has an outcome")
        if self.unmet[index]:
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} has dependencies that have not ended")
        return index

    def close(self, event: StepCompleted | StepFailed | StepSkipped, outcome: Outcome) -> None:
        """See `RunState.close`."""
        index = self.check_open(event)
        if isinstance(event, StepSkipped) and index not in self.skippable:
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} has no reason to be skipped")
        self.outcomes[index] = outcome
        if outcome.output is not None and outcome.output.hidden is not None:
            self._hides = True
        self.forget(index)
        self.skippable.discard(index)
        del self.ready[bisect_left(self.ready, index)]
        self._release_dependents(index, event.step_id if self._dooms(event, index) else None)
        outcomes, leading = self.outcomes, self.leading
        while leading < len(outcomes) and outcomes[leading] is not None:
            leading += 1
        self.leading = leading
        aborts = isinstance(event, StepFailed) and self.plan.steps[index].on_error == "abort"
        if aborts and (self.abort_at is None or index < self.abort_at):
            self.abort_at = index
            self.counted = index + 1

    def _dooms(self, event: StepCompleted | StepFailed | StepSkipped, index: int) -> bool:
        """Whether dependents of the step must be skipped now."""
        if isinstance(event, StepFailed):
            return self.plan.steps[index].on_error == "skip"
        return isinstance(event, StepSkipped)

    def _release_dependents(self, index: int, blame: str | None) -> None:
        for dependent in self.plan.steps[index].dependents:
            if blame is not None:
                # The lowest of several is to blame, whichever ended first.
                known = self.doomed.get(dependent)
                if known is None or index < self.plan.index_of[known]:
                    self.doomed[dependent] = blame
            self.unmet[dependent] -= 1
            if not self.unmet[dependent]:
                insort(self.ready, dependent)
                if dependent in self.doomed:
                    self.skippable.add(dependent)
