"""Projections: how they stand, and steering them. Rebuilding one is a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from ...core.errors import CallError, InvalidError, Problem
from ...core.ids import check_tenant, stream_of
from ...eventstore.tables import Generation, Parked
from ...projections.goldens import GoldensProjection
from ...projections.projector import known_projections
from ...projections.standings import missing as lacking
from ...projections.standings import standings
from ..answers import answer
from ..answers.projections import OneProjection, ParkedPage, Projections, Retried
from ..bodies import Body, documented, read
from ..callers import ServiceOperator, ServiceReader
from ..missing import missing, not_built
from ..pages import PageParameters, cut
from ..ports import Given, Ports

router = APIRouter(prefix="/v1/projections", tags=["projections"])
"""`/v1/projections`."""


class PauseBody(Body):
    """An empty object."""


class RetryBody(Body):
    """Which run that was left aside, by tenant and id; without, all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tenant": "default", "run_id": "order-7"}]})

    tenant: Annotated[str, Field(max_length=100)] | None = None
    run_id: Annotated[str, Field(max_length=200)] | None = None


@router.get("", response_model=Projections, summary="How the projections stand")
async def list_projections(ports: Given, _caller: ServiceReader) -> Response:
    """Those that are read: their position in the log, and how far behind they are, in events and in seconds."""

    def look() -> dict[str, object]:
        shown = [each.to_json() for each in standings(ports.store) if each.of.active]
        names = lacking(ports.store, list(known_projections().values()))
        return {"projections": shown, "missing": names, "position": ports.store.last_position()}

    return answer(await ports.ask(look))


@router.get("/{name}", response_model=OneProjection, summary="One projection")
async def get_projection(name: str, ports: Given, _caller: ServiceReader) -> Response:
    """All its generations: the one that is read, those being built, and old ones."""
    _check(name)
    shown = [each.to_json() for each in await ports.ask(standings, ports.store, name)]
    if not shown:
        raise not_built(name)
    return answer({"name": name, "generations": shown})


@router.get("/{name}/parked", response_model=ParkedPage, summary="Runs that a projection has left aside")
async def list_parked(
    name: str, ports: Given, _caller: ServiceReader, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """They keep the rows that they had, until somebody has them tried again."""
    of = await _active(ports, name)
    found = await ports.ask(ports.store.tables.parked, of.name, of.generation)
    shown, cursor = cut(sorted(found, key=_stream), wanted, _stream)
    return answer({"parked": [each._asdict() for each in shown], "next_cursor": cursor})


@router.post(
    "/{name}/retry", response_model=Retried, openapi_extra=documented(RetryBody), summary="Try parked runs again"
)
async def retry_parked(request: Request, name: str, ports: Given, _caller: ServiceOperator) -> Response:
    """Its projector takes them in as soon as it looks."""
    body = await read(request, RetryBody)
    await _active(ports, name)
    stream = None
    if body.run_id is not None or body.tenant is not None:
        try:
            stream = stream_of(check_tenant(body.tenant), body.run_id or "")
        except InvalidError as error:
            raise CallError([Problem("/run_id", each.reason, each.fix) for each in error.problems]) from None
    marked = await ports.ask(ports.store.tables.retry, name, stream)
    if stream is not None and not marked:
        raise missing("parked run", stream)
    return answer({"name": name, "retried": marked})


@router.post(
    "/{name}/pause", response_model=OneProjection, openapi_extra=documented(PauseBody), summary="Pause a projection"
)
async def pause_projection(request: Request, name: str, ports: Given, caller: ServiceOperator) -> Response:
    """It stands still, and what reads it says how far behind it is, until it is resumed."""
    return await _paused(request, name, ports, caller, paused=True)


@router.post(
    "/{name}/resume", response_model=OneProjection, openapi_extra=documented(PauseBody), summary="Resume a projection"
)
async def resume_projection(request: Request, name: str, ports: Given, caller: ServiceOperator) -> Response:
    """Its projector goes on."""
    return await _paused(request, name, ports, caller, paused=False)


async def _paused(request: Request, name: str, ports: Ports, caller: ServiceOperator, *, paused: bool) -> Response:
    await read(request, PauseBody)
    await _active(ports, name)
    await ports.ask(ports.store.tables.pause, name, paused)
    return await get_projection(name, ports, caller)


def _check(name: str) -> str:
    if name not in (*known_projections(), GoldensProjection.name):
        raise missing("projection", name)
    return name


async def _active(ports: Ports, name: str) -> Generation:
    found = await ports.ask(ports.store.tables.generations, _check(name))
    for each in found:
        if each.active:
            return each
    raise not_built(name)


def _stream(each: Parked) -> str:
    return each.stream
