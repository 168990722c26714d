"""What failed and what was spent, listed, counted and added up by what it has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core.errors import CallError, Problem
from ..eventstore.store import Store
from ..eventstore.tables import Between, Generation, Per, Row, sums
from .costs import COST_ROWS
from .failures import FAILURE_ROWS
from .run_counts import DAY, HOUR, group_names
from .runner import Lag, lag_of

_COMMON: dict[str, str | Per] = {
    "tenant": "tenant",
    "workflow": "workflow_type",
    "version": "workflow_version",
    "skill": "skill",
    "step": "step_id",
    "agent": "agent_id",
    "run": "run_id",
    "hour": Per("at", HOUR),
    "day": Per("at", DAY),
}

FAILURE_GROUPS: dict[str, str | Per] = {"kind": "kind", "code": "code", "category": "category", **_COMMON}
"""What failures are counted by; hours and days are in UTC."""

COST_GROUPS: dict[str, str | Per] = _COMMON
"""What costs are added up by."""

_ORDER = ("at", "run_id", "event")


class Wanted(NamedTuple):
    """Rows of which everything holds: these values by the names of groups, recorded since and until (not at) a time.

    Times are in µs since the epoch.
    """

    values: Mapping[str, str]
    since: int | None = None
    until: int | None = None

    def where(self, groups: Mapping[str, str | Per]) -> dict[str, Any]:
        """The columns and their values."""
        found: dict[str, Any] = {}
        for name, value in self.values.items():
            column = groups[name]
            if isinstance(column, Per):
                raise CallError(Problem("", f"{name} is no value to look for", "give since and until"))
            found[column] = value
        return found

    def between(self) -> list[Between]:
        """The bounds of the column `at`."""
        return [] if self.since is None and self.until is None else [Between("at", self.since, self.until)]


class Source(NamedTuple):
    """The tables that are read, how far they are behind the log, and how many runs they have left aside."""

    of: Generation
    lag: Lag
    parked: int


class FailurePage(NamedTuple):
    """Failures by the names of their columns, the latest first; the list goes on at `next_cursor`."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


def source(store: Store, name: str) -> Source:
    """The active tables of a projection. Raises CallError when it is not built yet."""
    of = next((each for each in store.tables.generations(name) if each.active), None)
    if of is None:
        raise CallError(Problem("", f"the projection {name} is not built yet", "start: refold projector"))
    return Source(of, lag_of(store, of), len(store.tables.parked(of.name, of.generation)))


def failures(store: Store, of: Generation, wanted: Wanted, limit: int, before: str | None = None) -> FailurePage:
    """At most `limit` failures recorded before the cursor `before`. Raises CallError for what is no cursor."""
    after = None if before is None else _cursor(before)
    where = wanted.where(FAILURE_GROUPS)
    name = FAILURE_ROWS.name
    rows = store.tables.rows(of, name, where, limit + 1, after, _ORDER, True, wanted.between())
    found = [dict(zip(FAILURE_ROWS.names, row, strict=True)) for row in rows]
    last = found[limit - 1] if len(found) > limit else None
    cursor = None if last is None else f"{last['at']}-{last['event']}-{last['run_id']}"
    return FailurePage(found[:limit], cursor)


def failure_counts(store: Store, of: Generation, wanted: Wanted, by: Sequence[str]) -> list[Row]:
    """How many failures there are by the names of `FAILURE_GROUPS`, with the number last. Raises CallError."""
    columns = [FAILURE_GROUPS[name] for name in group_names(by, FAILURE_GROUPS)]
    return store.tables.counts(of, FAILURE_ROWS.name, wanted.where(FAILURE_GROUPS), columns, wanted.between())


def cost_sums(store: Store, of: Generation, wanted: Wanted, by: Sequence[str]) -> list[Row]:
    """How many attempts cost something, and how much (cents), by the names of `COST_GROUPS`. Raises CallError."""
    columns = [COST_GROUPS[name] for name in group_names(by, COST_GROUPS)]
    where = wanted.where(COST_GROUPS)
    return sums(store.tables, of, COST_ROWS.name, where, columns, "cost_cents", wanted.between())


def _cursor(text: str) -> Row:
    at, _, rest = text.partition("-")
    event, _, run_id = rest.partition("-")
    if not (at.isascii() and at.isdecimal() and event.isascii() and event.isdecimal() and run_id):
        raise CallError(Problem("", f"{text[:60]!a} is no cursor of a list", "take that of the page before"))
    if len(at) > 18 or len(event) > 18:
        raise CallError(Problem("", "the cursor is too large", "take that of the page before"))
    return (int(at), run_id, int(event))
