"""The outbox of webhooks: what is to be sent where, and what came of it; beside the log, in the same database.

Rows and the position up to which the log was looked through move in one transaction, so each event is noted once for
each endpoint. An endpoint has one sender at a time, by a lease in the database's time, and its rows are handed out in
the order of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

Status = Literal["waiting", "delivered", "dead"]
"""How a delivery stands: to be tried (again), taken by the receiver, or given up until somebody replays it."""


class OutboxPosition(NamedTuple):
    """Up to where the log was looked through; what lies at `quiet_until` or before is history, and never sent."""

    position: int
    quiet_until: int


class EndpointRow(NamedTuple):
    """An endpoint as the log says it is: `data` is JSON (`refold.core.webhook_log.Endpoint`), None if it is removed.

    When it is not `enabled`, what waits for it becomes dead, because of `why`.
    """

    endpoint_id: str
    tenant: str
    data: str | None
    enabled: bool
    why: str = ""


class NewDelivery(NamedTuple):
    """An event to be sent to an endpoint, under the id `message_id`, noted at `at` (µs since the epoch)."""

    endpoint_id: str
    position: int
    message_id: str
    tenant: str
    stream: str
    version: int
    topic: str
    at: int


class Delivery(NamedTuple):
    """An event on its way to an endpoint, or there.

    `attempts` were made since it was noted or replayed, at `since`; the next is due at `due`. `code` is the last HTTP
    status and `error` what went wrong, "" if nothing; `body_hash` is the SHA-256 of what was sent last. Times are in
    microseconds since the epoch.
    """

    endpoint_id: str
    position: int
    message_id: str
    tenant: str
    stream: str
    version: int
    topic: str
    status: Status
    attempts: int
    since: int
    due: int
    code: int | None
    error: str
    body_hash: str
    tried_at: int | None


class Outcome(NamedTuple):
    """What came of an attempt; see `Delivery`."""

    status: Status
    attempts: int
    due: int
    code: int | None
    error: str
    body_hash: str
    tried_at: int


class Lookup(NamedTuple):
    """Which deliveries: of a tenant, and of one endpoint, id or status where that is given; with `failed`, those that
    were not taken when they were last tried."""

    tenant: str
    endpoint_id: str | None = None
    message_id: str | None = None
    status: Status | None = None
    failed: bool = False


class Totals(NamedTuple):
    """Deliveries that are `waiting` for a first attempt, those refused when last tried, those that were given up."""

    waiting: int
    failing: int
    dead: int


class OutboxStore(Protocol):
    """The outbox in a store. All calls block and are thread-safe; they raise StoreError."""

    def position(self) -> OutboxPosition:
        """How far the log was looked through."""
        ...

    def endpoints(self, tenant: str | None = None) -> list[EndpointRow]:
        """The endpoints as of `position`, of one tenant or all."""
        ...

    def note(self, expected: int, position: int, changes: Sequence[EndpointRow | NewDelivery]) -> bool:
        """Take in what the log says up to `position`, in order, in one transaction.

        False, with nothing changed, unless the position is `expected`: somebody else was faster.
        """
        ...

    def claim(self, owner: str, limit: int, seconds: float, now: int) -> list[str]:
        """Lease up to `limit` enabled endpoints that nobody holds and whose first waiting delivery is due at `now`."""
        ...

    def first(self, endpoint_id: str, owner: str, seconds: float) -> tuple[str, Delivery] | None:
        """Prolong the lease; the endpoint's data and its first waiting delivery.

        None where there is none, the endpoint is disabled or removed, or `owner` does not hold the lease any more.
        """
        ...

    def record(self, delivery: Delivery, owner: str, outcome: Outcome) -> bool:
        """Write down what came of an attempt; False, with nothing changed, unless `owner` holds the lease."""
        ...

    def release(self, endpoint_id: str, owner: str) -> None:
        """Give the lease up if `owner` holds it."""
        ...

    def owners(self) -> list[str]:
        """Those who hold leases."""
        ...

    def free(self, owner: str) -> int:
        """Free the leases of `owner`, who is known to be dead; tells how many."""
        ...

    def deliveries(self, of: Lookup, limit: int, before: int | None = None) -> list[Delivery]:
        """Deliveries, the latest first, at positions before `before` where that is given."""
        ...

    def counts(self, tenant: str) -> dict[tuple[str, Status], int]:
        """How many deliveries each endpoint has, by status."""
        ...

    def totals(self) -> Totals:
        """How many deliveries, of all tenants, have not come to their end, or to a bad one."""
        ...

    def replay(self, of: Lookup, now: int) -> int:
        """Let dead deliveries wait again, and those that wait for another attempt wait no longer: due at `now`; tells
        how many that were. Status and `failed` of the lookup do not count."""
        ...

    def forget(self, before: int) -> int:
        """Remove what was delivered before the time `before`; tells how many."""
        ...
