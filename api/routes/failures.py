"""Failures listed and counted, the catalog of codes, and what was spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.failures import FAILURES, Category
from ...eventstore.store import Store
from ...eventstore.tables import Generation, Row
from ...projections.analytics import Wanted, cost_sums, failure_counts, failures
from ...projections.failures import FAILURE_ROWS
from ...projections.times import iso
from ..answers import answer
from ..answers.failures import Counted, FailureCode, FailureCodes, FailurePage
from ..callers import Reader
from ..etags import tagged
from ..missing import missing
from ..pages import PageParameters, Parameters, Text, Window, cursor_of, key_of
from ..ports import Given
from ..projected import behind, source

router = APIRouter(prefix="/v1", tags=["failures"])
"""`/v1/failures`, `/v1/failures:counts`, `/v1/failure-codes` and `/v1/costs`."""

MOST_COUNTS = 1_000
"""No more combinations are counted in one answer."""

_TIMES = ("hour", "day")

_CostGroup = Literal["workflow", "version", "skill", "step", "agent", "run", "hour", "day"]
_FailureGroup = Literal["kind", "code", "category", _CostGroup]


class _Spent(Window):
    workflow: Annotated[Text | None, Field(description="Of runs of this workflow type.")] = None
    version: Annotated[Text | None, Field(description="Of this version of it.")] = None
    skill: Annotated[Text | None, Field(description="By this skill.")] = None
    step: Annotated[Text | None, Field(description="By this step.")] = None
    agent: Annotated[Text | None, Field(description="Of runs of this agent.")] = None
    run: Annotated[Text | None, Field(description="Of this run.")] = None

    def chosen(self, tenant: str) -> Wanted:
        """What is wanted of the tenant's rows."""
        given = self.model_dump(mode="json", exclude_none=True, exclude={"since", "until", "by", "cursor", "limit"})
        return Wanted({**given, "tenant": tenant}, *self.bounds)


class FailureFilter(_Spent):
    """Which failures."""

    kind: Annotated[
        Literal["attempt", "step", "run", "parked"] | None,
        Field(description="Attempts that others follow, steps for good, runs, or parked runs."),
    ] = None
    code: Annotated[Text | None, Field(description="With this code.")] = None
    category: Annotated[Category | None, Field(description="With a code of this category.")] = None


class FailureParameters(FailureFilter, PageParameters):
    """Which failures, and how many."""


class FailureCountParameters(FailureFilter):
    """Which failures, and by what they are counted."""

    by: Annotated[
        list[_FailureGroup],
        Field(max_length=4, default_factory=lambda: ["code"], description="Repeatable; hours and days are in UTC."),
    ]


class CostParameters(_Spent):
    """Which attempts, and by what their costs are added up."""

    by: Annotated[
        list[_CostGroup],
        Field(max_length=4, default_factory=lambda: ["day"], description="Repeatable; hours and days are in UTC."),
    ]


class CodeParameters(Parameters):
    """Which codes."""

    category: Annotated[Category | None, Field(description="Of this category.")] = None


@router.get("/failures", response_model=FailurePage, summary="List failures, the latest first")
async def list_failures(ports: Given, caller: Reader, wanted: Annotated[FailureParameters, Query()]) -> Response:
    """From the projection `failures`; `behind` says how far that is behind the log."""
    key = key_of(wanted.cursor, str)

    def page() -> dict[str, Any]:
        read = source(ports.store, FAILURE_ROWS.name)
        before = None if key is None else key[0]
        found = failures(ports.store, read.of, wanted.chosen(caller.tenant), wanted.limit, before)
        rows = [{**row, "at": iso(row["at"])} for row in found.rows]
        for row in rows:
            del row["tenant"]
        cursor = None if found.next_cursor is None else cursor_of(found.next_cursor)
        return {"failures": rows, "next_cursor": cursor, "behind": behind(read)}

    return answer(await ports.ask(page))


@router.get("/failures:counts", response_model=Counted, summary="Count failures")
async def count_failures(ports: Given, caller: Reader, wanted: Annotated[FailureCountParameters, Query()]) -> Response:
    """By code, category, workflow, skill or time, and combinations of these."""
    by, chosen = list[str](dict.fromkeys(wanted.by)), wanted.chosen(caller.tenant)
    numbers = ["failures"]
    return answer(await ports.ask(_counted, ports.store, "failures", failure_counts, chosen, by, numbers))


@router.get("/costs", response_model=Counted, summary="Add up what was spent", tags=["costs"])
async def add_up_costs(ports: Given, caller: Reader, wanted: Annotated[CostParameters, Query()]) -> Response:
    """In cents, of attempts that cost something, by day unless told otherwise."""
    by, chosen = list[str](dict.fromkeys(wanted.by)), wanted.chosen(caller.tenant)
    numbers = ["attempts", "cost_cents"]
    return answer(await ports.ask(_counted, ports.store, "costs", cost_sums, chosen, by, numbers))


@router.get("/failure-codes", response_model=FailureCodes, summary="The catalog of failure codes")
async def list_failure_codes(request: Request, _caller: Reader, wanted: Annotated[CodeParameters, Query()]) -> Response:
    """Every code of Refold's own: what it means, whether trying again helps, and what to do."""
    found = [FAILURES[code].to_json() for code in sorted(FAILURES)]
    return tagged(request, {"failure_codes": [each for each in found if wanted.category in (None, each["category"])]})


@router.get("/failure-codes/{code}", response_model=FailureCode, summary="One failure code")
async def get_failure_code(request: Request, code: str, _caller: Reader) -> Response:
    """What the catalog says of it."""
    if code not in FAILURES:
        raise missing("failure code", code)
    return tagged(request, FAILURES[code].to_json())


def _counted(
    store: Store,
    name: str,
    count: Callable[[Store, Generation, Wanted, Sequence[str]], list[Row]],
    chosen: Wanted,
    by: Sequence[str],
    numbers: Sequence[str],
) -> dict[str, Any]:
    read = source(store, name)
    rows = count(store, read.of, chosen, by)
    told = [dict(zip([*by, *numbers], row, strict=True)) for row in rows[:MOST_COUNTS]]
    for row in told:
        row.update({each: iso(row[each]) for each in _TIMES if row.get(each) is not None})
    return {"by": by, "rows": told, "truncated": len(rows) > MOST_COUNTS, "behind": behind(read)}
