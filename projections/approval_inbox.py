"""A page of a tenant's approvals over all runs: from the projection, else from the logs of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from ..core.errors import RefoldError
from ..core.ids import run_of
from ..core.state import evolve, start
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from ..eventstore.tables import Generation, Row
from .analytics import Source, source
from .approval_list import approval_json
from .approvals import APPROVALS, ApprovalsProjection
from .model import FollowedRun

_ORDER = ("requested_at", "run_id", "step_id")
_PAGE = 200
_MOST_ROWS, _MOST_RUNS = 2_000, 200
"""Looked at for one page."""


class InboxFilter(NamedTuple):
    """Approvals of which all of this holds; `approver` may still decide, so those are open."""

    tenant: str
    status: str | None = None
    approver: str | None = None
    run_id: str | None = None

    def takes(self, told: Mapping[str, Any]) -> bool:
        """Whether an approval, as told, is wanted."""
        return (
            self.status in (None, told["status"])
            and self.run_id in (None, told["run_id"])
            and (self.approver is None or (told["status"] == "open" and self.approver in told["approvers"]))
        )


class InboxPage(NamedTuple):
    """Approvals as JSON objects. The next page begins at `next_key`; None is the end. Of `read` None says that there
    is no projection: the logs were read."""

    rows: list[dict[str, Any]]
    next_key: tuple[int, str, str] | None
    read: Source | None


def inbox(store: Store, wanted: InboxFilter, limit: int, after: tuple[int, str, str] | None) -> InboxPage:
    """At most `limit` approvals after the key `after`, those that have waited longest first; from logs those of the
    runs started last. A page may hold fewer than there are, and still lead on."""
    if not any(each.active for each in store.tables.generations(APPROVALS.name)):
        return _from_logs(store, wanted, limit, after)
    read = source(store, APPROVALS.name)
    found: list[dict[str, Any]] = []
    for looked, row in enumerate(_rows(store, read.of, wanted, after), 1):
        told = approval_json(dict(zip(APPROVALS.names, row, strict=True)))
        key = _key(row)
        if wanted.takes(told):
            if len(found) == limit:
                return InboxPage(found, after, read)
            found.append(told)
        after = key
        if looked == _MOST_ROWS:
            return InboxPage(found, after, read)
    return InboxPage(found, None, read)


def _rows(store: Store, of: Generation, wanted: InboxFilter, after: Row | None) -> Iterator[Row]:
    where: dict[str, Any] = {"tenant": wanted.tenant}
    status = "open" if wanted.approver is not None else wanted.status
    where |= {} if status is None else {"status": status}
    where |= {} if wanted.run_id is None else {"run_id": wanted.run_id}
    while page := store.tables.rows(of, APPROVALS.name, where, _PAGE, after, _ORDER):
        yield from page
        after = _key(page[-1])


def _key(row: Row) -> tuple[int, str, str]:
    named = dict(zip(APPROVALS.names, row, strict=True))
    return named["requested_at"], named["run_id"], named["step_id"]


def _from_logs(store: Store, wanted: InboxFilter, limit: int, after: tuple[int, str, str] | None) -> InboxPage:
    """A page ends after a run, so that its key need only say where that began."""
    before = None if after is None else after[0]
    found: list[dict[str, Any]] = []
    for looked, (stream, position) in enumerate(_streams(store, wanted.tenant, before), 1):
        if wanted.run_id in (None, run_of(stream)[1]):
            found += [told for told in of_run(store, stream, position) if wanted.takes(told)]
        if len(found) >= limit or looked == _MOST_RUNS:
            return InboxPage(found, (position, "", ""), None)
    return InboxPage(found, None, None)


def _streams(store: Store, tenant: str, before: int | None) -> Iterator[tuple[str, int]]:
    while page := store.runs(tenant, before, _PAGE):
        yield from ((row.stream, row.position) for row in page)
        before = page[-1].position


def of_run(store: Store, stream: str, position: int) -> list[dict[str, Any]]:
    """The approvals of a run that begins at `position`, as the projection would have them; none of one whose log
    cannot be read."""
    (tenant, run_id), rows = run_of(stream), dict[str, Row]()
    projection = ApprovalsProjection()
    try:
        events = EventLog(store, "").events(stream)
        run = FollowedRun(stream, tenant, run_id, position, 1, events[0].at, start(events[0]))
        for version, event in islice(enumerate(events, 1), 1, None):
            evolve(run.state, event)
            run.version, run.at = version, event.at
            for row in projection.taken(run, event).get(APPROVALS.name, ()):
                rows[row[2]] = row
    except (RefoldError, ValueError, IndexError):
        return []
    return [approval_json(dict(zip(APPROVALS.names, row, strict=True))) for row in rows.values()]
