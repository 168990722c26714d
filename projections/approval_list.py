"""The approvals of all runs, listed from their projection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core.canonical import decode
from ..eventstore.store import Store
from ..eventstore.tables import Between, Generation, Row
from .approvals import APPROVALS
from .times import iso

_ORDER = ("requested_at", "tenant", "run_id", "step_id")
_PAGE = 500


class WantedApprovals(NamedTuple):
    """Approvals of which all of this holds; `mine` names somebody who may still decide."""

    tenant: str | None = None
    open_only: bool = False
    mine: str | None = None


def approvals(store: Store, of: Generation, wanted: WantedApprovals) -> Iterator[dict[str, Any]]:
    """The approvals as JSON objects, those that have waited longest first."""
    where: dict[str, Any] = {} if wanted.tenant is None else {"tenant": wanted.tenant}
    if wanted.open_only or wanted.mine is not None:
        where["status"] = "open"
    after: Row | None = None
    while page := store.tables.rows(of, APPROVALS.name, where, _PAGE, after, _ORDER):
        for row in page:
            named = dict(zip(APPROVALS.names, row, strict=True))
            after = tuple(named[name] for name in _ORDER)
            told = approval_json(named)
            if wanted.mine is None or wanted.mine in told["approvers"]:
                yield told
        if len(page) < _PAGE:
            return


def approval_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a JSON object: lists as such, times in ISO 8601."""
    times = ("requested_at", "deadline", "next_escalation", "next_due", "decided_at")
    told = {**row, **{name: None if row[name] is None else iso(row[name]) for name in times}}
    said = [{**each, "at": iso(each["at"])} for each in decode(row["said"].encode())]
    return {**told, "approvers": decode(row["approvers"].encode()), "said": said}


def late(store: Store, of: Generation, before: int, limit: int = 1000) -> list[tuple[str, str]]:
    """Tenant and run id of runs with approvals for which something should have come about before `before`, in
    microseconds since the epoch, and did not: nobody works on them."""
    rows = store.tables.rows(
        of, APPROVALS.name, {"status": "open"}, limit, None, ("next_due",), False, [Between("next_due", 0, before)]
    )
    return sorted({(row[0], row[1]) for row in rows})
