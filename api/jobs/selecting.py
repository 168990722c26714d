"""Which runs a job is about: by a filter, as they stand when it begins, or by name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, NamedTuple

from ...core.errors import CallError, Problem
from ...core.ids import stream_of
from ...eventstore.store import Store
from ...projections.indexed import index_of, indexed_page
from ...projections.run_filter import RunFilter
from ...projections.run_list import log_rows, takes
from ...projections.run_row import RunRow

Verb = Literal["cancel", "pause", "resume", "retry"]
"""What runs can be told, many at once."""

CONCERNED: dict[Verb, tuple[str, ...]] = {
    "cancel": ("queued", "running", "waiting", "paused", "parked"),
    "pause": ("queued", "running", "waiting", "parked"),
    "resume": ("paused", "parked"),
    "retry": ("failed", "rejected"),
}
"""How runs stand that a verb can do anything to: only these are chosen by a filter."""

MOST_RUNS = 100_000
"""A job is about no more runs."""

_PAGE = 200


class Chosen(NamedTuple):
    """Ids of runs, the latest started first; not `complete` if looking for them took too long."""

    runs: list[str]
    complete: bool = True


def filter_of(told: Mapping[str, Any]) -> RunFilter:
    """The filter that `filter_json` has written."""
    return RunFilter(**told)


def filter_json(wanted: RunFilter) -> dict[str, Any]:
    """A filter as a JSON object, without what is not given."""
    return {name: value for name, value in asdict(wanted).items() if value not in (None, {}, ())}


def choose(
    store: Store, tenant: str, verb: Verb, wanted: RunFilter, until: int, seconds: float | None = None
) -> Chosen:
    """The runs of the tenant that are `wanted`, that had begun at the position `until` of the log, and that the verb
    can do anything to. It is looked for no longer than so many `seconds`. Raises CallError for more than MOST_RUNS."""
    deadline = None if seconds is None else time.monotonic() + seconds
    found: list[str] = []
    for row in _rows(store, tenant, verb, wanted, until):
        if row is not None:
            found.append(row.run_id)
        if len(found) > MOST_RUNS:
            reason = f"the filter takes more than {MOST_RUNS} runs"
            raise CallError(Problem("/filter", reason, "narrow it, such as by started_before, and send several jobs"))
        if deadline is not None and time.monotonic() > deadline:
            return Chosen(found, complete=False)
    return Chosen(list(dict.fromkeys(found)))


def known_among(store: Store, tenant: str, run_ids: Sequence[str]) -> list[str]:
    """Those of `run_ids` that the tenant has, in the same order. Raises CallError for what can be no run id."""
    streams = {run_id: stream_of(tenant, run_id) for run_id in run_ids}
    there = store.starts(list(streams.values()))
    return [run_id for run_id, stream in streams.items() if stream in there]


def _rows(store: Store, tenant: str, verb: Verb, wanted: RunFilter, until: int) -> Iterator[RunRow | None]:
    """The runs, and None now and then while none is found."""
    statuses = [each for each in CONCERNED[verb] if wanted.status in (None, each)]
    index = index_of(store, wanted)
    if index is None or index.position < until:  # What it has not seen yet it cannot leave out.
        for row in log_rows(store, tenant, until + 1):
            is_one = row.status in statuses and takes(store, tenant, row, wanted)
            yield row if is_one else None
        return
    for status in statuses:
        only, before = replace(wanted, status=status), None
        while True:
            found = indexed_page(store, tenant, before, _PAGE, only)
            if found is None:  # Whoever keeps the index has stopped doing so.
                yield from (row for row in log_rows(store, tenant, until + 1) if takes(store, tenant, row, only))
                break
            yield None
            yield from (row for row in found.page.rows if row.cursor <= until)
            if (before := found.page.next_cursor) is None:
                break
