"""A run in a list."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

from ..core.run_state import Status
from .standing import QUEUED
from .times import iso

STATUSES: tuple[str, ...] = (QUEUED, *get_args(Status), "unreadable")
"""Every status that a run in a list can have."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list, which goes on after it at `cursor`. `started_at` and `ended_at` are in µs since the epoch;
    `parent` is the run that started it, `forked_from` the one that it takes outcomes over from.

    Of one that is unreadable nothing else is known.
    """

    run_id: str
    workflow_type: str | None
    workflow_version: str | None
    status: str
    agent_id: str | None
    queue: str | None
    error_code: str | None
    started_at: int | None
    ended_at: int | None
    events: int
    parent: str | None
    forked_from: str | None
    cursor: int

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object, with times in ISO 8601."""
        times = {"started_at": self.started_at, "ended_at": self.ended_at}
        return {**asdict(self), **{name: None if at is None else iso(at) for name, at in times.items()}}


def unreadable_row(run_id: str, events: int, cursor: int) -> RunRow:
    """The row of a run that cannot be read."""
    return RunRow(
        run_id=run_id,
        workflow_type=None,
        workflow_version=None,
        status="unreadable",
        agent_id=None,
        queue=None,
        error_code=None,
        started_at=None,
        ended_at=None,
        events=events,
        parent=None,
        forked_from=None,
        cursor=cursor,
    )


class Page(NamedTuple):
    """Rows, and the cursor at which the list goes on; None at its end.

    `unknown` counts the unreadable runs passed by of which nobody can say whether the filter takes them.
    """

    rows: list[RunRow]
    next_cursor: int | None
    unknown: int = 0
