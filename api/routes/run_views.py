"""What follows from a run's log: how it stood, its checkpoint, golden, timeline, relatives; and two runs compared."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import InvalidError, Problem
from ...core.ids import check_run_id
from ...projections.checkpoints import TableCheckpointStore
from ...projections.past import look_back, read_moment, what_next
from ...projections.run_filter import RunFilter
from ...projections.run_view import check_run, look_at
from ...projections.timelines import span_json, timeline_of
from ...projections.times import iso
from ...replay.comparing import difference
from ..answers import answer
from ..callers import Reader
from ..names import RunIdInPath
from ..ports import Given
from ..run_answers import CheckpointView, Difference, PastState, Relations, RunPage, Timeline
from .run_lists import ForkParameters, page_json, run_page

router = APIRouter(prefix="/v1", tags=["runs"])
"""What of `/v1/runs/{run_id}` only looks, and `/v1/runs:diff`."""

_MOST_CHILDREN = 200


class StateParameters(BaseModel):
    """As of which point: an event's number, or a time with its zone; without one it is now."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str, Field(min_length=1, max_length=40, examples=["3"])] | None = None


class DiffParameters(BaseModel):
    """The two runs."""

    model_config = ConfigDict(extra="forbid")

    a: Annotated[str, Field(max_length=200)]
    b: Annotated[str, Field(max_length=200)]


@router.get("/runs/{run_id}/state", response_model=PastState, summary="A run as it stood")
async def get_state(
    run_id: RunIdInPath, ports: Given, caller: Reader, wanted: Annotated[StateParameters, Query()]
) -> Response:
    """All of its state after the event, or at the time, of `at`, and what would have come next by the rules alone."""
    moment = read_moment(wanted.at, time.time_ns() // 1000)

    def past() -> dict[str, Any]:
        found = look_back(ports.store, run_id, caller.tenant, moment)
        return found.to_json(what_next(found))

    return answer(await ports.ask(past))


@router.get("/runs/{run_id}/checkpoint", response_model=CheckpointView, summary="The latest checkpoint of a run")
async def get_checkpoint(run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """As the projection of checkpoints keeps it; null while it has none. Its hash covers all but the two times."""
    await ports.ask(check_run, ports.store, run_id, caller.tenant)
    found = await ports.ask(TableCheckpointStore(ports.store.tables).load, run_id, caller.tenant)
    if found is None:
        return answer({"checkpoint": None})
    told = {name: getattr(found, name) for name in ("workflow_id", "next_step_index", "last_result_hash", "status")}
    times = {"created_at": iso(found.created_at), "updated_at": iso(found.updated_at)}
    return answer({"checkpoint": {**told, **times, "version": found.version, "content_hash": found.content_hash}})


@router.get("/runs/{run_id}/timeline", response_model=Timeline, summary="When everything in a run was")
async def get_timeline(run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """Its spans in the order of their places: the run, its steps, what they waited for, signals and pauses."""
    spans = await ports.ask(timeline_of, ports.store, run_id, caller.tenant)
    return answer({"spans": [span_json(span) for span in spans]})


@router.get("/runs/{run_id}/relations", response_model=Relations, summary="The relatives of a run")
async def get_relations(run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """Who started it, what it was forked from, what it continues and what continues it, and its children, the latest
    started first, at most 200; `GET /v1/runs?parent=` has all of them."""
    view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    page, _ = await ports.ask(run_page, ports.store, caller.tenant, None, _MOST_CHILDREN, RunFilter(parent=run_id))
    started = view.state.started
    children = [{"run_id": row.run_id, "workflow_type": row.workflow_type, "status": row.status} for row in page.rows]
    forked = started.forked
    return answer(
        {
            "run_id": run_id,
            "parent": started.parent,
            "continues": started.continues,
            "continued_as": view.result.continued_as,
            "forked_from": None if forked is None else forked.run_id,
            "children": children,
            "more_children": page.next_cursor is not None,
        }
    )


@router.get("/runs/{run_id}/forks", response_model=RunPage, summary="The forks of a run")
async def get_forks(
    run_id: RunIdInPath, ports: Given, caller: Reader, wanted: Annotated[ForkParameters, Query()]
) -> Response:
    """The runs that were forked from it, or tried it again, the latest started first: `GET /v1/runs?forked_from=`."""
    await ports.ask(check_run, ports.store, run_id, caller.tenant)
    before = None if wanted.cursor is None else int(wanted.cursor)
    chosen = RunFilter(forked_from=run_id)
    return answer(page_json(*await ports.ask(run_page, ports.store, caller.tenant, before, wanted.limit, chosen)))


@router.get("/runs:diff", response_model=Difference, summary="In what two runs differ")
async def diff_runs(ports: Given, caller: Reader, wanted: Annotated[DiffParameters, Query()]) -> Response:
    """Every difference in the order of the events, with its class and the reason for it; `first` is the first one.

    Both are verified before; skills are judged as if they did not say whether they are deterministic.
    """
    for name, run_id in (("a", wanted.a), ("b", wanted.b)):
        try:
            check_run_id(run_id)
        except InvalidError as error:
            raise InvalidError(Problem("", f"query parameter {name!r}: {error.problems[0].reason}")) from None

    return answer(await ports.ask(difference, ports.store, wanted.a, wanted.b, caller.tenant))
