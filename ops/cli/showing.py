"""`refold show`: a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core.approvals import Approval
from ...core.canonical import canonical_json
from ...core.code_state import CodeState
from ...core.events import Event, StepCompleted, StepFailed, StepReused, StepSkipped, StepWaiting
from ...core.failures import FAILURES
from ...core.ids import check_run_id, check_tenant
from ...core.paths import order_of
from ...core.results import StepResult, WorkflowResult
from ...core.run_state import RunState
from ...core.spec_state import SpecState
from ...core.step_events import StepIndex
from ...projections.erasures import told, without_placeholders
from ...projections.run_view import RunView, look_at
from ...projections.times import iso
from .code_picture import branch_of, told_besides
from .faults import OK
from .output import STATUS_STYLES, cents, clock, console, duration, excerpt, plain, write_json
from .reading import existing_store

_WIDE = 100
_BAR = 24
_HASH_SHOWN = 10
_SIGNS = {"completed": "✓", "failed": "✗", "skipped": "↷", "cancelled": "✗", "waiting": "◷", "pending": "·"}


def show_run(run_id: str, limit: int, tenant: str, database: str | None, json: bool) -> int:
    """Draw the run, or write its result as JSON; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    with existing_store(database) as store:
        view = look_at(store, run_id, tenant)
    erased = view.erased
    if json:
        write_json(
            {**view.result.to_json(), "status": view.status, **({} if erased is None else {"erased": iso(erased.at)})}
        )
        return OK
    screen = console()
    draw(screen, view, limit)
    if erased is not None:
        say(screen, "erased", told(erased))
    if view.state.end is None:
        say(screen, "now", _now(view))
        if view.unserved is not None:
            say(screen, "workers", view.unserved)
    return OK


def draw(screen: Console, view: RunView, limit: int) -> None:
    """The run as a picture: at most `limit` of its steps on a time line, and what came out."""
    state = view.state
    _head(screen, state, view.status, view.events)
    screen.print(_table(view, _spans(state, view.events), limit, screen.width))
    _foot(screen, view.result, limit, view.erased is not None)
    for name, text in told_besides(state):
        say(screen, name, text)


class _Span(NamedTuple):
    """From when a step could start to when its end was recorded (None: not yet), in µs since the epoch."""

    start: int
    end: int | None


def _spans(state: RunState, events: Sequence[Event]) -> list[_Span | None]:
    """The span of each step; None for those whose turn has not come."""
    ended = {e.index: e.at for e in events if isinstance(e, StepCompleted | StepFailed | StepSkipped | StepReused)}
    if not isinstance(state, SpecState):
        paths = state.in_order(state.calls) if isinstance(state, CodeState) else []
        return [_Span(_asked_at(path, ended, state.started.at), ended.get(path)) for path in paths]
    spans: list[_Span | None] = []
    for step in state.plan.steps:
        needed = [ended.get(index) for index in step.dependencies]
        start = max((at for at in needed if at is not None), default=state.started.at)
        known = None not in needed and (step.index in ended or state.end is None)
        spans.append(_Span(start, ended.get(step.index)) if known else None)
    return spans


def _asked_at(path: str, ended: Mapping[StepIndex, int], started: int) -> int:
    """When a function came to ask for a call: as what is before it in its branch, or its branch's branch, had ended."""
    parts = order_of(path)
    # Every other part numbers the branches of a gather, which wait for nothing of each other.
    for length in range(len(parts), 0, -2):
        branch, number = parts[: length - 1], parts[length - 1]
        orders = [(order_of(str(index)), at) for index, at in ended.items()]
        before = [at for order, at in orders if order[: length - 1] == branch and order[length - 1 :] < (number,)]
        if before:
            return max(before)
    return started


def _head(screen: Console, state: RunState, status: str, events: Sequence[Event]) -> None:
    started = state.started
    line = Text(f" {status} ", f"{STATUS_STYLES.get(status, 'dim')} reverse")
    line.append(f"  {plain(started.workflow_type)}", "bold")
    if started.workflow_version:  # A function that was started by its name is of whatever version takes it up.
        line.append(f"  version {plain(started.workflow_version)}")
    screen.print(line, soft_wrap=True)
    say(screen, "run", started.run_id)
    words = [f"{clock(started.at)} UTC", f"took {duration(events[-1].at - started.at)}", f"seed {started.seed}"]
    words += [f"{len(events)} events", f"cost {cents(state.cost_cents)}"]
    say(screen, "started", ", ".join(words))


def _table(view: RunView, spans: Sequence[_Span | None], limit: int, width: int) -> Table:
    """The steps; a narrow screen shows a shorter time line, and neither skills nor hashes."""
    state, result = view.state, view.result
    children = {event.index: event.child for event in view.events if isinstance(event, StepWaiting)}
    wide = width >= _WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), expand=True)
    longest = max((len(branch_of(step.index) + step.step_id) for step in result.steps[:limit]), default=0)
    table.add_column("")
    table.add_column("step", min_width=min(longest, 24), overflow="fold")
    for name in ("skill", "tries", "when", "took", "cost", "hash"):
        if wide or name not in ("skill", "hash"):
            table.add_column(name, no_wrap=True, justify="right" if name in ("tries", "took", "cost") else "left")
    table.add_column("output", ratio=1, no_wrap=True)
    last = max((span.end for span in spans if span and span.end is not None), default=state.started.at)
    for step, span in zip(result.steps[:limit], spans, strict=False):
        status = "waiting" if step.index in state.waits and state.end is None else step.status
        style = STATUS_STYLES.get(status, "dim")
        bar = _bar(span, state.started.at, last, _BAR if wide else _BAR // 2)
        table.add_row(
            Text(_SIGNS.get(status, "?"), style),
            Text(branch_of(step.index), "dim").append(step.step_id, style),
            *([Text(step.skill_id, "dim")] if wide else []),
            str(step.attempts or ""),
            Text(bar, style),
            "" if span is None or span.end is None else duration(span.end - span.start),
            cents(step.cost_cents) if step.cost_cents else "",
            *([Text((step.step_hash or "")[:_HASH_SHOWN], "dim")] if wide else []),
            Text(
                without_placeholders(_outcome(state, step, children.get(step.index)), view.erased is not None),
                "red" if step.error_code is not None else "",
            ),
        )
    return table


def _outcome(state: RunState, step: StepResult, child: str | None) -> str:
    """What the step gave, or why it gave nothing."""
    outcome = state.outcome(step.index)
    by = "" if child is None else f"run {child}: "
    if step.error_code is not None:
        return plain(f"{by}[{step.error_code}] {step.message or ''}")
    if state.end is None and step.index in state.waits:
        approval = state.approvals.get(step.index)
        return _awaited(state.waits[step.index]) if approval is None else _asked(approval)
    if state.end is None and outcome is None and step.index in state.progress:
        return f"has told {excerpt(state.progress[step.index].data, 200)}"
    if outcome is None or outcome.output is None:
        return plain(step.message or "")
    return plain(by) + excerpt(outcome.output.data, 200)


def _awaited(wait: StepWaiting) -> str:
    until = None if wait.until is None else f"until {clock(wait.until)} UTC"
    if wait.child is not None:
        return plain(f"waits for run {wait.child}, {until or 'for ever'}")
    if wait.signal is None:
        return f"waits {until or 'for a message'}"
    return plain(f"waits for signal {wait.signal}, {until or 'for ever'}")


def _asked(approval: Approval) -> str:
    """Whom a step waits for."""
    asked, granted = approval.requested, len(approval.granted)
    until = "for ever" if asked.deadline is None else f"until {clock(asked.deadline)} UTC"
    quorum = f", {granted} of {asked.quorum} have granted" if asked.quorum > 1 else ""
    return plain(f"waits for {', '.join(approval.approvers)}{quorum}, {until}: {asked.reason}")


def _bar(span: _Span | None, first: int, last: int, length: int) -> str:
    """The span on a line of `length` characters from `first` to `last`."""
    if span is None:
        return ""
    if span.end is None:
        return "…".rjust(length)
    whole = max(last - first, 1)
    left = min((span.start - first) * length // whole, length - 1)
    right = max(-((first - span.end) * length // whole), left + 1)
    return " " * left + "━" * (right - left)


def _foot(screen: Console, result: WorkflowResult, limit: int, erased: bool) -> None:
    hidden = len(result.steps) - limit
    if hidden > 0:
        screen.print(Text(f"… and {hidden} more steps: --limit {len(result.steps)}", "dim"))
    if result.error_code is not None and result.status != "parked":
        say(screen, "error", f"[{result.error_code}] {result.message or ''}", "red")
        known = FAILURES.get(result.error_code)
        if known is not None:
            say(screen, "do", f"{known.advice(result.run_id)} ({known.documentation})", "dim")
    if result.success:
        say(screen, "output", without_placeholders(excerpt(canonical_json(result.output), 400), erased))
    if result.workflow_hash is not None:
        say(screen, "hash", result.workflow_hash)


def _now(view: RunView) -> str:
    """Whether anybody works on the run, or who will, or how to have somebody do so."""
    state = view.state
    if state.parked is not None:
        return f"it rests; mend the code, and go on with: refold resume {state.started.run_id} --app MODULE"
    if view.held:
        return "a live process works on it"
    if state.paused or view.unserved is not None:
        return f"nobody works on it; go on with: refold resume {state.started.run_id}"
    return "nobody works on it; a worker takes it up when it is due"


def say(screen: Console, name: str, text: str, style: str = "") -> None:
    """One line: what it is about, and the text."""
    screen.print(Text(f"{name:<9}", "dim").append(plain(text), f"not dim {style}"), soft_wrap=True)
