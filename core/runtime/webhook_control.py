"""Decisions about webhooks, recorded and read: where a tenant's events are sent, and from when on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import uuid4

from ..addresses import Allowed, check_target, parse_url
from ..canonical import Payload
from ..errors import CallError, IntegrityError, OwnershipLostError, Problem
from ..ids import webhooks_of
from ..ports import Append, Clock, Head, Journal, RunLog, Unit
from ..webhook_events import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookEvent,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookSubscribed,
)
from ..webhook_log import Endpoint, WebhookLog
from ..webhook_patterns import check_patterns
from .admission import MAX_LABEL, check_text
from .request_keys import Beside

OVERLAP_SECONDS = 86_400.0
"""For how long a secret that was replaced still signs, unless another time is given."""

MAX_ENDPOINTS = 100
"""So many endpoints a tenant may have: each event is matched with all of them."""

_MAX_DESCRIPTION = 200
_TRIES = 100

_Made = Callable[[WebhookLog, int], WebhookEvent | None]
"""The event to record, given what was decided so far and the time; None if there is nothing to decide."""


def new_endpoint_id() -> str:
    """An id that no other endpoint has."""
    return f"ep_{uuid4().hex[:20]}"


class WebhookControl:
    """The control streams of webhooks. It knows no secrets: callers put them into the key file first."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def subscribe(
        self,
        url: str,
        patterns: Sequence[str],
        key_id: str,
        *,
        tenant: str = "default",
        description: str = "",
        by: str = "",
        allowed: Allowed | None = None,
        endpoint_id: str | None = None,
        beside: Beside | None = None,
    ) -> Endpoint:
        """Have events that fit `patterns` sent to `url` from now on, signed with the key `key_id`.

        `allowed` is what may be called besides the public internet. What the host resolves to is looked at when
        something is sent. `beside` is recorded with it. Raises AddressRefusedError, CallError, StoreUnreachableError,
        and what `beside` raises.
        """
        check_target(parse_url(url), allowed or Allowed())
        chosen = check_patterns(patterns)
        _check_words(description, by)
        identity = endpoint_id or new_endpoint_id()

        def made(log: WebhookLog, at: int) -> WebhookEvent:
            if len(log.endpoints) >= MAX_ENDPOINTS:
                raise CallError(Problem("", f"the tenant has {MAX_ENDPOINTS} endpoints", "remove some first"))
            told = Payload.of(list(chosen))
            return WebhookSubscribed(at, tenant, identity, url, told, description, key_id, by)

        return (await self._record(tenant, made, beside)).endpoints[identity]

    async def change(
        self,
        endpoint_id: str,
        *,
        tenant: str = "default",
        url: str | None = None,
        patterns: Sequence[str] | None = None,
        description: str | None = None,
        by: str = "",
        allowed: Allowed | None = None,
    ) -> Endpoint:
        """Give the endpoint another address, other patterns or another description. Raises as `subscribe` does."""
        if url is not None:
            check_target(parse_url(url), allowed or Allowed())
        chosen = None if patterns is None else check_patterns(patterns)
        _check_words(description or "", by)

        def made(log: WebhookLog, at: int) -> WebhookEvent:
            known = _known(log, endpoint_id)
            told = Payload.of(list(known.patterns if chosen is None else chosen))
            text = known.description if description is None else description
            return WebhookChanged(at, tenant, endpoint_id, url or known.url, told, text, by)

        return (await self._record(tenant, made)).endpoints[endpoint_id]

    async def remove(self, endpoint_id: str, *, tenant: str = "default", by: str = "") -> Endpoint:
        """Send nothing to the endpoint any more; returns it as it was. Raises CallError, StoreUnreachableError."""
        _check_words("", by)
        was: list[Endpoint] = []

        def made(log: WebhookLog, at: int) -> WebhookEvent:
            was.append(_known(log, endpoint_id))
            return WebhookRemoved(at, tenant, endpoint_id, by)

        await self._record(tenant, made)
        return was[-1]

    async def disable(self, endpoint_id: str, reason: str, *, tenant: str = "default", by: str = "") -> Endpoint:
        """Tell the endpoint of nothing until it is enabled. Doing so again changes nothing. Raises CallError."""
        _check_words(reason, by)

        def made(log: WebhookLog, at: int) -> WebhookEvent | None:
            known = _known(log, endpoint_id)
            return WebhookDisabled(at, tenant, endpoint_id, reason, by) if known.enabled else None

        return (await self._record(tenant, made)).endpoints[endpoint_id]

    async def enable(self, endpoint_id: str, *, tenant: str = "default", by: str = "") -> Endpoint:
        """Tell a disabled endpoint of what happens from now on. Raises CallError."""
        _check_words("", by)

        def made(log: WebhookLog, at: int) -> WebhookEvent | None:
            known = _known(log, endpoint_id)
            return None if known.enabled else WebhookEnabled(at, tenant, endpoint_id, by)

        return (await self._record(tenant, made)).endpoints[endpoint_id]

    async def rotate(
        self,
        endpoint_id: str,
        key_id: str,
        *,
        tenant: str = "default",
        overlap_seconds: float = OVERLAP_SECONDS,
        by: str = "",
        beside: Beside | None = None,
    ) -> Endpoint:
        """Sign with the key `key_id`, and for `overlap_seconds` with the one of before too.

        `beside` is recorded with it. Raises CallError, and what `beside` raises.
        """
        _check_words("", by)
        if not 0 <= overlap_seconds <= 365 * 86_400:
            raise CallError(Problem("", f"an overlap of {overlap_seconds:g} s", "give 0 s to a year"))

        def made(log: WebhookLog, at: int) -> WebhookEvent:
            known = _known(log, endpoint_id)
            retired_at = at + round(overlap_seconds * 1_000_000)
            return WebhookSecretRotated(at, tenant, endpoint_id, key_id, known.key_id, retired_at, by)

        return (await self._record(tenant, made, beside)).endpoints[endpoint_id]

    async def get(self, endpoint_id: str, *, tenant: str = "default") -> Endpoint:
        """One endpoint. Raises CallError if there is no such one."""
        return _known((await self._read(tenant))[0], endpoint_id)

    async def list(self, *, tenant: str = "default") -> Sequence[Endpoint]:
        """The tenant's endpoints, in the order in which they were subscribed."""
        return list((await self._read(tenant))[0].endpoints.values())

    async def _record(self, tenant: str, made: _Made, beside: Beside | None = None) -> WebhookLog:
        stream = webhooks_of(tenant)
        while True:
            log, head = await self._read(tenant)
            at = self._clock.now()
            also = () if beside is None else (await beside(at),)
            event = made(log, at)
            if event is None:
                return log
            log.take(event)
            try:
                await self._journal.commit(Unit((Append(stream, head, (event,)), *also)))
                return log
            except OwnershipLostError:
                continue  # Somebody else decided something first.

    async def _read(self, tenant: str) -> tuple[WebhookLog, Head]:
        stream = webhooks_of(tenant)
        for _ in range(_TRIES):
            head = await asyncio.to_thread(self._log.head, stream)
            events = await asyncio.to_thread(self._log.events, stream)
            if len(events) == head.version:
                return WebhookLog(tenant, events), head
        raise IntegrityError(f"the events of {stream} do not fit its head: run refold verify --all")


def _known(log: WebhookLog, endpoint_id: str) -> Endpoint:
    found = log.endpoints.get(endpoint_id)
    if found is None:
        reason = f"there is no endpoint {ascii(endpoint_id)[:60]}"
        raise CallError(Problem("", reason, "see: refold webhooks list"))
    return found


def _check_words(description: str, by: str) -> None:
    check_text("by", by, MAX_LABEL)
    check_text("the description", description, _MAX_DESCRIPTION)
