"""What a picture of a function's run shows besides: the branches of its gathers, its family, what it set and why it
rests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ...core.canonical import canonical_json
from ...core.events import RunContinued, RunParked
from ...core.paths import order_of
from ...core.run_state import RunState
from ...core.step_events import StepIndex

_MOST_DIFFERENCES = 5


def branch_of(index: StepIndex) -> str:
    """What stands before the step of this index: a line for each gather that it is in, marked where a branch begins.

    Of a path, every other number is that of a branch.
    """
    depth = 0 if isinstance(index, int) else (len(order_of(index)) - 1) // 2
    if depth == 0 or isinstance(index, int):
        return ""
    return "│ " * (depth - 1) + ("├ " if order_of(index)[-1] == 0 else "│ ")


def told_besides(state: RunState) -> Iterator[tuple[str, str]]:
    """Names with texts, for lines of their own."""
    started = state.started
    if started.parent is not None:
        yield "parent", started.parent
    if (forked := started.forked) is not None:
        given = sum(each.given for each in state.reused.values())
        by = f" by {forked.by}" if forked.by else ""
        some = f", {given} of them given another output{by}" if given else ""
        yield "forked", f"{by.strip()} from {forked.run_id} after event {forked.version}".strip()
        yield "reused", f"{len(state.reused)} outcomes{some}"
    if started.continues is not None:
        yield "continues", started.continues
    if isinstance(state.end, RunContinued):
        yield "goes on", f"as run {state.end.successor}"
    if state.attributes:
        pairs = sorted(state.attributes.items())
        yield "set", ", ".join(f"{name}={_text(value)}" for name, value in pairs)
    if state.cancelling is not None and state.end is None:
        why = f": {state.cancelling.reason}" if state.cancelling.reason else ""
        yield "stops", f"it was asked to stop, and cleans up{why}"
    if state.parked is not None:
        yield from _parked(state.parked)


def _parked(parked: RunParked) -> Iterator[tuple[str, str]]:
    """What was recorded against what the code asks for, where that is it; else the message."""
    details = parked.details.value
    if not isinstance(details, dict) or "requested" not in details:
        yield "error", f"[{parked.error_code}] {parked.message}"
        return
    told = cast("dict[str, Any]", details)
    yield "error", f"[{parked.error_code}] code and history disagree at event {told.get('event')}"
    recorded = told.get("recorded")
    step = cast("dict[str, Any]", recorded).get("step_id") if isinstance(recorded, dict) else recorded
    yield "recorded", f"{told.get('topic')} of {step}"
    yield (
        "the code",
        f"asks for {_text(told['requested'])}"
        + (f" at {told['place']}" if told.get("place") not in (None, "?") else ""),
    )
    for found in list(told.get("differences") or ())[:_MOST_DIFFERENCES]:
        yield "differs", f"at {found['pointer'] or '(root)'}: recorded {found['recorded']}, now {found['requested']}"
    for name in ("cause", "fix"):
        if told.get(name):
            yield name, _text(told[name])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()
