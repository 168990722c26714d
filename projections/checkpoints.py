"""Checkpoints: a run's whole state as it stood after one of its events, so that it need not be folded from the first.

They fall after the first event, every N events, when the run comes to rest (waits, paused, parked) and at its end: at
versions that the log fixes, so that a rebuild gives the same bytes. `state_of(checkpoint)` and the events after
`version` give the state that all events give. For a function the state comes back in the same way, but its code must
still be driven through the whole history: where a coroutine stands no checkpoint can hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import orjson

from ..core.canonical import canonical_json, composed, decode
from ..core.code_state import CodeState
from ..core.errors import IntegrityError
from ..core.events import RunStarted
from ..core.hashing import sha256_hex
from ..core.ids import stream_of
from ..core.paths import order_of
from ..core.ports import Restored
from ..core.run_state import Outcome, RunState
from ..core.snapshot import outputs, restore, snapshot, start_text
from ..core.spec_state import SpecState
from ..eventstore.tables import Batch, Generation, Row, Table, TableStore
from .model import FollowedRun

EVERY = 100
"""A run that does not rest has a checkpoint after so many events."""

CheckpointStatus = Literal["running", "completed", "failed", "paused"]
"""Where a run stands, in the four words of a checkpoint."""

CHECKPOINTS = Table(
    "checkpoints",
    {
        "tenant": "text",
        "run_id": "text",
        "workflow_id": "text",
        "next_step_index": "int",
        "last_result_hash": "text",
        "step_outputs_json": "json",
        "status": "text",
        "created_at": "int",
        "updated_at": "int",
        "version": "int",
        "state_json": "json",
        "content_hash": "text",
    },
    indexes=[("status", "updated_at", "tenant", "run_id")],
)
"""A row for each run: its latest checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run's state after event `version`.

    `workflow_id` is `type#version`. `next_step_index` counts the steps that have ended without a gap from the first (of
    a function: of the calls that are known, in the order of their paths), and `last_result_hash` is the last of
    these's step hash. `step_outputs_json` and `state_json` are canonical JSON. Times are in µs since the epoch:
    `created_at` of the first checkpoint, `updated_at` of this one.
    """

    tenant: str
    run_id: str
    workflow_id: str
    next_step_index: int
    last_result_hash: str | None
    step_outputs_json: str
    status: CheckpointStatus
    created_at: int
    updated_at: int
    version: int
    state_json: str

    @property
    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON of all but the two times; people are shown the first 16 digits."""
        head = {
            "last_result_hash": self.last_result_hash,
            "next_step_index": self.next_step_index,
            "run_id": self.run_id,
            "state": orjson.Fragment(self.state_json),
            "status": self.status,
            "step_outputs": orjson.Fragment(self.step_outputs_json),
            "tenant": self.tenant,
            "version": self.version,
            "workflow_id": self.workflow_id,
        }
        # Names and texts without floats, and two parts that are canonical already.
        return sha256_hex(orjson.dumps(head, option=orjson.OPT_SORT_KEYS))

    def row(self) -> Row:
        """The row of the table `checkpoints`."""
        return (
            self.tenant,
            self.run_id,
            self.workflow_id,
            self.next_step_index,
            self.last_result_hash,
            self.step_outputs_json,
            self.status,
            self.created_at,
            self.updated_at,
            self.version,
            self.state_json,
            self.content_hash,
        )

    @classmethod
    def of_row(cls, row: Row) -> Checkpoint:
        """The checkpoint in a row. Raises IntegrityError when it is not what its hash says."""
        checkpoint = cls(*row[:-1])
        with suppress(TypeError):  # A database may hold what is no text where a text should be.
            if checkpoint.content_hash == row[-1] and type(checkpoint.version) is int:
                return checkpoint
        raise IntegrityError(f"the checkpoint of {checkpoint.tenant}/{checkpoint.run_id} was altered")


def state_of(checkpoint: Checkpoint, started: RunStarted | None = None) -> RunState:
    """The state that the checkpoint holds; `started` is the run's first event, where that was read already.

    Raises IntegrityError when it cannot be read, or is of a run that began otherwise.
    """
    text, outputs = checkpoint.state_json.encode(), _read(checkpoint.step_outputs_json.encode())
    if started is None:
        return restore(_read(text), outputs)
    # The first event holds the whole spec: what is at hand is compared as text, and not read again.
    began = start_text(started)
    before, found, after = text.partition(b'"started":' + began)
    told = _read(before + b'"started":null' + after) if found else None
    if told is None or told.get("started") is not None:
        # Not found, or found elsewhere: an attribute, say, may hold the same.
        told = _read(text)
        if canonical_json(told.get("started")) != began:
            raise IntegrityError("the checkpoint is of a run that began otherwise")
    return restore(told, outputs, started)


def _read(text: bytes) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise IntegrityError(f"the checkpoint cannot be read: {error}") from None


class RunCheckpoints:
    """The table that the projection fills, as the engine asks of it; fulfils `refold.core.ports.Checkpoints`."""

    def __init__(self, tables: TableStore):
        self._store = TableCheckpointStore(tables)

    def restore(self, started: RunStarted) -> Restored | None:
        """See `refold.core.ports.Checkpoints.restore`."""
        checkpoint = self._store.load(started.run_id, started.tenant)
        if checkpoint is None:
            return None
        return Restored(state_of(checkpoint, started), checkpoint.version)


def checkpoint_of(tenant: str, run_id: str, state: RunState, version: int, at: int) -> Checkpoint:
    """The checkpoint of a run in `state` after event `version`, which was recorded at `at` (µs since the epoch)."""
    started = state.started
    leading = _leading(state)
    version_of = f"#{started.workflow_version}" if started.workflow_version else ""
    return Checkpoint(
        tenant=tenant,
        run_id=run_id,
        workflow_id=started.workflow_type + version_of,
        next_step_index=len(leading),
        last_result_hash=leading[-1].step_hash if leading else None,
        step_outputs_json=composed(outputs(state)).decode(),
        status=status_of(state),
        created_at=started.at,
        updated_at=at,
        version=version,
        state_json=composed(snapshot(state)).decode(),
    )


def status_of(state: RunState) -> CheckpointStatus:
    """Where the run stands: what waits runs, what is parked is paused, what was cut has failed."""
    status = state.status
    if status in get_args(CheckpointStatus):
        return status  # pyright: ignore[reportReturnType]
    if state.end is not None:
        return "failed"
    return "paused" if status == "parked" else "running"


def _leading(state: RunState) -> list[Outcome]:
    """The outcomes of the steps that have ended, up to the first that has not."""
    if isinstance(state, SpecState):
        return [each for each in state.outcomes[: state.leading] if each is not None]
    found: list[Outcome] = []
    for path in sorted(state.calls, key=order_of) if isinstance(state, CodeState) else ():
        outcome = state.outcome(path)
        if outcome is None:
            break
        found.append(outcome)
    return found


class CheckpointsProjection:
    """Fills `checkpoints`; fulfils `refold.projections.model.Projection`. `every` is part of what rows are."""

    name = "checkpoints"
    version = 1
    tables = (CHECKPOINTS,)
    strict = True
    always = False

    def __init__(self, every: int = EVERY):
        self._every = every

    def is_due(self, run: FollowedRun) -> bool:
        """See `Projection.is_due`."""
        return run.version == 1 or run.version % self._every == 0 or run.state.status != "running"

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """See `Projection.rows`."""
        return {CHECKPOINTS.name: [checkpoint_of(run.tenant, run.run_id, run.state, run.version, run.at).row()]}

    def settle(self) -> None:
        """See `Projection.settle`: all of it lies in the table."""


class CheckpointStore(Protocol):
    """Where checkpoints are kept, one for each run. Calls block and are thread-safe.

    Whoever runs an event loop makes them on a thread.
    """

    def save(self, checkpoint: Checkpoint) -> str:
        """Keep it in the place of the run's last one, whose `created_at` stays; returns its content hash."""
        ...

    def load(self, run_id: str, tenant: str = "default") -> Checkpoint | None:
        """The run's checkpoint. Raises IntegrityError when it was altered."""
        ...

    def delete(self, run_id: str, tenant: str = "default") -> bool:
        """Forget it; tells whether there was one."""
        ...

    def list_running(self, limit: int = 100) -> list[Checkpoint]:
        """Those of runs under way, of all tenants, the longest silent first."""
        ...


class InMemoryCheckpointStore:
    """Checkpoints in memory; fulfils `CheckpointStore`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Row] = {}

    def save(self, checkpoint: Checkpoint) -> str:
        """See `CheckpointStore.save`."""
        kept = _kept_since(checkpoint, self.load(checkpoint.run_id, checkpoint.tenant))
        self._kept[checkpoint.tenant, checkpoint.run_id] = kept.row()
        return kept.content_hash

    def load(self, run_id: str, tenant: str = "default") -> Checkpoint | None:
        """See `CheckpointStore.load`."""
        row = self._kept.get((tenant, run_id))
        return None if row is None else Checkpoint.of_row(row)

    def delete(self, run_id: str, tenant: str = "default") -> bool:
        """See `CheckpointStore.delete`."""
        return self._kept.pop((tenant, run_id), None) is not None

    def list_running(self, limit: int = 100) -> list[Checkpoint]:
        """See `CheckpointStore.list_running`."""
        running = [Checkpoint.of_row(row) for row in list(self._kept.values())]
        running = [each for each in running if each.status == "running"]
        return sorted(running, key=lambda each: (each.updated_at, each.tenant, each.run_id))[:limit]


class TableCheckpointStore:
    """The table that the projection fills; fulfils `CheckpointStore`.

    `save` and `delete` are the projection's: they need the lease of the generation, in the name of `owner`.
    """

    def __init__(self, tables: TableStore, owner: str = "", lease_seconds: float = 10.0):
        self._tables = tables
        self._owner = owner
        self._lease_seconds = lease_seconds

    def save(self, checkpoint: Checkpoint) -> str:
        """See `CheckpointStore.save`. Raises IntegrityError when `owner` does not hold the projection."""
        kept = _kept_since(checkpoint, self.load(checkpoint.run_id, checkpoint.tenant))
        self._put(checkpoint.tenant, checkpoint.run_id, [kept.row()])
        return kept.content_hash

    def load(self, run_id: str, tenant: str = "default") -> Checkpoint | None:
        """See `CheckpointStore.load`."""
        stream_of(tenant, run_id)
        of = self._active()
        found = [] if of is None else self._tables.rows(of, CHECKPOINTS.name, {"tenant": tenant, "run_id": run_id}, 1)
        return Checkpoint.of_row(found[0]) if found else None

    def delete(self, run_id: str, tenant: str = "default") -> bool:
        """See `CheckpointStore.delete`. Raises IntegrityError when `owner` does not hold the projection."""
        there = self.load(run_id, tenant) is not None
        if there:
            self._put(tenant, run_id, [])
        return there

    def list_running(self, limit: int = 100) -> list[Checkpoint]:
        """See `CheckpointStore.list_running`."""
        of = self._active()
        order = ("status", "updated_at", "tenant", "run_id")
        found = [] if of is None else self._tables.rows(of, CHECKPOINTS.name, {"status": "running"}, limit, None, order)
        return [Checkpoint.of_row(row) for row in found]

    def _active(self) -> Generation | None:
        return next((each for each in self._tables.generations(CHECKPOINTS.name) if each.active), None)

    def _put(self, tenant: str, run_id: str, rows: Sequence[Row]) -> None:
        of = self._active()
        batch = (
            Batch(of.position, of.position, of.position_at, [(tenant, run_id)], {CHECKPOINTS.name: rows})
            if of
            else None
        )
        if (
            of is None
            or batch is None
            or not self._tables.write(of.name, of.generation, self._owner, self._lease_seconds, batch)
        ):
            raise IntegrityError("only the owner of the projection checkpoints writes them")


def _kept_since(checkpoint: Checkpoint, before: Checkpoint | None) -> Checkpoint:
    return checkpoint if before is None else replace(checkpoint, created_at=before.created_at)
