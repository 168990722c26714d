"""Queries of runs, with what is known of the workers when none of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..core.errors import QueryUnansweredError
from ..core.ids import stream_of
from ..core.runtime.answering import ANSWER_SECONDS
from ..core.runtime.engine import Engine
from ..core.state import start
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from .worker_reports import LOST_SECONDS, live_offers, reports


async def query(
    engine: Engine,
    store: Store,
    run_id: str,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    tenant: str = "default",
    seconds: float = ANSWER_SECONDS,
) -> Any:
    """As `Engine.query`; a QueryUnansweredError says besides whether any worker could have answered."""
    try:
        return await engine.query(run_id, name, arguments, tenant=tenant, timeout_seconds=seconds)
    except QueryUnansweredError as error:
        why = await asyncio.to_thread(_could_answer, store, stream_of(tenant, run_id))
        raise QueryUnansweredError(f"{error}: {why}") from None


def _could_answer(store: Store, stream: str) -> str:
    state = start(EventLog(store, "").events(stream)[0])
    started = state.started
    version = f" in version {started.workflow_version}" if started.workflow_version else ""
    workflow = f"workflow {started.workflow_type}{version}"
    able = sum(offer.serves(state.needs) for offer in live_offers(reports(store)))
    if not able:
        return f"no worker serves {workflow}; start one with the module that has it"
    told = "1 worker serves" if able == 1 else f"{able} workers serve"
    return f"{told} {workflow}, but did not come to it, or has died less than {LOST_SECONDS} s ago"
