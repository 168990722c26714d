"""The page of one run."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ..callers import Reader
from ..ports import Given
from .pages import PageParameters, page
from .run_actions import fresh_key
from .run_events import PAGE
from .run_model import run_model
from .words import query, segment

router = APIRouter(include_in_schema=False)
"""`/runs/{run_id}`."""

Done = Literal["signal", "cancel", "pause", "resume", "fork", "retry"]
"""What a form has just done."""

SAID: dict[str, str] = {
    "signal": "The signal is recorded. A step that waits for it takes it; one that will wait finds it.",
    "cancel": "The cancel is recorded. The run ends as soon as its worker reads it.",
    "pause": "The pause is recorded. Running steps end; nothing new starts until the run is resumed.",
    "resume": "The run goes on as soon as a worker takes it up.",
    "fork": "The fork is recorded: this is it. A worker takes it up.",
    "retry": "The retry is recorded: this is it, forked where the other failed. A worker takes it up.",
}
"""What a page says of it."""


class RunParameters(PageParameters):
    """Which events and which steps: those after number `after`, and after the first `steps`."""

    after: Annotated[int, Field(ge=0, lt=2**53)] = 0
    steps: Annotated[int, Field(ge=0, lt=2**31)] = 0
    done: Done | None = None


@router.get("/runs/{run_id}")
async def run_page(
    request: Request, run_id: str, ports: Given, caller: Reader, wanted: Annotated[RunParameters, Query()]
) -> Response:
    """A run: how it stands, why, and that it is proved."""
    model = await ports.ask(run_model, ports.store, run_id, caller, wanted.after, wanted.steps)
    model["form_key"] = fresh_key()
    model["form_key"] = fresh_key()
    if wanted.done is not None:
        model["notice"] = {"kind": "done", "text": SAID[wanted.done]}
    return await page(request, ports, caller, "run.html", model)


@router.get("/runs/{run_id}/events/{number}")
async def event_link(
    run_id: str, number: Annotated[int, Field(ge=1, lt=2**53)], ports: Given, caller: Reader
) -> Response:
    """The permanent link to an event leads to the page of events that has it."""
    after = (number - 1) // PAGE * PAGE
    where = f"/runs/{segment(run_id)}{query({'after': after or None})}#e{number}"
    return Response(status_code=303, headers={"location": where})
