"""The events of a run as they are recorded, read from the store itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from ...core.errors import StoreUnreachableError
from ...eventstore.store import Store
from ...projections.stored_events import event_json, next_events
from .patience import Patience

SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between looks at a run: the longer nothing happened, the longer; a hint ends the pause."""

_PAGE = 100


async def followed(store: Store, stream: str, after: int, seconds: float) -> AsyncGenerator[dict[str, Any]]:
    """The events after version `after`, to the run's end; a database that is away is waited for so many seconds."""
    loop, hinted, patience = asyncio.get_running_loop(), asyncio.Event(), Patience(seconds)

    def hear() -> None:
        with suppress(RuntimeError):  # The loop has been closed.
            loop.call_soon_threadsafe(hinted.set)

    unheard = await asyncio.to_thread(store.on_hint, hear)
    pause = SHORTEST_PAUSE
    try:
        while True:
            try:
                records, ended = await asyncio.to_thread(next_events, store, stream, after, _PAGE)
            except StoreUnreachableError as error:
                await patience.pause(error)
                continue
            patience.renew()
            for record in records:
                after = record.version
                yield event_json(record)
            if ended:
                return
            pause = SHORTEST_PAUSE if records else min(pause * 1.5, LONGEST_PAUSE)
            if len(records) < _PAGE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await hinted.wait()
                hinted.clear()
    finally:
        await asyncio.to_thread(unheard)
