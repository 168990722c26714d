"""Dispatch rows: which runs are due, and who holds them until when, in the database's own time.

One row for each run that has not ended, made and removed in the transaction of the events that cause it. Leases save
work; they do not protect the log, which does that itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from ..core.ports import HELD, NEVER, held_at
from .depths import DEPTHS, Depth, depths_of

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs one statement with its parameters and returns the rows."""


Batch = Callable[[Sequence[tuple[str, Sequence[Any]]]], None]
"""Runs statements, each with its parameters, in one transaction."""


class LeaseRow(NamedTuple):
    """Who holds a run, and for how many more seconds."""

    stream: str
    owner: str | None
    seconds_left: float


class DispatchRow(NamedTuple):
    """A row without its lease: all of it follows from the log. `due_at` is in seconds since the epoch."""

    stream: str
    queue: str
    priority: int
    needs: str
    due_at: float


class WorkerRow(NamedTuple):
    """A process that works on runs: its last report (JSON), and how many seconds ago that was."""

    owner: str
    report: str
    seconds_ago: float


class DispatchStore(Protocol):
    """The dispatch and worker tables of a store. All calls block and are thread-safe."""

    def lease(self, stream: str) -> LeaseRow | None:
        """The lease of a run, None when it has no row (it has ended, or never was)."""
        ...

    def leases(self) -> list[LeaseRow]:
        """The leases of all runs that somebody holds."""
        ...

    def take(self, stream: str, owner: str, seconds: float, instead_of: str | None) -> bool:
        """Take the lease if it is free, run out, or held by `instead_of` (an owner known to be dead)."""
        ...

    def renew(self, streams: Sequence[str], owner: str, seconds: float) -> None:
        """Prolong those leases on `streams` that `owner` holds, but for those being changed just now."""
        ...

    def release(self, stream: str, owner: str, due: int | None = None, taken: int | None = None) -> None:
        """Give the lease up if `owner` holds it; with `due` and `taken` as in `refold.core.ports.Schedule`."""
        ...

    def due_needs(self, queues: Sequence[str]) -> list[str]:
        """What the runs need that are due and free, each once."""
        ...

    def claim(self, owner: str, queues: Sequence[str], needs: Sequence[str], limit: int, seconds: float) -> list[str]:
        """Lease up to `limit` runs that are due and free and need one of `needs`; highest priority first."""
        ...

    def owners(self) -> list[str]:
        """Those who hold leases."""
        ...

    def free(self, owner: str) -> int:
        """Free the leases of `owner`, who is known to be dead, but for those that are being changed; tells how many."""
        ...

    def free_held(self, before: int) -> int:
        """Make those rows due that are held back (`refold.core.ports.held_at`) by less than `before` events, but for
        those that are being changed; tells how many."""
        ...

    def now(self) -> int:
        """The database's time, in microseconds since the epoch."""
        ...

    def rows(self) -> list[DispatchRow]:
        """Every row, by stream."""
        ...

    def depths(self) -> list[Depth]:
        """How many runs there are in each queue, by what they need; in order of both. It reads every row."""
        ...

    def replace(self, rows: Sequence[DispatchRow]) -> None:
        """Put `rows` in the place of all there are; nobody holds a lease then."""
        ...

    def beat(self, owner: str, report: str) -> None:
        """Record that the worker `owner` lives."""
        ...

    def leave(self, owner: str) -> None:
        """Record that the worker `owner` has gone."""
        ...

    def workers(self) -> list[WorkerRow]:
        """The workers that have reported and not left."""
        ...


class Dialect(NamedTuple):
    """Where the databases differ: the time in seconds, what stands for `needs` in the index, a test for membership in
    a list and how that list is passed, the mark of a parameter, and what keeps two claims from waiting for each other.

    The time is the same throughout a statement: an index can look up only what does not change meanwhile.
    """

    now: str
    kind: str
    among: str
    listed: Callable[[Sequence[str]], Any]
    mark: str
    skip_locked: str


def _as_json(items: Sequence[str]) -> str:
    return orjson.dumps(list(items)).decode()


SQLITE = Dialect(
    now="((julianday('now') - 2440587.5) * 86400.0)",
    kind="{}",
    among="IN (SELECT value FROM json_each(?))",
    listed=_as_json,
    mark="?",
    skip_locked="",
)
"""SQLite's; its time is that of the host."""
POSTGRES = Dialect(
    now="extract(epoch FROM statement_timestamp())::float8",
    kind="md5({})",  # The skills of a large spec are too long for an index.
    among="= ANY(?)",
    listed=list,
    mark="%s",
    # Not FOR UPDATE: it would leave out rows that the ledger keeps from being deleted for a moment.
    skip_locked="FOR NO KEY UPDATE SKIP LOCKED",
)
"""PostgreSQL's."""


def seconds_of(due: int) -> float:
    """A due time in microseconds as the tables hold it."""
    return due / 1_000_000 if due < NEVER else float(NEVER)


_DUE_GROUPS = """
WITH RECURSIVE heads (stream) AS (
    SELECT (SELECT stream FROM dispatch ORDER BY queue, {kind:needs}, priority LIMIT 1)
    UNION ALL
    SELECT coalesce(
        (
            SELECT d.stream FROM dispatch d
            WHERE d.queue = g.queue AND {kind:d.needs} = {kind:g.needs} AND d.priority > g.priority
            ORDER BY d.priority LIMIT 1
        ),
        (
            SELECT d.stream FROM dispatch d WHERE d.queue = g.queue AND {kind:d.needs} > {kind:g.needs}
            ORDER BY {kind:d.needs}, d.priority LIMIT 1
        ),
        (SELECT d.stream FROM dispatch d WHERE d.queue > g.queue ORDER BY d.queue, {kind:d.needs}, d.priority LIMIT 1)
    )
    FROM heads JOIN dispatch g ON g.stream = heads.stream
)
SELECT g.queue, g.needs, g.priority FROM heads JOIN dispatch g ON g.stream = heads.stream
WHERE (
    SELECT 1 FROM dispatch d
    WHERE d.queue = g.queue AND {kind:d.needs} = {kind:g.needs} AND d.priority = g.priority
    AND d.due_at <= {now} AND (d.owner IS NULL OR d.lease_until <= {now})
    LIMIT 1
) IS NOT NULL
ORDER BY g.priority DESC
"""
# It steps from group to group of the index dispatch_due and looks at the first rows of each only: neither those that
# sleep nor those that queue up, however many, make it slower. (SQLite would look up the first column alone of a
# comparison of rows.) What it costs is the number of groups: many thousands of priorities would be felt.

_FIRST_OF_GROUP = """
SELECT stream, priority, due_at FROM (
    SELECT stream, priority, due_at FROM dispatch
    WHERE queue = ? AND {kind:needs} = {kind:?} AND priority = ?
    AND due_at <= {now} AND (owner IS NULL OR lease_until <= {now})
    ORDER BY due_at LIMIT ? {skip_locked}
) AS first
"""

_GROUPS = 100
"""One claim looks at no more groups; SQLite joins up to 500."""


_HELD_BEFORE = f"due_at >= {seconds_of(HELD):.0f} AND due_at < 3000000000000 AND due_at < ?"
"""Held back by less than so many events. The first two conditions are those of the index `dispatch_held`."""

_FREED = 1000
"""So many rows are made due in one transaction."""


class _Group(NamedTuple):
    """Rows of one queue that need the same skills and have the same priority."""

    queue: str
    needs: str
    priority: int


class SQLDispatch:
    """The tables in a SQL database; fulfils `DispatchStore`.

    `write` runs a statement in a transaction of its own, `together` several in one.
    """

    def __init__(self, read: Query, write: Query, together: Batch, dialect: Dialect):
        self._read = read
        self._write = write
        self._together = together
        self._dialect = dialect

    def _sql(self, text: str) -> str:
        """`text` in the database's words: {now}, {among}, {kind:…}, {skip_locked} and ? are replaced."""
        d = self._dialect
        filled = text.replace("{now}", d.now).replace("{among}", d.among).replace("{skip_locked}", d.skip_locked)
        filled = re.sub(r"\{kind:([^}]*)\}", lambda found: d.kind.format(found[1]), filled)
        return filled.replace("?", d.mark)

    def lease(self, stream: str) -> LeaseRow | None:
        """See `DispatchStore.lease`."""
        rows = self._read(
            self._sql("SELECT stream, owner, lease_until - {now} FROM dispatch WHERE stream = ?"), (stream,)
        )
        return LeaseRow(*rows[0]) if rows else None

    def leases(self) -> list[LeaseRow]:
        """See `DispatchStore.leases`."""
        sql = "SELECT stream, owner, lease_until - {now} FROM dispatch WHERE owner IS NOT NULL AND lease_until > {now}"
        return [LeaseRow(*row) for row in self._read(self._sql(sql), ())]

    def take(self, stream: str, owner: str, seconds: float, instead_of: str | None) -> bool:
        """See `DispatchStore.take`."""
        sql = self._sql(
            "UPDATE dispatch SET owner = ?, lease_until = {now} + ? WHERE stream = ? "
            "AND (owner IS NULL OR owner IN (?, ?) OR lease_until <= {now}) RETURNING 1"
        )
        return bool(self._write(sql, (owner, seconds, stream, owner, instead_of)))

    def renew(self, streams: Sequence[str], owner: str, seconds: float) -> None:
        """See `DispatchStore.renew`."""
        # A row that a commit has locked is left for the next time: each would wait for the other's rows, for ever.
        sql = self._sql(
            "UPDATE dispatch SET lease_until = {now} + ? WHERE stream IN ("
            "SELECT stream FROM dispatch WHERE owner = ? AND stream {among} {skip_locked}) RETURNING 1"
        )
        self._write(sql, (seconds, owner, self._dialect.listed(streams)))

    def release(self, stream: str, owner: str, due: int | None = None, taken: int | None = None) -> None:
        """See `DispatchStore.release`."""
        if due is None:
            sql = "UPDATE dispatch SET owner = NULL, lease_until = 0 WHERE stream = ? AND owner = ? RETURNING 1"
            self._write(self._sql(sql), (stream, owner))
            return
        sql = self._sql(
            "UPDATE dispatch SET owner = NULL, lease_until = 0, due_at = CASE WHEN ? < "
            "coalesce((SELECT version FROM stream_heads WHERE stream_heads.stream = ?), 0) THEN 0 ELSE ? END "
            "WHERE stream = ? AND owner = ? RETURNING 1"
        )
        heard = NEVER if taken is None else taken
        self._write(sql, (heard, f"{stream}/inbox", seconds_of(due), stream, owner))

    def due_needs(self, queues: Sequence[str]) -> list[str]:
        """See `DispatchStore.due_needs`."""
        return sorted({group.needs for group in self._due(queues)})

    def _due(self, queues: Sequence[str]) -> list[_Group]:
        # The queues are not looked for there: that would tempt a planner to read through all runs of a queue.
        return [group for row in self._read(self._sql(_DUE_GROUPS), ()) if (group := _Group(*row)).queue in queues]

    def claim(self, owner: str, queues: Sequence[str], needs: Sequence[str], limit: int, seconds: float) -> list[str]:
        """See `DispatchStore.claim`."""
        groups = [group for group in self._due(queues) if group.needs in needs][:_GROUPS]
        if not groups:
            return []
        found = " UNION ALL ".join([_FIRST_OF_GROUP] * len(groups))
        sql = (
            "UPDATE dispatch SET owner = ?, lease_until = {now} + ? WHERE stream IN "
            f"(SELECT stream FROM ({found}) AS found ORDER BY priority DESC, due_at LIMIT ?) RETURNING stream"
        )
        parameters = [value for group in groups for value in (*group, limit)]
        return [row[0] for row in self._write(self._sql(sql), (owner, seconds, *parameters, limit))]

    def owners(self) -> list[str]:
        """See `DispatchStore.owners`."""
        sql = "SELECT DISTINCT owner FROM dispatch WHERE owner IS NOT NULL AND lease_until > {now}"
        return [row[0] for row in self._read(self._sql(sql), ())]

    def free(self, owner: str) -> int:
        """See `DispatchStore.free`."""
        sql = self._sql(
            "UPDATE dispatch SET owner = NULL, lease_until = 0 WHERE stream IN ("
            "SELECT stream FROM dispatch WHERE owner = ? {skip_locked}) RETURNING 1"
        )
        return len(self._write(sql, (owner,)))

    def free_held(self, before: int) -> int:
        """See `DispatchStore.free_held`."""
        freed, until = 0, seconds_of(held_at(before))
        if not self._read(self._sql(f"SELECT 1 FROM dispatch WHERE {_HELD_BEFORE} LIMIT 1"), (until,)):
            return 0
        # In pieces: an append that changes one of these rows waits for us, and everybody else for it.
        sql = self._sql(
            "UPDATE dispatch SET due_at = 0 WHERE stream IN ("
            f"SELECT stream FROM dispatch WHERE {_HELD_BEFORE} LIMIT {_FREED} {{skip_locked}}) RETURNING 1"
        )
        while found := len(self._write(sql, (until,))):
            freed += found
        return freed

    def now(self) -> int:
        """See `DispatchStore.now`."""
        return int(self._read(self._sql("SELECT {now}"), ())[0][0] * 1_000_000)

    def rows(self) -> list[DispatchRow]:
        """See `DispatchStore.rows`."""
        sql = "SELECT stream, queue, priority, needs, due_at FROM dispatch ORDER BY stream"
        return [DispatchRow(*row) for row in self._read(sql, ())]

    def depths(self) -> list[Depth]:
        """See `DispatchStore.depths`."""
        return depths_of(self._read(self._sql(DEPTHS), ()))

    def replace(self, rows: Sequence[DispatchRow]) -> None:
        """See `DispatchStore.replace`."""
        # A run that starts or ends between the two statements of a slower way would be lost or brought back.
        insert = self._sql("INSERT INTO dispatch VALUES (?, ?, ?, ?, ?, NULL, 0) ON CONFLICT DO NOTHING")
        self._together([("DELETE FROM dispatch", ()), *((insert, row) for row in rows)])

    def beat(self, owner: str, report: str) -> None:
        """See `DispatchStore.beat`."""
        sql = (
            "INSERT INTO workers (owner, report, beat_at) VALUES (?, ?, {now}) "
            "ON CONFLICT (owner) DO UPDATE SET report = excluded.report, beat_at = excluded.beat_at RETURNING 1"
        )
        self._write(self._sql(sql), (owner, report))

    def leave(self, owner: str) -> None:
        """See `DispatchStore.leave`."""
        self._write(self._sql("DELETE FROM workers WHERE owner = ? RETURNING 1"), (owner,))

    def workers(self) -> list[WorkerRow]:
        """See `DispatchStore.workers`."""
        sql = self._sql("SELECT owner, report, {now} - beat_at FROM workers ORDER BY owner")
        return [WorkerRow(*row) for row in self._read(sql, ())]
