"""A run's timeline as lanes of bars: a lane for the run and one for each step, placed on one scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.events import Event, StepAttemptFailed
from ...projections.timeline import Span
from ...projections.times import iso
from .scale import Scale, idle_between
from .words import duration

MAX_LANES = 150
"""So many steps are drawn; a table has them all."""

_WAITS = ("timer", "wait", "child", "approval")
_RESTS = ("pause", "parked")
_SIGNS = {"timer": "timer", "wait": "signal", "child": "child", "approval": "approval"}


@dataclass(slots=True)
class _Lane:
    """What is drawn of a step: spans of (kind, status, since, until, what), times in µs."""

    step: Span
    parts: list[tuple[str, str, int, int, str]] = field(default_factory=list[tuple[str, str, int, int, str]])


def timeline_model(spans: Sequence[Span], events: Sequence[Event], now: int) -> dict[str, Any]:
    """The lanes with their bars in percent of the width, the ticks of the axis and the folded stretches."""
    run = next(span for span in spans if span.kind == "run")
    begin = run.started_at or events[0].at
    end = run.ended_at or max(now, events[-1].at)
    lanes = _lanes(spans, events, end)
    busy = [(since, until) for lane in lanes for kind, _, since, until, _ in lane.parts if kind == "attempt"]
    points = [(event.at, event.at) for event in events]
    scale = Scale(begin, end, idle_between([*busy, *points], begin, end))
    rests = [span for span in spans if span.kind in _RESTS]
    signals = [span for span in spans if span.kind == "signal"]
    return {
        "begin": iso(begin),
        "end": iso(end),
        "open": run.ended_at is None,
        "seconds": (end - begin) / 1e6,
        "run": {
            "status": run.status,
            "bars": [_bar(scale, "run", run.status, begin, end, "the run")]
            + [_bar(scale, each.kind, each.status, each.started_at, each.ended_at or end, each.kind) for each in rests],
            "marks": [
                {"at": scale.place(each.started_at or begin), "title": f"signal {each.name}", "event": each.event}
                for each in signals[:MAX_LANES]
            ],
        },
        "lanes": [_told(lane, scale) for lane in lanes[:MAX_LANES]],
        "left_out": max(len(lanes) - MAX_LANES, 0),
        "ticks": [{"at": place, "label": duration(since / 1e6)} for place, since in scale.ticks()],
        "folds": [
            {"left": each.left, "width": each.right - each.left, "label": duration((each.end - each.begin) / 1e6)}
            for each in scale.stretches
            if each.folded
        ],
    }


def _told(lane: _Lane, scale: Scale) -> dict[str, Any]:
    step = lane.step
    return {
        "step_id": step.step_id,
        "skill": step.skill,
        "status": step.status,
        "error_code": step.error_code,
        "attempts": step.attempts,
        "seconds": None if step.took is None else step.took / 1e6,
        "event": step.event,
        "bars": [_bar(scale, *part) for part in lane.parts],
    }


def _lanes(spans: Sequence[Span], events: Sequence[Event], end: int) -> list[_Lane]:
    """A lane for each step in index order, its attempts told apart where the log tells when they failed."""
    failed: defaultdict[str, list[StepAttemptFailed]] = defaultdict(list)
    for event in events:
        if isinstance(event, StepAttemptFailed):
            failed[str(event.index)].append(event)
    waits: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.kind in _WAITS:
            waits[span.path or ""].append(span)
    return [_lane(span, failed[span.path or ""], waits[span.path or ""], end) for span in spans if span.kind == "step"]


def _lane(span: Span, failed: Iterable[StepAttemptFailed], waits: Iterable[Span], end: int) -> _Lane:
    lane = _Lane(span)
    since = span.started_at
    if since is None:
        return lane
    last = span.ended_at or end
    for each in failed:
        what = f"attempt {each.attempt} failed: {each.error_code}"
        lane.parts.append(("attempt", "failed", since, max(each.at, since), what))
        since = min(each.retry_at, last)
        lane.parts.append(("backoff", "waiting", each.at, since, "until the next attempt"))
    for wait in waits:
        begun = wait.started_at or since
        lane.parts.append(("attempt", "running", since, begun, "until it waits")) if begun > since else None
        until = wait.ended_at or end
        what = f"waits for {_SIGNS[wait.kind]}{f' {wait.name}' if wait.name else ''}"
        lane.parts.append(("wait", wait.status, begun, until, what))
        since = until
    if span.status not in ("pending", "ready") and (since < last or not lane.parts):
        attempt = f"attempt {span.attempts}: " if span.attempts else ""
        lane.parts.append(("attempt", span.status, since, max(last, since), f"{attempt}{span.status}"))
    return lane


def _bar(scale: Scale, kind: str, status: str, since: int | None, until: int, what: str) -> dict[str, Any]:
    since = until if since is None else since
    left, right = scale.place(since), scale.place(until)
    return {
        "kind": kind,
        "status": status,
        "left": min(left, 99.6),
        "width": round(max(right - left, 0.4), 3),
        "title": f"{what}, {duration((until - since) / 1e6)}",
    }
