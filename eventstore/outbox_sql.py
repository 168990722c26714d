"""The outbox of webhooks in a SQL database; fulfils `refold.eventstore.outbox.OutboxStore`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from .dispatch import Dialect, Query
from .outbox import Delivery, EndpointRow, Lookup, NewDelivery, OutboxPosition, Outcome, Status, Totals
from .tables_sql import Transaction, in_dialect

_MOVE = """
INSERT INTO webhook_outbox (id, position, quiet_until) VALUES (1, ?, 0)
ON CONFLICT (id) DO UPDATE SET position = excluded.position WHERE webhook_outbox.position = ?
"""
QUIET = """
INSERT INTO webhook_outbox (id, position, quiet_until) SELECT 1, 0, coalesce(max({position}), 0) FROM stored_events
WHERE true ON CONFLICT (id) DO UPDATE SET position = 0, quiet_until = excluded.quiet_until
"""
"""Makes all that is in the log history, of which nobody is told."""

_NOTE = """
INSERT INTO webhook_deliveries (endpoint_id, position, message_id, tenant, stream, version, topic, status, attempts,
since, due, code, error, body_hash, tried_at)
VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, NULL, '', '', NULL)
"""
_ENDPOINT = """
INSERT INTO webhook_endpoints (endpoint_id, tenant, data, enabled, owner, lease_until) VALUES (?, ?, ?, ?, NULL, 0)
ON CONFLICT (endpoint_id) DO UPDATE SET data = excluded.data, enabled = excluded.enabled
"""
_CLAIM = """
UPDATE webhook_endpoints SET owner = ?, lease_until = {now} + ? WHERE endpoint_id IN (
    SELECT e.endpoint_id FROM webhook_endpoints e
    WHERE e.enabled AND e.lease_until <= {now} AND (
        SELECT d.due FROM webhook_deliveries d
        WHERE d.endpoint_id = e.endpoint_id AND d.status = 'waiting' ORDER BY d.position LIMIT 1
    ) <= ?
    ORDER BY e.lease_until, e.endpoint_id LIMIT ? {skip_locked}
) RETURNING endpoint_id
"""
_HELD = "UPDATE webhook_endpoints SET lease_until = {now} + ? WHERE endpoint_id = ? AND owner = ?"
_COLUMNS = (
    "endpoint_id, position, message_id, tenant, stream, version, topic, status, attempts, since, due, code, error, "
    "body_hash, tried_at"
)
_FIRST = f"""
SELECT {_COLUMNS} FROM webhook_deliveries WHERE endpoint_id = ? AND status = 'waiting' ORDER BY position LIMIT 1
"""
_RECORD = """
UPDATE webhook_deliveries SET status = ?, attempts = ?, due = ?, code = ?, error = ?, body_hash = ?, tried_at = ?
WHERE endpoint_id = ? AND position = ?
"""
_GIVE_UP = "UPDATE webhook_deliveries SET status = 'dead', error = ? WHERE endpoint_id = ? AND status = 'waiting'"
_WAITING = "SELECT count(*) FROM webhook_deliveries WHERE status = 'waiting' AND error"
_TOTALS = f"""
SELECT ({_WAITING} = ''), ({_WAITING} <> ''), (SELECT count(*) FROM webhook_deliveries WHERE status = 'dead')
"""
_REVIVE = "UPDATE webhook_deliveries SET status = 'waiting', attempts = 0, since = ?, due = ? WHERE status = 'dead'"
_HURRY = "UPDATE webhook_deliveries SET due = ? WHERE status = 'waiting' AND error <> '' AND due > ?"
_FREE = "UPDATE webhook_endpoints SET owner = NULL, lease_until = 0 WHERE owner = ?"
_LEASE_SECONDS = 30.0


class SQLOutbox:
    """The tables of the outbox: `read` runs one statement, `transaction` several that count together."""

    def __init__(self, read: Query, transaction: Callable[[], AbstractContextManager[Transaction]], dialect: Dialect):
        self._read = read
        self._transaction = transaction
        self._dialect = dialect

    def _sql(self, text: str) -> str:
        return in_dialect(text.replace("{skip_locked}", self._dialect.skip_locked), self._dialect)

    def position(self) -> OutboxPosition:
        """See `OutboxStore.position`."""
        rows = self._read("SELECT position, quiet_until FROM webhook_outbox", ())
        return OutboxPosition(*rows[0]) if rows else OutboxPosition(0, 0)

    def endpoints(self, tenant: str | None = None) -> list[EndpointRow]:
        """See `OutboxStore.endpoints`."""
        sql = "SELECT endpoint_id, tenant, data, enabled FROM webhook_endpoints WHERE (? IS NULL OR tenant = ?)"
        rows = self._read(self._sql(f"{sql} ORDER BY endpoint_id"), (tenant, tenant))
        return [EndpointRow(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def note(self, expected: int, position: int, changes: Sequence[EndpointRow | NewDelivery]) -> bool:
        """See `OutboxStore.note`."""
        with self._transaction() as change:
            if change.run(self._sql(_MOVE), (position, expected)) != 1:
                return False
            for kind, group in groupby(changes, type):
                if kind is NewDelivery:
                    rows = [(*each[:7], each.at, each.at) for each in group if isinstance(each, NewDelivery)]
                    change.each(self._sql(_NOTE), rows)
                    continue
                for each in group:
                    if isinstance(each, EndpointRow):
                        self._change(change, each)
        return True

    def _change(self, change: Transaction, row: EndpointRow) -> None:
        if row.data is None:
            for table in ("webhook_deliveries", "webhook_endpoints"):
                change.run(self._sql(f"DELETE FROM {table} WHERE endpoint_id = ?"), (row.endpoint_id,))
            return
        change.run(self._sql(_ENDPOINT), (row.endpoint_id, row.tenant, row.data, row.enabled))
        if not row.enabled:
            change.run(self._sql(_GIVE_UP), (row.why, row.endpoint_id))

    def claim(self, owner: str, limit: int, seconds: float, now: int) -> list[str]:
        """See `OutboxStore.claim`."""
        with self._transaction() as change:
            return [row[0] for row in change.ask(self._sql(_CLAIM), (owner, seconds, now, limit))]

    def first(self, endpoint_id: str, owner: str, seconds: float) -> tuple[str, Delivery] | None:
        """See `OutboxStore.first`."""
        with self._transaction() as change:
            held = f"{_HELD} AND enabled RETURNING data"
            endpoints = change.ask(self._sql(held), (seconds, endpoint_id, owner))
            rows = change.ask(self._sql(_FIRST), (endpoint_id,)) if endpoints else []
        return (endpoints[0][0], Delivery(*rows[0])) if rows else None

    def record(self, delivery: Delivery, owner: str, outcome: Outcome) -> bool:
        """See `OutboxStore.record`."""
        with self._transaction() as change:
            if change.run(self._sql(_HELD), (_LEASE_SECONDS, delivery.endpoint_id, owner)) != 1:
                return False
            change.run(self._sql(_RECORD), (*outcome, delivery.endpoint_id, delivery.position))
        return True

    def release(self, endpoint_id: str, owner: str) -> None:
        """See `OutboxStore.release`."""
        with self._transaction() as change:
            change.run(self._sql(f"{_FREE} AND endpoint_id = ?"), (owner, endpoint_id))

    def owners(self) -> list[str]:
        """See `OutboxStore.owners`."""
        sql = "SELECT DISTINCT owner FROM webhook_endpoints WHERE owner IS NOT NULL AND lease_until > {now}"
        return [row[0] for row in self._read(self._sql(sql), ())]

    def free(self, owner: str) -> int:
        """See `OutboxStore.free`."""
        with self._transaction() as change:
            return change.run(self._sql(_FREE), (owner,))

    def deliveries(self, of: Lookup, limit: int, before: int | None = None) -> list[Delivery]:
        """See `OutboxStore.deliveries`."""
        where, given = _where(of)
        if before is not None:
            where, given = f"{where} AND position < ?", [*given, before]
        sql = f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE {where} ORDER BY position DESC, endpoint_id LIMIT ?"
        return [Delivery(*row) for row in self._read(self._sql(sql), (*given, limit))]

    def counts(self, tenant: str) -> dict[tuple[str, Status], int]:
        """See `OutboxStore.counts`."""
        sql = "SELECT endpoint_id, status, count(*) FROM webhook_deliveries WHERE tenant = ? GROUP BY 1, 2"
        return {(row[0], row[1]): row[2] for row in self._read(self._sql(sql), (tenant,))}

    def totals(self) -> Totals:
        """See `OutboxStore.totals`."""
        ((waiting, failing, dead),) = self._read(_TOTALS, ())
        return Totals(waiting, failing, dead)

    def replay(self, of: Lookup, now: int) -> int:
        """See `OutboxStore.replay`."""
        where, given = _where(of._replace(status=None, failed=False))
        with self._transaction() as change:
            # Hurried first: what was dead a moment ago is due already, and counts once.
            return sum(change.run(self._sql(f"{sql} AND {where}"), (now, now, *given)) for sql in (_HURRY, _REVIVE))

    def forget(self, before: int) -> int:
        """See `OutboxStore.forget`."""
        sql = "DELETE FROM webhook_deliveries WHERE status = 'delivered' AND tried_at < ?"
        with self._transaction() as change:
            return change.run(self._sql(sql), (before,))


def _where(of: Lookup) -> tuple[str, list[Any]]:
    wanted = {name: value for name, value in of._asdict().items() if name != "failed" and value is not None}
    conditions = [f"{name} = ?" for name in wanted] + ["error <> ''"] * of.failed
    return " AND ".join(conditions), list(wanted.values())
