"""The state of a function's run: the calls it made, by path, with their outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .errors import IntegrityError
from .events import RunStarted, StepCompleted, StepFailed, StepSkipped
from .needs import needs_of_code
from .paths import is_path, order_of, step_id_of
from .run_state import AnyStepEvent, Outcome, RunState


class Called(NamedTuple):
    """What was called."""

    step_id: str
    skill_id: str


class CodeState(RunState[str]):
    """All that the log says of a function's run; what the function would do next only running it can tell.

    `calls` names every call that an event speaks of, `outcomes` holds those that have ended, `patches` the patches
    that the code has passed.
    """

    __slots__ = ("calls", "outcomes", "patches")

    def __init__(self, started: RunStarted):
        super().__init__(started, started.timeout_seconds)
        self.calls: dict[str, Called] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.patches: set[str] = set()

    @property
    def needs(self) -> str:
        """See `RunState.needs`."""
        return needs_of_code(self.started.workflow_type, self.started.workflow_version)

    @property
    def step_hashes(self) -> list[str | None]:
        """The hashes of the calls that have ended, in the order of their paths."""
        return [self.outcomes[path].step_hash for path in self.in_order(self.outcomes)]

    def only_waits(self) -> bool:
        """See `RunState.only_waits`; of calls that run nothing is recorded yet, so they cannot be told."""
        return True

    def outcome(self, index: str) -> Outcome | None:
        """See `RunState.outcome`."""
        return self.outcomes.get(index)

    def in_order(self, indexes: Iterable[str]) -> list[str]:
        """See `RunState.in_order`."""
        return sorted(indexes, key=order_of)

    def check_open(self, event: AnyStepEvent) -> str:
        """See `RunState.check_open`."""
        path = event.index
        if isinstance(path, int) or not is_path(path) or isinstance(event, StepSkipped):
            raise IntegrityError(f"{event.topic} at index {path!r} cannot occur in the run of a function")
        if path in self.outcomes:
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} already has an outcome")
        known = self.calls.get(path)
        skill_id = event.skill_id
        if event.step_id != step_id_of(skill_id, path):
            raise IntegrityError(f"{event.topic} at {path} calls skill {skill_id!r} the step {event.step_id!r}")
        if known is None:
            self.calls[path] = Called(event.step_id, skill_id)
        elif known.skill_id != skill_id:
            raise IntegrityError(f"{event.topic} at {path} is of skill {skill_id!r}, before it was {known.skill_id!r}")
        return path

    def close(self, event: StepCompleted | StepFailed | StepSkipped, outcome: Outcome) -> None:
        """See `RunState.close`."""
        path = self.check_open(event)
        self.outcomes[path] = outcome
        self.forget(path)

    def give_up(self) -> None:
        """Forget what runs and waits: the run is being cancelled, and its function was told so wherever it stood."""
        self.attempted.clear()
        self.announced.clear()
        self.waits.clear()
        self.approvals.clear()
        self.progress.clear()
        self.cleared.clear()
        self.deferred.clear()
