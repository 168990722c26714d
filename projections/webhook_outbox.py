"""Looks through the log for what webhooks are to be told of, and notes it in the outbox.

Whom an event is for is what the log says up to that event: endpoints are folded as they come by in it. So what happened
before a subscription is not sent, and which process looks, or how often it was killed, makes no difference.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

import orjson

from ..core.errors import CallError, IntegrityError
from ..core.events import Event
from ..core.ids import CONTROL, check_tenant, run_of
from ..core.ports import Record
from ..core.webhook_events import WebhookEvent
from ..core.webhook_log import Endpoint, WebhookLog
from ..core.webhook_patterns import is_offered, matches
from ..core.webhook_signing import message_id
from ..eventstore.codec import decode, open_envelope
from ..eventstore.log import EventLog
from ..eventstore.outbox import EndpointRow, NewDelivery
from ..eventstore.store import Notification, Store

BATCH = 2000
"""Events of one transaction."""

_WEBHOOKS = f"{CONTROL}/webhooks/"

_log = logging.getLogger(__name__)


class OutboxFollower:
    """Notes what is to be sent. Any number of processes may do so side by side: one of them moves the position."""

    def __init__(self, store: Store, now: Callable[[], int], batch: int = BATCH):
        """`now` tells the time in microseconds since the epoch."""
        self._store = store
        self._log = EventLog(store, "")
        self._now = now
        self._batch = batch
        self._position = -1
        self._endpoints: dict[str, Endpoint] = {}

    def step(self) -> int:
        """Look through the next page of the log; tells how many events that were. Raises StoreError."""
        position, quiet_until = self._store.outbox.position()
        page = self._store.follow(position, self._batch)
        if not page:
            return 0
        if position != self._position:
            rows = self._store.outbox.endpoints()
            self._endpoints = {row.endpoint_id: Endpoint.of_json(orjson.loads(row.data or "")) for row in rows}
        self._position = -1
        changes = self._changes(page, quiet_until)
        if self._store.outbox.note(position, page[-1].position, changes):
            self._position = page[-1].position
        return len(page)

    def _changes(self, page: Sequence[Notification], quiet_until: int) -> list[EndpointRow | NewDelivery]:
        changes: list[EndpointRow | NewDelivery] = []
        for position, record in page:
            if record.stream.startswith(_WEBHOOKS):
                changed = self._decided(record)
                if changed is not None:
                    changes.append(changed)
            elif _offered(record.topic) and position > quiet_until:
                changes.extend(self._told(position, record))
        return changes

    def _told(self, position: int, record: Record) -> list[NewDelivery]:
        wanted = [each for each in self._endpoints.values() if each.enabled and matches(each.patterns, record.topic)]
        if not wanted:
            return []
        place, at = tenant_of(record), self._now()
        return [
            NewDelivery(
                each.endpoint_id,
                position,
                message_id(each.endpoint_id, position),
                each.tenant,
                record.stream,
                record.version,
                record.topic,
                at,
            )
            for each in wanted
            if place is None or place == each.tenant
        ]

    def _decided(self, record: Record) -> EndpointRow | None:
        """The endpoint as it is after an event of a control stream; None if that changes nothing.

        What was altered changes nothing either: it is found by `refold verify`, and must not keep others waiting.
        """
        try:
            event: Event = decode(record, {})
            tenant = record.stream.removeprefix(_WEBHOOKS)
            known = WebhookLog(tenant, self._log.events(record.stream, 0, record.version)).endpoints
        except IntegrityError as error:
            _log.warning("webhooks: %s", error)
            return None
        if not isinstance(event, WebhookEvent):
            return None
        endpoint = known.get(event.endpoint_id)
        if endpoint is None:
            self._endpoints.pop(event.endpoint_id, None)
            return EndpointRow(event.endpoint_id, tenant, None, False)
        self._endpoints[event.endpoint_id] = endpoint
        data = orjson.dumps(endpoint.to_json()).decode()
        return EndpointRow(
            event.endpoint_id, tenant, data, endpoint.enabled, f"the endpoint is disabled: {endpoint.why}"
        )


_offered = lru_cache(maxsize=1000)(is_offered)

_NOBODY = ""
"""No tenant is called so."""


def tenant_of(record: Record) -> str | None:
    """Whose event it is: a tenant's, everybody's (None), or nobody's ("", such as a message in an inbox).

    What is decided for a tenant stands in `control/…/{tenant}`, or names it: in a field `tenant`, or as what an
    emergency stop is about. The rest is for all.
    """
    family, _, rest = record.stream.partition("/")
    if family != CONTROL:
        try:
            return run_of(record.stream)[0]
        except CallError:
            return _NOBODY
    _, _, tenant = rest.partition("/")
    try:
        data = {} if tenant else open_envelope(record).data
        named = tenant or data.get("tenant") or (data.get("name") if data.get("scope") == "tenant" else None)
        return check_tenant(named) if named else None
    except (IntegrityError, CallError):
        return _NOBODY
