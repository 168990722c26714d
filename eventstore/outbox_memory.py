"""The outbox of webhooks in memory; fulfils `refold.eventstore.outbox.OutboxStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from .outbox import Delivery, EndpointRow, Lookup, NewDelivery, OutboxPosition, Outcome, Status, Totals


@dataclass(slots=True)
class _Endpoint:
    row: EndpointRow
    owner: str | None = None
    until: float = 0.0


class MemoryOutbox:
    """Rows in dicts, under the store's lock."""

    def __init__(self, lock: AbstractContextManager[Any], seconds: Callable[[], float]):
        self._lock = lock
        self._seconds = seconds
        self._at = OutboxPosition(0, 0)
        self._endpoints: dict[str, _Endpoint] = {}
        self._rows: dict[tuple[str, int], Delivery] = {}

    def position(self) -> OutboxPosition:
        """See `OutboxStore.position`."""
        return self._at

    def endpoints(self, tenant: str | None = None) -> list[EndpointRow]:
        """See `OutboxStore.endpoints`."""
        with self._lock:
            every = sorted(each.row for each in self._endpoints.values())
        return [row._replace(why="") for row in every if tenant in (None, row.tenant)]

    def note(self, expected: int, position: int, changes: Sequence[EndpointRow | NewDelivery]) -> bool:
        """See `OutboxStore.note`."""
        with self._lock:
            if self._at.position != expected:
                return False
            self._at = self._at._replace(position=position)
            for each in changes:
                if isinstance(each, NewDelivery):
                    key = each.endpoint_id, each.position
                    self._rows[key] = Delivery(*each[:7], "waiting", 0, each.at, each.at, None, "", "", None)
                else:
                    self._change(each)
            return True

    def _change(self, row: EndpointRow) -> None:
        if row.data is None:
            self._endpoints.pop(row.endpoint_id, None)
            self._rows = {key: each for key, each in self._rows.items() if key[0] != row.endpoint_id}
            return
        known = self._endpoints.setdefault(row.endpoint_id, _Endpoint(row))
        known.row = row
        for key, each in self._rows.items():
            if key[0] == row.endpoint_id and each.status == "waiting" and not row.enabled:
                self._rows[key] = each._replace(status="dead", error=row.why)

    def _waiting(self, endpoint_id: str) -> Delivery | None:
        mine = (each for each in self._rows.values() if each.endpoint_id == endpoint_id and each.status == "waiting")
        return min(mine, key=lambda each: each.position, default=None)

    def claim(self, owner: str, limit: int, seconds: float, now: int) -> list[str]:
        """See `OutboxStore.claim`."""
        with self._lock:
            claimed: list[str] = []
            for endpoint_id, each in sorted(self._endpoints.items(), key=lambda item: (item[1].until, item[0])):
                due = self._waiting(endpoint_id) if each.row.enabled and each.until <= self._seconds() else None
                if due is not None and due.due <= now and len(claimed) < limit:
                    each.owner, each.until = owner, self._seconds() + seconds
                    claimed.append(endpoint_id)
            return claimed

    def first(self, endpoint_id: str, owner: str, seconds: float) -> tuple[str, Delivery] | None:
        """See `OutboxStore.first`."""
        with self._lock:
            known = self._endpoints.get(endpoint_id)
            if known is None or known.owner != owner or not known.row.enabled or known.row.data is None:
                return None
            known.until = self._seconds() + seconds
            row = self._waiting(endpoint_id)
            return None if row is None else (known.row.data, row)

    def record(self, delivery: Delivery, owner: str, outcome: Outcome) -> bool:
        """See `OutboxStore.record`."""
        with self._lock:
            known = self._endpoints.get(delivery.endpoint_id)
            if known is None or known.owner != owner:
                return False
            key = delivery.endpoint_id, delivery.position
            if key in self._rows:
                self._rows[key] = self._rows[key]._replace(**outcome._asdict())
            return True

    def release(self, endpoint_id: str, owner: str) -> None:
        """See `OutboxStore.release`."""
        with self._lock:
            known = self._endpoints.get(endpoint_id)
            if known is not None and known.owner == owner:
                known.owner, known.until = None, 0.0

    def owners(self) -> list[str]:
        """See `OutboxStore.owners`."""
        with self._lock:
            now = self._seconds()
            return sorted({each.owner for each in self._endpoints.values() if each.owner and each.until > now})

    def free(self, owner: str) -> int:
        """See `OutboxStore.free`."""
        with self._lock:
            held = [each for each in self._endpoints.values() if each.owner == owner]
            for each in held:
                each.owner, each.until = None, 0.0
            return len(held)

    def _found(self, of: Lookup) -> list[Delivery]:
        wanted = {name: value for name, value in of._asdict().items() if name != "failed" and value is not None}
        return [
            row
            for row in self._rows.values()
            if all(getattr(row, name) == value for name, value in wanted.items()) and (row.error or not of.failed)
        ]

    def deliveries(self, of: Lookup, limit: int, before: int | None = None) -> list[Delivery]:
        """See `OutboxStore.deliveries`."""
        with self._lock:
            found = [row for row in self._found(of) if before is None or row.position < before]
        return sorted(found, key=lambda row: (-row.position, row.endpoint_id))[:limit]

    def counts(self, tenant: str) -> dict[tuple[str, Status], int]:
        """See `OutboxStore.counts`."""
        with self._lock:
            return dict(Counter((row.endpoint_id, row.status) for row in self._found(Lookup(tenant))))

    def totals(self) -> Totals:
        """See `OutboxStore.totals`."""
        with self._lock:
            found = Counter((row.status, row.error != "") for row in self._rows.values())
        return Totals(found["waiting", False], found["waiting", True], found["dead", False] + found["dead", True])

    def replay(self, of: Lookup, now: int) -> int:
        """See `OutboxStore.replay`."""
        with self._lock:
            found = self._found(of._replace(status=None, failed=False))
            again = [
                row._replace(status="waiting", attempts=0, since=now, due=now)
                if row.status == "dead"
                else row._replace(due=now)
                for row in found
                if row.status == "dead" or (row.status == "waiting" and row.error and row.due > now)
            ]
            self._rows.update(((row.endpoint_id, row.position), row) for row in again)
            return len(again)

    def forget(self, before: int) -> int:
        """See `OutboxStore.forget`."""
        with self._lock:
            old = [
                key
                for key, row in self._rows.items()
                if row.status == "delivered" and row.tried_at is not None and row.tried_at < before
            ]
            for key in old:
                del self._rows[key]
            return len(old)
