"""Runs reached through the store itself: an engine that executes nothing records, workers elsewhere do the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import uuid_utils

from ...core.errors import CallError, Problem
from ...core.ids import check_run_id, stream_of
from ...core.runtime.engine import Engine
from ...eventstore.store import Store
from ...projections.approval_view import approval_view
from ...projections.indexed import indexed_page
from ...projections.querying import query
from ...projections.run_counts import run_counts
from ...projections.run_filter import RunFilter
from ...projections.run_list import page_of
from ...projections.run_row import Page
from ...projections.run_view import check_run, look_at
from ...projections.stored_events import event_json, next_events
from ...replay.comparing import difference
from ...replay.verify import verify_run
from ..watch import EndWatch
from .filters import Wanted
from .following import followed
from .gateway import ListedRun, Order, Origin, RunList, Verb

_PAGE = 500


class StoreGateway:
    """Fulfils `Gateway` with an engine, its store, and what closes them. Used from one event loop."""

    def __init__(
        self, engine: Engine, store: Store, tenant: str, patience: float, close: Callable[[], Awaitable[None]]
    ):
        self._engine = engine
        self._store = store
        self._tenant = tenant
        self._patience = patience
        self._close = close
        self._watch = EndWatch(store)

    async def start(self, order: Order) -> Mapping[str, Any]:
        """See `Gateway.start`."""
        await self._engine.start(
            order.what,
            order.run_id,
            order.seed,
            order.inputs,
            tenant=self._tenant,
            queue=order.queue,
            priority=order.priority,
        )
        return await self.look(order.run_id)

    async def look(self, run_id: str) -> Mapping[str, Any]:
        """See `Gateway.look`."""
        return (await asyncio.to_thread(look_at, self._store, run_id, self._tenant)).to_json()

    async def wait(self, run_id: str, seconds: float) -> Mapping[str, Any]:
        """See `Gateway.wait`."""
        await self._watch.ended(stream_of(self._tenant, run_id), seconds)
        return await self.look(run_id)

    async def signal(self, run_id: str, name: str, payload: Any, key: str) -> None:
        """See `Gateway.signal`."""
        await self._engine.signal(run_id, name, payload, key=key, tenant=self._tenant)

    async def tell(self, verb: Verb, run_id: str, key: str, reason: str = "", *, force: bool = False) -> None:
        """See `Gateway.tell`."""
        if verb == "cancel":
            await self._engine.cancel(run_id, reason, force=force, key=key, tenant=self._tenant)
        elif verb == "pause":
            await self._engine.pause(run_id, reason, key=key, tenant=self._tenant)
        else:
            await self._engine.unpause(run_id, key=key, tenant=self._tenant)

    async def query(self, run_id: str, name: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        """See `Gateway.query`."""
        return await query(self._engine, self._store, run_id, name, arguments, tenant=self._tenant, seconds=seconds)

    async def decide(self, run_id: str, act: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Gateway.decide`."""
        return approval_view(await self._engine.approvals.decide(run_id, **act, tenant=self._tenant))

    async def approvals(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        """See `Gateway.approvals`."""
        return [approval_view(each) for each in await self._engine.approvals.list(run_id, self._tenant)]

    async def page(self, wanted: Wanted, limit: int, cursor: str | None) -> RunList:
        """See `Gateway.page`."""
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
            raise CallError(Problem("", "this is no cursor of a list", "take next_cursor of the page before"))
        before = None if cursor is None else int(cursor)
        page = await asyncio.to_thread(_page_of, self._store, self._tenant, before, limit, wanted.run_filter())
        rows = [row.to_json() for row in page.rows]
        for row in rows:
            del row["cursor"]
        return RunList(
            tuple(ListedRun(**row) for row in rows), None if page.next_cursor is None else str(page.next_cursor)
        )

    async def counts(self, wanted: Wanted) -> Mapping[str, int]:
        """See `Gateway.counts`."""
        counts = await asyncio.to_thread(run_counts, self._store, self._tenant, wanted.run_filter(), ["status"])
        return dict(counts.rows)

    async def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Mapping[str, Any]]:
        """See `Gateway.events`."""
        stream = stream_of(self._tenant, run_id)
        await asyncio.to_thread(check_run, self._store, run_id, self._tenant)
        if follow:
            async with aclosing(followed(self._store, stream, after, self._patience)) as events:
                async for event in events:
                    yield event
            return
        while True:
            records, _ = await asyncio.to_thread(next_events, self._store, stream, after, _PAGE)
            for record in records:
                after = record.version
                yield event_json(record)
            if len(records) < _PAGE:
                return

    async def fork(self, origin: Origin) -> Mapping[str, Any]:
        """See `Gateway.fork`."""
        new_id = str(uuid_utils.uuid7()) if origin.new_id is None else origin.new_id
        if origin.retry:
            await self._engine.retry(origin.run_id, new_id=new_id, queue=origin.queue, tenant=self._tenant)
        else:
            await self._engine.fork(
                origin.run_id,
                from_step=origin.from_step,
                changes=origin.changes,
                new_id=new_id,
                queue=origin.queue,
                tenant=self._tenant,
            )
        return await self.look(new_id)

    async def diff(self, a: str, b: str) -> Mapping[str, Any]:
        """See `Gateway.diff`."""
        return await asyncio.to_thread(difference, self._store, check_run_id(a), check_run_id(b), self._tenant)

    async def verify(self, run_id: str) -> Mapping[str, Any]:
        """See `Gateway.verify`."""
        return (await asyncio.to_thread(verify_run, self._store, run_id, self._tenant)).to_json()

    async def close(self) -> None:
        """See `Gateway.close`."""
        self._watch.close()
        await self._close()


def _page_of(store: Store, tenant: str, before: int | None, limit: int, wanted: RunFilter) -> Page:
    indexed = indexed_page(store, tenant, before, limit, wanted)
    return page_of(store, tenant, before, limit, wanted) if indexed is None else indexed.page
