"""What was decided administratively: by whom, when and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.errors import CallError, Problem
from ...eventstore.store import Store
from ...projections.control_list import control_page, control_streams
from ..callers import Auditor, Caller
from ..ports import Given
from .pages import PageParameters, page
from .words import query

router = APIRouter(include_in_schema=False)
"""`/audit/control`."""

_ROWS = 50


class ControlParameters(PageParameters):
    """What it is about, and before when."""

    about: Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")] | None = None
    before: Annotated[str, Field(pattern=r"^[0-9]{1,17}$")] | None = None


@router.get("/audit/control")
async def control_log_page(
    request: Request, ports: Given, caller: Auditor, wanted: Annotated[ControlParameters, Query()]
) -> Response:
    """The decisions that the caller may know of, the latest first."""
    before = None if wanted.before is None else int(wanted.before)
    model = await ports.ask(control_model, ports.store, caller, wanted.about, before, _ROWS)
    return await page(request, ports, caller, "control.html", model)


def control_model(store: Store, caller: Caller, about: str | None, before: int | None, limit: int) -> dict[str, Any]:
    """The page's model. Raises CallError for what nothing is about."""
    streams = control_streams(caller.tenant, caller.everywhere)
    if about is not None and about not in streams:
        raise CallError(Problem("", f"nothing is about {about!r}", f"choose of {', '.join(sorted(streams))}"))
    chosen = streams if about is None else {about: streams[about]}
    found = control_page(store, chosen, limit, before)
    following = None if found.next_cursor is None else query({"about": about, "before": found.next_cursor})
    return {"about": about, "abouts": sorted(streams), "rows": found.rows, "next": following}
