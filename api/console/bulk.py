"""Many runs at once, from the list: those that were ticked, or all that fit its filter. First it is said how many they
are; only then a job tells them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.errors import CallError, Problem
from ...core.runtime.admission import MAX_REASON
from ...eventstore.store import Store
from ...projections.run_filter import RunFilter
from ...projections.times import iso
from ..callers import Operator
from ..jobs.asking import checked_ids
from ..jobs.selecting import CONCERNED, Verb, choose, filter_json, known_among
from ..ports import Given
from .forms import Form, form_of
from .pages import page
from .run_actions import fresh_key
from .run_list import FILTERS, Filtered, filter_from
from .words import query

router = APIRouter(include_in_schema=False)
"""`/bulk`."""

_NAMED = 20
_LOOKS_SECONDS = 5.0


class BulkForm(Form, Filtered):
    """Which runs: those of `run`, or with `which` all that fit the filter; what they are told, and why. `sure` makes
    it a job; `key` makes a form that is sent twice the same one."""

    verb: Verb
    which: Literal["ticked", "filter"] = "ticked"
    run: list[str] = Field(default_factory=list[str])
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    force: Literal["yes"] | None = None
    sure: Literal["yes"] | None = None
    key: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] | None = None


@router.post("/bulk")
async def bulk(request: Request, ports: Given, caller: Operator) -> Response:
    """Say how many runs it would be about; when that was confirmed, ask for the job and lead to it."""
    form = await form_of(request, caller, BulkForm)
    named = (await ports.ask(checked_ids, form.run)) or []
    if form.which == "ticked" and not named:
        raise CallError(Problem("/run", "no run is ticked", "tick some, or choose all that fit the filter"))
    wanted = await ports.ask(filter_from, ports.store, form) if form.which == "filter" else None
    if form.sure is None:
        model = await ports.ask(_confirmation, ports.store, caller.tenant, form, named, wanted)
        return await page(request, ports, caller, "bulk.html", model)
    until = await ports.ask(ports.store.last_position)
    what = {
        "verb": form.verb,
        "reason": form.reason,
        "force": form.verb == "cancel" and form.force is not None,
        "filter": None if wanted is None else filter_json(wanted),
        "run_ids": None if wanted is not None else named,
    }
    key = None if form.key is None else f"bulk {form.key}"
    job, _ = await ports.engine.jobs.ask("bulk", what, until, key=key, by=caller.name, tenant=caller.tenant)
    return Response(status_code=303, headers={"location": f"/jobs/{job.asked.job_id}"})


def _confirmation(
    store: Store, tenant: str, form: BulkForm, named: list[str], wanted: RunFilter | None
) -> dict[str, Any]:
    """What it would be about, as it stands. Times ago are fixed here, so that it is about the same when confirmed."""
    if wanted is None:
        found, complete = known_among(store, tenant, named), True
    else:
        found, complete = choose(store, tenant, form.verb, wanted, store.last_position(), _LOOKS_SECONDS)
    given: dict[str, Any] = {name: getattr(form, name) for name in FILTERS if getattr(form, name) is not None}
    fixed = {} if wanted is None else {"since": wanted.started_since, "until": wanted.started_until}
    given |= {name: iso(at) for name, at in fixed.items() if at is not None}
    return {
        "verb": form.verb,
        "which": form.which,
        "filter": given if wanted is not None else {},
        "back": "/runs" + query(given if wanted is not None else {}),
        "runs": len(found),
        "complete": complete,
        "unknown": 0 if wanted is not None else len(named) - len(found),
        "first": found[:_NAMED],
        "named": found if wanted is None else [],
        "concerned": list(CONCERNED[form.verb]),
        "key": fresh_key(),
    }
