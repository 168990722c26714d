"""The page of one run as plain values: all that it shows, from the log as it stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ...core.code_state import CodeState
from ...core.errors import IntegrityError
from ...core.failures import FAILURES
from ...core.ids import stream_of
from ...core.ports import EMPTY
from ...eventstore.store import Store
from ...projections.run_view import RunView, look_at
from ...projections.timeline import Span
from ...projections.timelines import spans_of
from ...replay.verify import verify_run
from ..callers import Caller
from .lanes import timeline_model
from .run_events import events_page, strip_of
from .run_graph import graph_model, status_of

STEPS = 50
"""So many steps stand on one page."""


def run_model(store: Store, run_id: str, caller: Caller, after: int, steps_after: int) -> dict[str, Any]:
    """Everything the page shows. Raises RunNotFoundError; a log that does not fold shows its events and findings."""
    stream = stream_of(caller.tenant, run_id)
    fault = view = None
    try:
        view = look_at(store, run_id, caller.tenant)
    except (IntegrityError, ValueError) as error:
        fault = str(error)
    may_prove = "audit" in caller.scopes
    proof = verify_run(store, run_id, caller.tenant).to_json() if may_prove else None
    findings = [] if proof is None else [*proof["chain"]["findings"], *proof["fold"]["findings"]]
    last = store.heads([stream]).get(stream, EMPTY).version
    return {
        "run_id": run_id,
        "fault": fault,
        "proof": proof,
        "findings": findings,
        "strip": strip_of(last, findings, stream) if may_prove else [],
        "events": events_page(store, stream, after, last, findings, None if view is None else view.state.started.at),
        "actions": _actions(view, caller),
        "notice": None,
        "awaited": _awaited(view),
        **(_told(store, view, steps_after) if view is not None else _untold()),
    }


def _told(store: Store, view: RunView, steps_after: int) -> dict[str, Any]:
    run = view.to_json()
    state = view.state
    statuses = [status_of(step, state) for step in view.result.steps]
    steps = [{**step, "status": status} for step, status in zip(run.pop("steps"), statuses, strict=True)]
    run.pop("step_hashes")
    spans = spans_of(view.events, run["run_id"], run["tenant"])
    timeline = timeline_model(spans, view.events, time.time_ns() // 1000)
    shown = steps[steps_after : steps_after + STEPS]
    took = {span.path: span.took for span in spans if span.kind == "step"}
    return {
        "run": run,
        "seconds": timeline["seconds"],
        "failure": FAILURES[run["error_code"]].to_json() if run["error_code"] in FAILURES else None,
        "kind": "function" if isinstance(state, CodeState) else "spec",
        "inputs": state.started.inputs.value,
        "source": state.started.source,
        "continues": state.started.continues,
        "timeline": timeline,
        "graph": graph_model(state, view.result.steps),
        "children": _children(spans),
        "steps": {
            "shown": [{**step, "seconds": _seconds(took.get(str(step["index"])))} for step in shown],
            "after": steps_after,
            "before": max(steps_after - STEPS, 0) if steps_after else None,
            "next": steps_after + STEPS if steps_after + STEPS < len(steps) else None,
            "total": len(steps),
            "counts": _counts(steps),
        },
    }


def _untold() -> dict[str, Any]:
    """What is known of a run whose log does not fold."""
    names = ("run", "seconds", "failure", "kind", "inputs", "source", "continues", "timeline", "graph", "steps")
    return {**dict.fromkeys(names), "children": []}


def _awaited(view: RunView | None) -> str:
    """The name of the first signal that the run waits for."""
    if view is None or view.state.end is not None:
        return ""
    waits = [wait for index, wait in view.state.waits.items() if index not in view.state.approvals]
    return next((wait.signal for wait in waits if wait.signal is not None), "")


def _children(spans: Sequence[Span]) -> list[dict[str, Any]]:
    return [
        {"run_id": span.name, "status": span.status, "step_id": span.step_id} for span in spans if span.kind == "child"
    ]


def _seconds(took: int | None) -> float | None:
    return None if took is None else took / 1e6


def _counts(steps: Sequence[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step["status"]] = counts.get(step["status"], 0) + 1
    return counts


def _actions(view: RunView | None, caller: Caller) -> list[str]:
    """What the caller may do to the run as it stands."""
    if view is None or "run" not in caller.scopes:
        return []
    open_ = view.state.end is None
    rests = view.state.paused or view.state.parked is not None
    wanted = {
        "signal": open_,
        "pause": open_ and not rests,
        "resume": open_ and rests,
        "cancel": open_,
        "retry": view.status == "failed",
        "fork": True,
    }
    return [name for name, may in wanted.items() if may]
