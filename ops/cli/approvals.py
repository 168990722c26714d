"""`refold approvals`: what is open, and deciding it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...compose import WorkflowEngine
from ...core.approvals import Approval
from ...core.canonical import canonical_json
from ...core.errors import ApprovalNotFoundError
from ...core.ids import check_run_id, check_tenant
from ...eventstore.store import Store
from ...projections.analytics import source
from ...projections.approval_list import WantedApprovals, approvals
from ...projections.approval_view import approval_view
from ..settings import store_patience
from .analysing import tell_source
from .faults import OK
from .output import console, excerpt, plain, write_json
from .reading import existing_store
from .signals import run_until_stopped
from .streams import note

T = TypeVar("T")

_STYLES = {
    "open": "bold yellow",
    "granted": "bold green",
    "rejected": "bold red",
    "expired": "bold red",
    "cancelled": "dim",
}


def list_approvals(open_only: bool, mine: str | None, tenant: str | None, database: str | None, json: bool) -> int:
    """Write a line for each approval; returns the exit code."""
    if tenant is not None:
        check_tenant(tenant)
    with existing_store(database) as store:
        read = source(store, "approvals")
        found = list(approvals(store, read.of, WantedApprovals(tenant, open_only, mine)))
    tell_source(read)
    if json:
        for each in found:
            write_json(each)
    elif found:
        console().print(_table(found))
    else:
        note("no approvals")
    return OK


def show_approvals(run_id: str, step_id: str | None, tenant: str, database: str | None, json: bool) -> int:
    """Write the approvals of a run as its log has them; returns the exit code. Raises ApprovalNotFoundError."""
    check_run_id(run_id)
    check_tenant(tenant)
    with existing_store(database) as store:
        found = _asked(store, lambda engine: engine.approvals.list(run_id, tenant))
    chosen = [each for each in found if step_id in (None, each.step_id)]
    if not chosen:
        what = f"run {run_id}" if step_id is None else f"step {step_id!r} of run {run_id}"
        raise ApprovalNotFoundError(f"{what} waits for nobody, nor did it")
    for each in chosen:
        _show(each, run_id, json)
    return OK


def decide(
    action: str,
    run_id: str,
    step_id: str | None,
    by: str,
    comment: str,
    to: str | None,
    key: str | None,
    tenant: str,
    database: str | None,
    json: bool,
) -> int:
    """Decide, and tell how the approval stands then; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)

    async def work(engine: WorkflowEngine) -> Approval:
        return await engine.approvals.decide(run_id, step_id, action, by, comment, to, key=key, tenant=tenant)

    with existing_store(database, migrate=True) as store:
        _show(_asked(store, work), run_id, json)
    return OK


def _asked(store: Store, ask: Callable[[WorkflowEngine], Awaitable[T]]) -> T:
    patience = store_patience()

    async def work() -> T:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await ask(engine)

    return run_until_stopped(work)


def _show(approval: Approval, run_id: str, json: bool) -> None:
    told = approval_view(approval)
    if json:
        write_json({"run_id": run_id, **told})
        return
    screen = console()
    line = Text(f" {told['status']} ", f"{_STYLES[told['status']]} reverse")
    screen.print(line.append(f"  {plain(run_id)}  {plain(told['step_id'])}", "default"), soft_wrap=True)
    _say(screen, "reason", told["reason"])
    granted = ", ".join(told["granted"]) or "nobody yet"
    _say(screen, "granted", f"{len(told['granted'])} of {told['quorum']}: {granted}")
    if told["rejected_by"] is not None:
        _say(screen, "rejected", told["rejected_by"])
    if told["status"] == "open":
        _say(screen, "waits for", ", ".join(told["approvers"]))
    for who in told["delegated"]:
        _say(screen, "delegated", f"{who['by']} to {who['to']}")
    for name in ("deadline", "next_escalation"):
        if told[name] is not None:
            _say(screen, name.replace("_", " "), told[name])
    for each in told["comments"]:
        _say(screen, "comment", f"{each['by']}: {each['comment']}")
    if told["details"] is not None:
        _say(screen, "details", excerpt(canonical_json(told["details"]), 400))


def _say(screen: Console, name: str, text: str) -> None:
    screen.print(Text(f"{name:<16}", "dim").append(plain(text), "not dim"), soft_wrap=True)


def _table(found: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "step", "status", "granted", "waits for", "since (UTC)", "deadline (UTC)", "reason"):
        table.add_column(name, overflow="fold")
    for each in found:
        status = each["status"]
        waits = ", ".join(each["approvers"]) if status == "open" else ""
        times = [(each[name] or "")[:19].replace("T", " ") for name in ("requested_at", "deadline")]
        table.add_row(
            plain(each["run_id"]),
            plain(each["step_id"]),
            Text(status, _STYLES.get(status, "dim")),
            f"{each['granted']} of {each['quorum']}",
            plain(waits),
            *times,
            plain(each["reason"]),
        )
    return table
