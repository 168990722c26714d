"""The projections: how far they have come, what they have left aside, and steering them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from ...core.errors import CallError
from ...core.ids import run_of
from ...eventstore.store import Store
from ...eventstore.tables import Parked
from ...projections.goldens import GoldensProjection
from ...projections.projector import known_projections
from ...projections.rebuild import drop_old
from ...projections.standings import missing, standings
from ..callers import ServiceOperator, ServiceReader
from ..ports import Given
from ..problems import Refusal
from .forms import Form, form_of
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/projections` and what its forms send."""

ABOUT = {
    "runs": "the list of runs, with its filters and counts",
    "checkpoints": "states of long runs, so that they are taken up fast",
    "failures": "what failed, by code, category, workflow and skill",
    "costs": "what attempts cost",
    "timeline": "what each run did, and when",
    "approvals": "who was asked for what, and what was decided",
    "goldens": "a signed file of each run, to be compared with",
}
"""What each projection is for."""

_MOST_PARKED = 100


class SteerForm(Form):
    """What is to become of a projection."""

    action: Literal["pause", "resume", "retry", "drop-old"]


@router.get("/projections")
async def projections_page(
    request: Request, ports: Given, caller: ServiceReader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """All generations of all projections."""
    model = await ports.ask(projections_model, ports.store)
    return await page(request, ports, caller, "projections.html", model)


@router.post("/projections/{name}")
async def steer(request: Request, name: str, ports: Given, caller: ServiceOperator) -> Response:
    """Pause a projection, let it go on, have it try parked runs again, or drop what a rebuild has replaced."""
    form = await form_of(request, caller, SteerForm)
    check_known(name)
    if form.action == "retry":
        await ports.ask(ports.store.tables.retry, name, None)
    elif form.action == "drop-old":
        await ports.ask(drop_old, ports.store, name)
    else:
        await ports.ask(ports.store.tables.pause, name, form.action == "pause")
    return Response(status_code=303, headers={"location": f"/projections#{name}"})


def check_known(name: str) -> str:
    """`name` if it is a projection's. Raises Refusal."""
    if name not in (*known_projections(), GoldensProjection.name):
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no projection {name[:60]!a}")
    return name


def projections_model(store: Store) -> dict[str, Any]:
    """The page's model."""
    last, found = store.last_position(), standings(store)
    rows: list[dict[str, Any]] = []
    for each in found:
        parked = store.tables.parked(each.of.name, each.of.generation) if each.of.active else []
        rows.append({**each.to_json(), "parked": [_parked(one) for one in parked[:_MOST_PARKED]], "left": each.parked})
    read = [row for row in rows if row["active"]]
    others = [row for row in rows if not row["active"]]
    lacking = missing(store, known_projections().values())
    return {
        "position": last,
        "projections": [{**row, "about": ABOUT.get(row["name"], "")} for row in read],
        "others": others,
        "missing": [{"name": name, "about": ABOUT.get(name, "")} for name in lacking],
    }


def _parked(each: Parked) -> dict[str, Any]:
    try:
        tenant, run_id = run_of(each.stream)
    except CallError:
        tenant, run_id = "", each.stream
    about = {"tenant": tenant, "run_id": run_id, "version": each.version, "position": each.position}
    return {**about, "reason": each.reason, "retry": each.retry}
