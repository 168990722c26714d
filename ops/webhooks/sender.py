"""Sends what the outbox holds: for each endpoint one message after another, in the order of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson

from ...core.errors import CallError, IntegrityError, Problem, RefoldError, StoreError
from ...core.hashing import sha256_hex
from ...core.ports import Clock
from ...core.runtime.tracing import Tracer
from ...core.runtime.webhook_control import WebhookControl
from ...core.webhook_log import Endpoint
from ...eventstore.outbox import Delivery, Outcome
from ...eventstore.owner import is_dead, this_process
from ...eventstore.store import Store
from ...projections.webhook_body import body_of
from ...projections.webhook_keys import WebhookKeys
from ...projections.webhook_outbox import OutboxFollower
from .post import Message, Poster, Sent
from .spans import delivery_ended, delivery_span

DELAYS_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""How long to wait after each failed attempt, give or take a tenth; after the last of them it is given up."""

DAY_SECONDS = 86_400
"""What has waited so long behind others is tried once."""

LEASE_SECONDS = 30.0
"""For how long an endpoint stays with a process of another host that gives no sign of life."""

KEPT_DAYS = 30
"""For how long one can see what was delivered."""

IDLE_SECONDS = 0.2
"""How long to wait before looking again where nothing was due."""

_AT_ONCE = 16
_IN_A_ROW = 100
_LONGEST_PAUSE_SECONDS = 5.0
_KEY_MISSING_SECONDS = 60

_log = logging.getLogger(__name__)


class WebhookSender:
    """Notes what webhooks are to be told of, and sends it, with any number of others beside it.

    sender = WebhookSender(store, engine.webhooks, lambda: WebhookKeys.load(path), Poster(allowed), clock)
    await sender.run()      # until sender.drain() is called
    """

    def __init__(
        self,
        store: Store,
        control: WebhookControl,
        keys: Callable[[], WebhookKeys],
        poster: Poster,
        clock: Clock,
        tracer: Tracer | None = None,
    ):
        """`keys` reads the key file; it is asked for every message, since keys are rotated while senders run. `tracer`
        is told of attempts."""
        self._tracer = tracer
        self._outbox = store.outbox
        self._store = store
        self._control = control
        self._keys = keys
        self._poster = poster
        self._clock = clock
        self._follower = OutboxFollower(store, clock.now)
        self._noting = asyncio.Lock()
        self._drained = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self.delivered = 0
        """How many messages receivers have taken from it."""

    def drain(self) -> None:
        """Let `run` return when the attempts under way have ended."""
        self._drained.set()

    async def run(self) -> None:
        """Note and send until drained. Whatever is wrong with the store or a receiver, it tries again."""
        await asyncio.gather(self._again(self._note), self._again(self._claim_some), self._again(self._tidy, 1.0))
        if self._serving:
            await asyncio.wait(self._serving)

    async def once(self) -> int:
        """Note all that the log holds, and make one round of all that is due; tells how many endpoints that were."""
        while await self._note():
            pass
        started = 0
        while count := await self._claim_some():
            started += count
            await asyncio.wait(self._serving)
        return started

    async def _again(self, work: Callable[[], Coroutine[Any, Any, int]], idle: float = IDLE_SECONDS) -> None:
        pause = idle
        while not self._drained.is_set():
            try:
                if await work():
                    continue
                pause = idle
            except Exception as error:
                # One fault must not end what is meant to go on, nor the server beside it.
                trace = None if isinstance(error, RefoldError) else error
                _log.warning("webhooks wait for a moment: %s", error, exc_info=trace)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), pause)

    async def _note(self) -> int:
        async with self._noting:
            return await asyncio.to_thread(self._follower.step)

    async def _tidy(self) -> int:
        """Take over from processes of this host that have died, and forget what was delivered long ago."""
        await asyncio.to_thread(self._bury_the_dead)
        before = self._clock.now() - KEPT_DAYS * DAY_SECONDS * 1_000_000
        await asyncio.to_thread(self._outbox.forget, before)
        return 0

    def _bury_the_dead(self) -> None:
        for owner in self._outbox.owners():
            if is_dead(owner):
                self._outbox.free(owner)

    async def _claim_some(self) -> int:
        free = _AT_ONCE - len(self._serving)
        if free <= 0:
            await asyncio.wait(self._serving, return_when=asyncio.FIRST_COMPLETED)
            return 1
        # A name of its own for each claim: what an earlier one still believes counts for nothing.
        owner = this_process(uuid4().hex)
        claim = self._outbox.claim
        claimed = await asyncio.to_thread(claim, owner, free, LEASE_SECONDS, self._clock.now())
        for endpoint_id in claimed:
            task = asyncio.create_task(self._serve(endpoint_id, owner))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        return len(claimed)

    async def _serve(self, endpoint_id: str, owner: str) -> None:
        """Send what waits for an endpoint until something has to wait."""
        try:
            for _ in range(_IN_A_ROW):
                if not await self._served(endpoint_id, owner) or self._drained.is_set():
                    break
            await asyncio.to_thread(self._outbox.release, endpoint_id, owner)
        except StoreError as error:
            _log.warning("webhooks: %s is left alone until its lease ends: %s", endpoint_id, error)
        except Exception as error:
            _log.warning("webhooks: %s is left alone until its lease ends", endpoint_id, exc_info=error)

    async def _served(self, endpoint_id: str, owner: str) -> bool:
        """Make one attempt; whether the next message may follow."""
        found = await asyncio.to_thread(self._outbox.first, endpoint_id, owner, LEASE_SECONDS)
        if found is None or found[1].due > self._clock.now():
            return False
        endpoint, delivery = Endpoint.of_json(orjson.loads(found[0])), found[1]
        outcome = await self._attempt(endpoint, delivery)
        recorded = await asyncio.to_thread(self._outbox.record, delivery, owner, outcome)
        self.delivered += recorded and outcome.status == "delivered"
        return recorded and outcome.status != "waiting"

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> Outcome:
        now = self._clock.now()
        try:
            secrets = await asyncio.to_thread(self._secrets, endpoint, now)
            body = await asyncio.to_thread(body_of, self._store, delivery)
        except CallError as error:
            due = now + _KEY_MISSING_SECONDS * 1_000_000
            told = f"WEBHOOK_KEY_MISSING: {error}"
            return Outcome("waiting", delivery.attempts, due, None, told, delivery.body_hash, now)
        except IntegrityError as error:
            return Outcome("dead", delivery.attempts, delivery.due, None, f"{error.code}: {error}", "", now)
        message = Message(delivery.message_id, body, secrets)
        if self._tracer is None:
            sent = await self._poster.send(endpoint.url, message, now)
        else:
            span = await asyncio.to_thread(delivery_span, self._tracer, self._store, delivery)
            place = span.place
            message = message._replace(trace=None if place is None else place.header())
            sent = await self._poster.send(endpoint.url, message, now)
            delivery_ended(span, sent)
        if sent.failure == "WEBHOOK_GONE":
            await self._control.disable(endpoint.endpoint_id, "the receiver answered 410 Gone", tenant=endpoint.tenant)
            while await self._note():  # Else the next message would be sent before the outbox knows.
                pass
        return outcome_of(delivery, sent, sha256_hex(body), now)

    def _secrets(self, endpoint: Endpoint, now: int) -> list[bytes]:
        keys = self._keys()
        found = [(key_id, keys.secret(key_id)) for key_id in endpoint.key_ids(now)]
        # A receiver may have either secret: without the newest one, what is sent could be refused by one that changed.
        if found[0][1] is None:
            raise CallError(Problem("", f"the key file does not hold {found[0][0]}", "use the file that was written"))
        return [secret for _, secret in found if secret is not None]


def outcome_of(delivery: Delivery, sent: Sent, body_hash: str, now: int) -> Outcome:
    """What an attempt at `now` makes of a delivery."""
    attempts = delivery.attempts + 1
    if sent.taken:
        return Outcome("delivered", attempts, delivery.due, sent.code, "", body_hash, now)
    told = f"{sent.failure}: {sent.error}"
    waited = now - delivery.since >= DAY_SECONDS * 1_000_000
    if sent.failure == "WEBHOOK_GONE" or attempts > len(DELAYS_SECONDS) or waited:
        return Outcome("dead", attempts, delivery.due, sent.code, told, body_hash, now)
    seconds = max(_delay(delivery.message_id, attempts), sent.retry_after)
    return Outcome("waiting", attempts, now + round(seconds * 1_000_000), sent.code, told, body_hash, now)


def _delay(message_id: str, attempts: int) -> float:
    # From the id and not by chance: a sender that takes over comes to the same time.
    share = int(sha256_hex(f"{message_id}:{attempts}".encode())[:8], 16) / 0xFFFFFFFF
    return DELAYS_SECONDS[attempts - 1] * (0.9 + 0.2 * share)
