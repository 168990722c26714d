"""Runs reached through the store itself: an engine that executes nothing records, workers elsewhere do the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ...core.errors import CallError, Problem
from ...core.ids import stream_of
from ...core.runtime.engine import Engine
from ...eventstore.store import Store
from ...projections.approval_view import approval_view
from ...projections.querying import query
from ...projections.run_filter import RunFilter, check_status
from ...projections.run_list import page_of
from ...projections.run_view import look_at
from ..watch import EndWatch
from .gateway import ListedRun, Order, RunList, Verb


class StoreGateway:
    """Fulfils `Gateway` with an engine, its store, and what closes them. Used from one event loop."""

    def __init__(self, engine: Engine, store: Store, tenant: str, close: Callable[[], Awaitable[None]]):
        self._engine = engine
        self._store = store
        self._tenant = tenant
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

    async def page(self, status: str | None, attributes: Mapping[str, str], limit: int, cursor: str | None) -> RunList:
        """See `Gateway.page`."""
        if status is not None:
            check_status(status)
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
            raise CallError(Problem("", "this is no cursor of a list", "take next_cursor of the page before"))
        before = None if cursor is None else int(cursor)
        page = await asyncio.to_thread(
            page_of, self._store, self._tenant, before, limit, RunFilter(status, attributes=attributes)
        )
        rows = [row.to_json() for row in page.rows]
        for row in rows:
            del row["cursor"]
        return RunList(
            tuple(ListedRun(**row) for row in rows), None if page.next_cursor is None else str(page.next_cursor)
        )

    async def close(self) -> None:
        """See `Gateway.close`."""
        self._watch.close()
        await self._close()
