"""Short ways to write specs, to wait for what must happen soon, and to look at a run's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from refold.core.canonical import Payload
from refold.core.events import Event, MessageSent
from refold.core.ids import inbox_of
from refold.core.ports import EMPTY, Append, Unit
from refold.eventstore.log import EventLog
from refold.eventstore.sealing import Sealer
from refold.eventstore.store import Store

T = TypeVar("T")

SOON_SECONDS = 20
"""Far longer than anything takes that is waited for; a test that gets here hangs."""


def step(step_id: str, skill_id: str = "echo", **fields: Any) -> dict[str, Any]:
    """A step; keywords that no step has go into its inputs."""
    known = {"depends_on", "max_retries", "retry", "on_error", "timeout_seconds", "estimated_cost_cents"}
    known |= {"idempotency_key", "inputs"}
    inputs = {name: value for name, value in fields.items() if name not in known}
    given = {name: value for name, value in fields.items() if name in known}
    return {"step_id": step_id, "skill_id": skill_id, **({"inputs": inputs} if inputs else {}), **given}


def spec(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A spec of these steps."""
    return {"workflow_type": "test", "steps": list(steps), **fields}


async def soon(awaitable: Awaitable[T]) -> T:
    """The result of `awaitable`, which must not hang."""
    async with asyncio.timeout(SOON_SECONDS):
        return await awaitable


async def until(condition: Callable[[], object]) -> None:
    """Wait for `condition` to hold."""
    async with asyncio.timeout(SOON_SECONDS):
        while not condition():  # noqa: ASYNC110 (any condition, so there is nothing to be told by)
            await asyncio.sleep(0.001)


def events_of(store: Store, run_id: str, tenant: str = "default") -> list[Event]:
    """The events of a run, as the log holds them."""
    return EventLog(store, "test").events(f"{tenant}/{run_id}")


def send(store: Store, run_id: str, *kinds: str) -> None:
    """Put messages into the inbox of a run and tell nobody, as a process would that dies right afterwards."""
    inbox = inbox_of(f"default/{run_id}")
    for kind in kinds:
        stored = False
        while not stored:
            head = store.heads([inbox]).get(inbox, EMPTY)
            message = MessageSent(time.time_ns() // 1000, kind, uuid4().hex, "", "", Payload.of(None))
            stored = store.commit([Sealer("sender").seal(Unit((Append(inbox, head, (message,)),)))], "sender")[0]


def topics_of(store: Store, run_id: str) -> list[str]:
    """The topics of a run's events."""
    return [event.topic for event in events_of(store, run_id)]
