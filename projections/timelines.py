"""The timeline of one run, from its log: never stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import RunNotFoundError
from ..core.events import Event
from ..core.ids import stream_of
from ..core.state import evolve, start
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from .model import FollowedRun
from .timeline import TIMELINE, Span, TimelineProjection
from .times import iso


def timeline_of(store: Store, run_id: str, tenant: str) -> list[Span]:
    """The run's spans in the order of their places, steps before their waits; `build` is "".

    Raises RunNotFoundError, and IntegrityError when its log cannot be folded.
    """
    stream = stream_of(tenant, run_id)
    events = EventLog(store, "").events(stream)
    if not events:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return spans_of(events, run_id, tenant)


def spans_of(events: Sequence[Event], run_id: str, tenant: str) -> list[Span]:
    """The same of a run whose `events`, all of them, are at hand."""
    stream = stream_of(tenant, run_id)
    projection = TimelineProjection()
    run: FollowedRun | None = None
    spans: dict[tuple[str, str], Span] = {}
    for version, event in enumerate(events, 1):
        if run is None:
            run = FollowedRun(stream, tenant, run_id, 0, 1, event.at, start(event))
        else:
            evolve(run.state, event)
            run.version, run.at = version, event.at
        for row in projection.taken(run, event).get(TIMELINE.name, ()):
            span = Span(*row)
            spans[span.place, span.kind] = span
    return sorted(spans.values(), key=lambda span: (span.place, span.kind != "step", span.kind))


def span_json(span: Span) -> dict[str, Any]:
    """A span as a JSON object: times in ISO 8601, lengths in seconds."""
    told = span._asdict()
    for name in ("tenant", "place", "build", "took"):
        del told[name]
    for name in ("started_at", "ended_at", "until"):
        told[name] = None if told[name] is None else iso(told[name])
    return {**told, "took_seconds": None if span.took is None else span.took / 1_000_000}
