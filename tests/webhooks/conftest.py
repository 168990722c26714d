"""A store, a clock turned by hand, a receiver, and a sender between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from refold import WorkflowEngine
from refold.core.addresses import Allowed
from refold.core.webhook_log import Endpoint
from refold.core.webhook_signing import secret_text
from refold.eventstore.memory import MemoryStore
from refold.eventstore.outbox import Delivery, Lookup, Status
from refold.ops.webhooks.post import Poster
from refold.ops.webhooks.sender import WebhookSender
from refold.projections.webhook_keys import WebhookKeys, new_key
from refold.tests.support.sink import Sink, sink
from refold.tests.support.workflows import spec, step


@dataclass
class HandClock:
    """A clock that stands still until it is turned."""

    at: int = 1_795_000_000_000_000

    def now(self) -> int:
        """Microseconds since the epoch."""
        return self.at

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.at += round(seconds * 1_000_000)


@dataclass
class World:
    """What a test of sending needs."""

    store: MemoryStore
    engine: WorkflowEngine
    clock: HandClock
    sink: Sink
    sender: WebhookSender
    keys: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def subscribe(self, *patterns: str, path: str = "/hook", tenant: str = "default") -> Endpoint:
        """An endpoint at the receiver."""
        key_id = self.new_key()
        allowed = Allowed.parse(["127.0.0.1"], http=True)
        chosen = patterns or ("run.*",)
        return await self.engine.webhooks.subscribe(self.sink.url(path), chosen, key_id, tenant=tenant, allowed=allowed)

    def new_key(self) -> str:
        """A key in the key file."""
        key_id, secret = new_key()
        self.keys[key_id] = secret
        return key_id

    def secret(self, key_id: str) -> str:
        """A secret as receivers have it."""
        return secret_text(self.keys[key_id])

    async def run(self, *run_ids: str, tenant: str = "default") -> None:
        """Run a workflow of one step under each of these ids."""
        for run_id in run_ids:
            await self.engine.run(spec(step("a", text="hello")), run_id=run_id, tenant=tenant)

    def told(self, path: str = "/hook") -> list[tuple[str, str]]:
        """What the receiver was told at the path: topic and run."""
        return [(each.json["type"], each.json["data"]["run_id"]) for each in self.sink.taken if each.path == path]

    def deliveries(self, status: Status | None = None, tenant: str = "default") -> list[Delivery]:
        """What the outbox holds, in the order of the log."""
        return self.store.outbox.deliveries(Lookup(tenant, status=status), 1000)[::-1]


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


@pytest.fixture
async def world(receiver: Sink) -> AsyncIterator[World]:
    store, clock = MemoryStore(), HandClock()
    keys: dict[str, bytes] = {}
    poster = Poster(Allowed.parse(["127.0.0.1"], http=True))
    async with WorkflowEngine(store, clock=clock) as engine:
        sender = WebhookSender(store, engine.webhooks, lambda: WebhookKeys(keys), poster, clock)
        yield World(store, engine, clock, receiver, sender, keys)
