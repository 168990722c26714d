"""What else knows of a run beside its log: its checkpoint, its golden. Whoever has altered only one is found out."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import IntegrityError
from ..core.events import Event
from ..core.ids import run_of
from ..core.ports import EMPTY, Record
from ..core.run_state import RunState
from ..core.state import fold
from ..eventstore.store import Store
from ..projections.checkpoints import CHECKPOINTS, Checkpoint, checkpoint_of
from ..projections.golden_lines import golden_of
from ..projections.golden_recorder import BaseGoldenRecorder
from .findings import Finding


class CheckpointWitness:
    """Compares a run's checkpoint with what its events give up to there; fulfils `refold.replay.proving.Witness`.

    Where nobody follows the log for checkpoints it says nothing. A run whose first event they have taken in must have
    one.
    """

    def __init__(self, store: Store):
        self._store = store
        self._of = next((each for each in store.tables.generations(CHECKPOINTS.name) if each.active), None)

    def __call__(
        self, stream: str, records: Sequence[Record], state: RunState, events: Sequence[Event]
    ) -> list[Finding]:
        """See `Witness`."""
        of = self._of
        if of is None:
            return []
        tenant, run_id = run_of(stream)
        rows = self._store.tables.rows(of, CHECKPOINTS.name, {"tenant": tenant, "run_id": run_id}, 1)
        if not rows:
            first = self._store.starts([stream]).get(stream)
            lost = first is not None and first <= of.position and not self._is_parked(stream)
            return [_finding(stream, 0, "the checkpoint of the run was removed")] if lost else []
        try:
            checkpoint = Checkpoint.of_row(rows[0])
        except (IntegrityError, TypeError, ValueError, AttributeError) as error:
            return [_finding(stream, 0, str(error))]
        if checkpoint.version > len(events) and _has_grown(self._store, stream, len(events)):
            return []
        if not 0 < checkpoint.version <= len(events):
            where = f"the checkpoint follows event {checkpoint.version}, and the run has {len(events)}"
            return [_finding(stream, 0, where)]
        then = state if checkpoint.version == len(events) else fold(events[: checkpoint.version])
        again = checkpoint_of(tenant, run_id, then, checkpoint.version, events[checkpoint.version - 1].at)
        if again != checkpoint:
            return [_finding(stream, checkpoint.version, "the checkpoint is not what the events up to it give")]
        return []

    def _is_parked(self, stream: str) -> bool:
        of = self._of
        return of is not None and any(
            each.stream == stream for each in self._store.tables.parked(of.name, of.generation)
        )


class GoldenWitness:
    """Compares a run's golden with what its events give; fulfils `refold.replay.proving.Witness`.

    A golden that is not there says nothing (it may lie in an archive, or not be written yet). One that is there must
    be of this very run, verify by its signature, and a run that has a golden has ended.
    """

    def __init__(self, store: Store, recorder: BaseGoldenRecorder):
        self._store = store
        self._recorder = recorder

    def __call__(
        self, stream: str, records: Sequence[Record], state: RunState, events: Sequence[Event]
    ) -> list[Finding]:
        """See `Witness`. Raises GoldenStoreError."""
        tenant, run_id = run_of(stream)
        expected = None if state.end is None else golden_of(state).data
        verdict = self._recorder.verify_golden(run_id, tenant, expected)
        if any(fault.kind == "missing" for fault in verdict.faults):
            return []
        if expected is None:
            if _has_grown(self._store, stream, len(events)):
                return []
            return [Finding(stream, 0, "golden", "there is a golden of the run, which by its events has not ended")]
        return [Finding(stream, 0, "golden", f"the golden: {fault}") for fault in verdict.faults]


def _has_grown(store: Store, stream: str, events: int) -> bool:
    """Whether the run has gone on since so many events were read."""
    return store.heads([stream]).get(stream, EMPTY).version > events


def _finding(stream: str, number: int, reason: str) -> Finding:
    return Finding(stream, number, "checkpoint", reason)
