"""One run as it stands, folded from its log: never stale."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from ..core.approvals import Approval
from ..core.erasure_events import DataErased
from ..core.errors import RunNotFoundError
from ..core.events import Event
from ..core.ids import stream_of
from ..core.ports import Head, Record
from ..core.results import WorkflowResult, result_of
from ..core.state import RunState, fold
from ..eventstore.log import EventLog
from ..eventstore.rebuild import is_held
from ..eventstore.store import Store
from .approval_view import approval_view
from .erasures import erasure_of
from .standing import QUEUED
from .times import iso
from .worker_reports import WorkerReport, reports, unserved


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with its events. `held` says whether a live process works on it, `unserved` why no worker
    would, `erased` whether its sensitive data were."""

    state: RunState
    events: Sequence[Event]
    result: WorkflowResult
    status: str
    held: bool
    unserved: str | None
    erased: DataErased | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object, with what is known of the run besides."""
        state, started = self.state, self.state.started
        waits = [] if state.end is not None else [state.waits[index] for index in state.in_order(state.waits)]
        return {
            **self.result.to_json(),
            "status": self.status,
            "tenant": started.tenant,
            "workflow_version": started.workflow_version,
            "agent_id": started.agent_id,
            "seed": started.seed,
            "queue": started.queue,
            "priority": started.priority,
            "started_at": iso(started.at),
            "updated_at": iso(self.events[-1].at),
            "ended_at": None if state.end is None else iso(state.end.at),
            "events": len(self.events),
            "waiting_for": [
                {
                    "step_id": wait.step_id,
                    "signal": wait.signal,
                    "child": wait.child,
                    "approval": _asked(state.approvals.get(wait.index)),
                    "until": None if wait.until is None else iso(wait.until),
                }
                for wait in waits
            ],
            "attributes": state.attributes,
            "parent": started.parent,
            "forked": None if started.forked is None else asdict(started.forked),
            "held": self.held,
            "unserved": self.unserved,
            "erased": None if self.erased is None else {"at": iso(self.erased.at), "by": self.erased.by},
        }


def _asked(approval: Approval | None) -> dict[str, Any] | None:
    """Whom a step waits for."""
    if approval is None:
        return None
    told = approval_view(approval)
    return {name: told[name] for name in ("reason", "approvers", "quorum", "granted")}


def check_run(store: Store, run_id: str, tenant: str) -> Head:
    """The head of the run's log. Raises RunNotFoundError."""
    stream = stream_of(tenant, run_id)
    head = store.heads([stream]).get(stream)
    if head is None:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return head


def just_recorded(state: RunState, workers: Collection[WorkerReport]) -> RunView:
    """A run as it stood when its first events were recorded: nobody had taken it up."""
    if state.end is not None:
        return RunView(state, (state.started, state.end), (ended := result_of(state)), ended.status, False, None)
    return RunView(state, (state.started,), result_of(state), QUEUED, False, unserved(workers, state))


def look_at(store: Store, run_id: str, tenant: str) -> RunView:
    """The run as it stands. Raises RunNotFoundError, and IntegrityError when its log cannot be folded."""
    stream = stream_of(tenant, run_id)
    records = store.read(stream)
    if not records:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return view_of(store, stream, records, partial(reports, store))


def view_of(
    store: Store,
    stream: str,
    records: Sequence[Record],
    workers: Callable[[], Collection[WorkerReport]],
    erasures: Head | None = None,
) -> RunView:
    """A run as it stands, with all of its `records`; `erasures` is the head of that log. Raises IntegrityError."""
    events = EventLog(store, "").decoded(records)
    state = fold(events)
    result = result_of(state)
    open_ = state.end is None
    held = open_ and is_held(store.dispatch.lease(stream))
    idle = open_ and not held and not state.paused and state.parked is None
    lacks = unserved(workers(), state) if idle else None
    status = QUEUED if len(events) == 1 and not held else result.status
    return RunView(state, events, result, status, held, lacks, erasure_of(store, stream, erasures))
