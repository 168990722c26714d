"""Which runs are wanted: what lists and counts are filtered by, with an index or without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..core.errors import CallError, Problem
from ..eventstore.tables import Between
from .run_row import STATUSES, RunRow
from .standing import QUEUED


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Runs of which everything holds that is given; None: whatever it is.

    Times are in µs since the epoch; since is with, until without the time itself. Of a run that has not ended no end
    lies anywhere. `attributes` are texts as they are, other values as JSON writes them. `any_status` names several, of
    which a run has one; `parent` is the run that started it, `forked_from` the one that it was forked from,
    and `prefix` what its id begins with. A run that cannot be read is known by its status alone.
    """

    status: str | None = None
    workflow_type: str | None = None
    workflow_version: str | None = None
    agent_id: str | None = None
    queue: str | None = None
    error_code: str | None = None
    started_since: int | None = None
    started_until: int | None = None
    ended_since: int | None = None
    ended_until: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    any_status: tuple[str, ...] = ()
    parent: str | None = None
    prefix: str | None = None
    forked_from: str | None = None

    @property
    def statuses(self) -> tuple[str, ...]:
        """Those that a run may have; none: any."""
        return self.any_status if self.status is None else (self.status,)

    @property
    def is_timed(self) -> bool:
        """Whether it is by its start that a run is wanted."""
        return self.started_since is not None or self.started_until is not None

    def each(self) -> list[RunFilter]:
        """Filters with one status at most, of which no two take the same run, and which take the same together."""
        if self.status is not None or not self.any_status:
            return [self]
        return [replace(self, status=status, any_status=()) for status in dict.fromkeys(self.any_status)]

    def where(self) -> dict[str, Any]:
        """The columns of the index and their values; whether a run is queued the index cannot tell."""
        names = ("workflow_type", "workflow_version", "agent_id", "queue", "error_code", "parent", "forked_from")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.status is not None:
            given["status"] = "running" if self.status == QUEUED else self.status
        if self.status == QUEUED:
            given["events"] = 1
        return given

    def between(self) -> list[Between]:
        """The bounds of columns of the index."""
        bounds = [
            Between("started_at", self.started_since, self.started_until),
            Between("ended_at", self.ended_since, self.ended_until),
            *([] if self.prefix is None else [Between("run_id", self.prefix, self.prefix + _AFTER)]),
        ]
        return [each for each in bounds if each[1:] != (None, None)]

    def takes(self, row: RunRow) -> bool:
        """Whether the run is wanted, as far as its row tells: attributes are not looked at."""
        told = asdict(row)
        wanted = self.where()
        for name in ("events", "status"):
            wanted.pop(name, None)
        if self.statuses and row.status not in self.statuses:
            return False
        if any(value is not None and told[name] != value for name, value in wanted.items()):
            return False
        return all(_within(told[each.column], each) for each in self.between())


def check_status(status: str) -> str:
    """`status` if a run in a list can have it, else CallError."""
    if status not in STATUSES:
        raise CallError(Problem("", f"no status is called {status[:40]!a}", f"use one of {', '.join(STATUSES)}"))
    return status


_AFTER = "\x7f"
"""Sorts after every character of a run id."""


def _within(at: Any, bounds: Between) -> bool:
    if at is None:
        return False
    return (bounds.least is None or at >= bounds.least) and (bounds.below is None or at < bounds.below)
