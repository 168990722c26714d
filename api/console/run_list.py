"""The list of runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ...projections.run_list import page_of
from ..callers import Reader
from ..ports import Given
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/runs`."""


@router.get("/")
async def home() -> Response:
    """The console begins with the runs."""
    return Response(status_code=303, headers={"location": "/runs"})


@router.get("/runs")
async def runs_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The runs of the tenant, latest started first."""
    found = await ports.ask(page_of, ports.store, caller.tenant, None, 50, look_at=1_000)
    return await page(request, ports, caller, "runs.html", {"runs": [row.to_json() for row in found.rows]})
