"""What failed: counted over time and by what it has in common, listed, and what each code means."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.errors import CallError
from ...core.failures import FAILURES, is_code
from ...eventstore.store import Store
from ...projections.analytics import FAILURE_GROUPS, Wanted, failures, source
from ...projections.failure_tallies import Tally, over_time, tallies, timed
from ...projections.run_counts import DAY
from ...projections.times import iso
from ..callers import Reader
from ..ports import Given
from ..problems import Refusal
from .pages import PageParameters, page
from .words import query

router = APIRouter(include_in_schema=False)
"""`/failures` and `/failures/{code}`."""

_SPANS = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "all": None}
_GROUPS = ("code", "category", "workflow", "skill")
_MOST_GROUPS, _MOST_ROWS = 12, 50

_Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]


class FailureParameters(PageParameters):
    """Which failures."""

    span: Literal["24h", "7d", "30d", "all"] = "7d"
    code: _Text | None = None
    category: _Text | None = None
    workflow: _Text | None = None
    skill: _Text | None = None
    kind: Literal["attempt", "step", "run", "parked"] | None = None
    before: Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}-.{1,200}$")] | None = None

    def chosen(self) -> dict[str, str]:
        """What is filtered by, by its name."""
        every = {name: getattr(self, name) for name in (*_GROUPS, "kind")}
        return {name: value for name, value in every.items() if value is not None}


@router.get("/failures")
async def failures_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[FailureParameters, Query()]
) -> Response:
    """What failed within a span, filtered as the URL says."""
    model = await ports.ask(failures_model, ports.store, caller.tenant, wanted)
    return await page(request, ports, caller, "failures.html", model)


@router.get("/failures/{code}")
async def code_page(
    request: Request, code: str, ports: Given, caller: Reader, wanted: Annotated[FailureParameters, Query()]
) -> Response:
    """What the catalog says of a code, and where it occurred."""
    if not is_code(code):
        raise _unknown(code)
    entry = FAILURES.get(code)
    known = wanted.model_copy(update={"code": code})
    model = await ports.ask(failures_model, ports.store, caller.tenant, known)
    if entry is None and not model["rows"] and not model["groups"]:
        raise _unknown(code)
    model |= {"code": code, "entry": None if entry is None else entry.to_json()}
    return await page(request, ports, caller, "failure.html", model)


def failures_model(store: Store, tenant: str, wanted: FailureParameters) -> dict[str, Any]:
    """The page's model. Without the projection it holds no numbers: counting from the log would take too long."""
    chosen = wanted.chosen()
    model: dict[str, Any] = {
        "filters": {"span": wanted.span, **chosen},
        "spans": list(_SPANS),
        "built": False,
        "behind": None,
        "unit": "hour" if wanted.span == "24h" else "day",
        "total": {"final": 0, "again": 0, "runs": 0, "steps": 0, "parked": 0},
        "times": [],
        "groups": {},
        "rows": [],
        "next": None,
    }
    try:
        read = source(store, "failures")
    except CallError:
        return model
    now, span = store.dispatch.now(), _SPANS[wanted.span]
    picked = Wanted({"tenant": tenant, **chosen}, None if span is None else now - span)
    times = over_time(store, read.of, picked, model["unit"], now)
    begins = [each.value for each in times]
    groups = {
        by: [_group(each) for each in tallies(store, read.of, picked, by, begins, model["unit"])[:_MOST_GROUPS]]
        for by in _GROUPS
        if by in FAILURE_GROUPS and by not in chosen
    }
    listed = failures(store, read.of, picked, _MOST_ROWS, wanted.before)
    following = listed.next_cursor
    return model | {
        "built": True,
        "behind": {"events": read.lag.events, "seconds": round(read.lag.seconds, 3), "parked": read.parked},
        "total": {name: sum(getattr(each, name) for each in times) for name in model["total"]},
        "times": [timed(each) for each in times],
        "groups": {by: rows for by, rows in groups.items() if rows},
        "rows": _together(listed.rows),
        "next": None if following is None else query(model["filters"], before=following),
    }


def _together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The failures, with what one run tells of the same one after the other in one row: its attempts, the step, and the
    run itself. `event` is the latest of them."""
    found: list[dict[str, Any]] = []
    for row in rows:
        last = found[-1] if found else None
        same = ("run_id", "code", "step_id")
        if last is not None and all(last[name] == row[name] for name in same) and row["kind"] not in last["kinds"]:
            last["kinds"].append(row["kind"])
            last["attempt"] = last["attempt"] or row["attempt"]
            continue
        names = ("run_id", "event", "code", "category", "workflow_type", "skill", "step_id", "attempt", "message")
        found.append({**{name: row[name] for name in names}, "at": iso(row["at"]), "kinds": [row["kind"]]})
    return found


def _group(tally: Tally) -> dict[str, Any]:
    return {**tally.to_json(), "known": tally.value in FAILURES}


def _unknown(code: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, f"there is no failure code {code[:60]!a}, and nothing failed by it")
