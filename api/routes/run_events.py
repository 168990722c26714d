"""The log of a run, and that of all runs of a tenant: by pages, or live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.ids import stream_of
from ...eventstore.store import Notification, Store
from ...projections.run_view import check_run
from ...projections.stored_events import stored_events
from ..answers import EventPage, answer
from ..callers import Reader
from ..event_stream import (
    MEDIA_TYPE,
    is_heard,
    is_wanted,
    resumed_at,
    run_blocks,
    streamed,
    tenant_blocks,
    tenant_json,
)
from ..live import Listener, topics_of
from ..names import RunIdInPath
from ..ports import Given
from ..run_answers import TenantEventPage

router = APIRouter(prefix="/v1", tags=["runs"])
"""`/v1/runs/{run_id}/events` and `/v1/events`."""

_LOOKED_AT = 5_000
"""Through how many events of the log one request for a page goes at most."""


class EventParameters(BaseModel):
    """Which events: those after version `after`; `limit` is that of a page."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0, lt=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class LogParameters(BaseModel):
    """Which events: those after position `after`, of these topics (`run.*`: all that begin so)."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    topic: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}\.([a-z_]{1,40}|\*)$")]], Field(max_length=50)
    ] = []


_DATA = 'retry: 1000\n\nid: 1\ndata: {"version": 1, "topic": "run.started", "at": "2026-11-20T08:00:00.000000Z"}\n\n'
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; with `Accept: text/event-stream` every event as it is recorded, each with its id.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _DATA}},
    },
    503: {"description": "As many listen already as there are places; Retry-After says when to come back."},
}
_RESUMED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[0-9]{0,16}$"},
            "description": "With a stream: the id of the last event that was received; instead of `after`.",
        }
    ]
}


@router.get(
    "/runs/{run_id}/events",
    response_model=EventPage,
    responses=_STREAMED,
    openapi_extra=_RESUMED,
    summary="The event log of a run, as stored",
)
async def get_events(
    request: Request, run_id: RunIdInPath, ports: Given, caller: Reader, wanted: Annotated[EventParameters, Query()]
) -> Response:
    """In order of version. With `hash` and `predecessor` the chain can be checked without trusting this server.

    As a stream it goes on with each event as it is recorded, and ends with the event `end` when the run has ended.
    """
    after = resumed_at(request, wanted.after)
    if is_wanted(request):
        stream = stream_of(caller.tenant, run_id)
        await ports.ask(check_run, ports.store, run_id, caller.tenant)
        return await streamed(
            ports, caller, stream, True, lambda listener: run_blocks(ports, ports.live, listener, stream, after or 0)
        )

    def page() -> list[dict[str, Any]]:
        return list(stored_events(ports.store, run_id, caller.tenant, wanted.after, wanted.limit + 1))

    found = await ports.ask(page)
    shown = found[: wanted.limit]
    for event in shown:
        event["at"] = event.pop("time")
    return answer({"events": shown, "next_after": shown[-1]["version"] if len(found) > wanted.limit else None})


@router.get(
    "/events",
    response_model=TenantEventPage,
    responses=_STREAMED,
    openapi_extra=_RESUMED,
    summary="The events of all runs, in the order of the log",
)
async def get_log(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[LogParameters, Query()]
) -> Response:
    """Every event of the tenant's runs after position `after` (0: from the beginning), none missing and none twice.

    A stream without `after` begins now. A page may hold fewer events than asked for, and still lead on.
    """
    wants = topics_of(wanted.topic)
    prefix = f"{caller.tenant}/"
    after = resumed_at(request, wanted.after)
    if is_wanted(request):
        return await streamed(
            ports, caller, prefix, False, lambda listener: tenant_blocks(ports, ports.live, listener, after, wants)
        )
    found, led = await ports.ask(_page, ports.store, prefix, wants, wanted.after or 0, wanted.limit)
    return answer({"events": [tenant_json(each) for each in found], "next_after": led})


def _page(
    store: Store, prefix: str, wants: Callable[[str], bool], after: int, limit: int
) -> tuple[list[Notification], int | None]:
    """At most `limit` events, and the position behind which there may be more."""
    listener = Listener(prefix, exact=False)
    found: list[Notification] = []
    looked = 0
    while looked < _LOOKED_AT:
        page = store.follow(after, 500)
        for each in page:
            if is_heard(each, listener, wants):
                if len(found) == limit:
                    return found, found[-1].position
                found.append(each)
        if len(page) < 500:
            return found, None
        looked, after = looked + len(page), page[-1].position
    return found, after
