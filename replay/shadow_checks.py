"""The checks of a shadow cycle on one ended run: proofs, restorations from checkpoints, its golden."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from ..core.canonical import composed
from ..core.errors import IntegrityError, RefoldError
from ..core.events import Event
from ..core.ids import stream_of
from ..core.run_state import RunState
from ..core.runtime.registry import SkillRegistry
from ..core.snapshot import outputs, snapshot
from ..core.state import evolve, fold
from ..eventstore.codec import decode
from ..eventstore.store import Store
from ..projections.checkpoints import Checkpoint, TableCheckpointStore, checkpoint_of, state_of
from ..projections.golden_lines import golden_of
from ..projections.golden_recorder import BaseGoldenRecorder
from .proving import Prover
from .reading import large_of
from .reading import snapshot as read_streams
from .shadow_findings import Found
from .witnesses import CheckpointWitness


class ShadowChecks:
    """Checks runs of one store, and notes what it finds in `found`; bound to one event loop."""

    def __init__(self, store: Store, skills: SkillRegistry, recorder: BaseGoldenRecorder, found: Found):
        self._store = store
        self._prover = Prover(store, skills, witnesses=[CheckpointWitness(store)])
        self._checkpoints = TableCheckpointStore(store.tables)
        self._recorder = recorder
        self._found = found

    async def check(self, kind: str, tenant: str, run_id: str, kept: Iterable[Checkpoint] = ()) -> RunState | None:
        """Check one run that must have ended; `kept` are checkpoints that were read while it was under way.

        Returns its state, None where it cannot be folded. Raises StoreError.
        """
        found = self._found
        proof = await self._prover.prove(run_id, tenant)
        found.workflows += 1
        found.by_kind[kind] += 1
        found.replays += 1
        bad = {name: result for name, result in proof.results.items() if result.verdict != "equal"}
        for name, result in bad.items():
            first = result.divergence
            why = result.reason if first is None else f"{first.kind}: {first.message} ({first.cause})"
            found.miss("proof", kind, tenant, run_id, f"{name} is {result.verdict}: {why}")
        try:
            events = self._events(tenant, run_id)
            state = fold(events)
        except RefoldError as error:
            found.miss("proof", kind, tenant, run_id, f"it cannot be folded: {error}")
            return None
        if state.end is None:
            found.miss("end", kind, tenant, run_id, f"it has not ended, it is {state.status}")
            return state
        self._restore(kind, tenant, run_id, events, state, kept)
        self._golden(kind, tenant, run_id, state)
        return state

    def _events(self, tenant: str, run_id: str) -> list[Event]:
        _, (records,) = read_streams(self._store, [stream_of(tenant, run_id)])
        large = large_of(self._store, records)
        return [decode(record, large) for record in records]

    def _restore(
        self, kind: str, tenant: str, run_id: str, events: Sequence[Event], state: RunState, kept: Iterable[Checkpoint]
    ) -> None:
        """From the checkpoint in the table, from those read under way, and from one made in the middle of the log."""
        try:
            stored = self._checkpoints.load(run_id, tenant)
        except IntegrityError as error:
            self._found.miss("checkpoint", kind, tenant, run_id, str(error))
            stored = None
        else:
            if stored is None:
                self._found.miss("checkpoint", kind, tenant, run_id, "there is none")
        middle = (len(events) + 1) // 2
        made = checkpoint_of(tenant, run_id, fold(events[:middle]), middle, events[middle - 1].at)
        for checkpoint in chain([made] if stored is None else [stored, made], kept):
            self._found.restorations += 1
            why = restored_otherwise(checkpoint, events, state)
            if why is not None:
                self._found.miss("checkpoint", kind, tenant, run_id, f"after event {checkpoint.version}: {why}")

    def _golden(self, kind: str, tenant: str, run_id: str, state: RunState) -> None:
        self._found.goldens += 1
        golden = golden_of(state)
        for fault in self._recorder.verify_golden(run_id, tenant, golden.data).faults:
            self._found.miss("golden", kind, tenant, run_id, str(fault))


def restored_otherwise(checkpoint: Checkpoint, events: Sequence[Event], full: RunState) -> str | None:
    """Why the state from `checkpoint` and the events after it is not `full`, the fold of all; None if it is."""
    try:
        state = state_of(checkpoint)
        for event in events[checkpoint.version :]:
            evolve(state, event)
    except RefoldError as error:
        return str(error)
    return None if _whole(state) == _whole(full) else "the state is another than the fold of all events"


def _whole(state: RunState) -> tuple[Any, Any]:
    told: tuple[Any, Any] = json.loads(composed(snapshot(state))), json.loads(composed(outputs(state)))
    return told
