"""`refold schedules`: workflows that workers run by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...compose import WorkflowEngine, open_store
from ...core.documents import parse_document
from ...core.errors import InvalidError
from ...core.ids import check_tenant
from ...core.runtime.admission import MAX_REASON, check_text
from ...core.runtime.scheduling.schedule import Schedule
from ...core.runtime.scheduling.schedules import ScheduleStatus
from ...eventstore.store import Store
from ..settings import store_patience
from .faults import OK
from .output import STATUS_STYLES, console, plain, write_json
from .reading import existing_store, read_bytes
from .signals import run_until_stopped
from .streams import note

T = TypeVar("T")


def create_schedules(files: Sequence[str], paused: bool, tenant: str, database: str | None, json: bool) -> int:
    """Make the schedules in `files`, once all of them were read without a fault; returns the exit code."""
    check_tenant(tenant)
    definitions = [_read(file) for file in files]
    with closing(open_store(database)) as store:
        for definition in definitions:
            _show(_asked(store, lambda engine, d=definition: engine.schedules.create(d, tenant, paused=paused)), json)
    return OK


def list_schedules(tenant: str, database: str | None, json: bool) -> int:
    """Write a line for each schedule; returns the exit code."""
    check_tenant(tenant)
    with existing_store(database) as store:
        found = _asked(store, lambda engine: engine.schedules.list(tenant))
    if json:
        for status in found:
            write_json(status.to_json())
    elif found:
        console().print(_table(found))
    else:
        note("no schedules")
    return OK


def show_schedule(schedule_id: str, tenant: str, database: str | None, json: bool) -> int:
    """Write how the schedule stands; returns the exit code."""
    check_tenant(tenant)
    with existing_store(database) as store:
        _show(_asked(store, lambda engine: engine.schedules.get(schedule_id, tenant)), json)
    return OK


def tell_schedule(
    verb: str, schedule_id: str, reason: str, key: str | None, tenant: str, database: str | None, json: bool
) -> int:
    """Pause, resume, delete or trigger, and tell how the schedule stands then; returns the exit code."""
    check_tenant(tenant)
    check_text("--reason", reason, MAX_REASON)

    async def work(engine: WorkflowEngine) -> ScheduleStatus:
        schedules = engine.schedules
        if verb == "pause":
            await schedules.pause(schedule_id, reason, tenant)
        elif verb == "resume":
            await schedules.resume(schedule_id, tenant)
        elif verb == "delete":
            await schedules.delete(schedule_id, reason, tenant)
        else:
            await schedules.trigger(schedule_id, tenant, key=key)
        return await schedules.get(schedule_id, tenant)

    with existing_store(database, migrate=True) as store:
        _show(_asked(store, work), json)
    return OK


def _asked(store: Store, ask: Callable[[WorkflowEngine], Awaitable[T]]) -> T:
    async def work() -> T:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await ask(engine)

    patience = store_patience()
    return run_until_stopped(work)


def _read(file: str) -> Schedule:
    try:
        return Schedule.parse(parse_document(read_bytes(file, "the schedule"), name=file))
    except InvalidError as error:
        error.add_note("stdin" if file == "-" else file)
        raise


def _show(status: ScheduleStatus, json: bool) -> None:
    if json:
        write_json(status.to_json())
        return
    schedule, screen = status.schedule, console()
    line = Text(plain(schedule.schedule_id) + "  ").append(status.status, STATUS_STYLES.get(status.status, "dim"))
    screen.print(line.append(f"  {_when(schedule)}, runs {_what(schedule)}"), soft_wrap=True)
    screen.print(f"next: {_next(status)}; last: {_last(status)}", soft_wrap=True)
    counts = f"fired {status.fired}, skipped {status.skipped}, failed {status.failed}, triggered {status.triggered}"
    screen.print(f"{counts}; waiting {len(status.waiting)}, running {plain(status.running or 'none')}", soft_wrap=True)


def _table(found: Sequence[ScheduleStatus]) -> Table:
    table = Table("schedule", "status", "when", "runs", "next (UTC)", "last (UTC)", "fired", box=SIMPLE_HEAD)
    table.columns[0].overflow = "fold"
    for status in found:
        schedule = status.schedule
        style = STATUS_STYLES.get(status.status, "dim")
        last = plain(status.last["scheduled_at"]) if status.last else ""
        cells = (plain(schedule.schedule_id), Text(status.status, style), _when(schedule), _what(schedule))
        table.add_row(*cells, _next(status), last, str(status.fired))
    return table


def _when(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return plain(f"{schedule.cron} {schedule.timezone}")
    return f"every {schedule.every} s" + (f" + {schedule.offset} s" if schedule.offset else "")


def _what(schedule: Schedule) -> str:
    return plain(schedule.workflow or str((schedule.spec or {}).get("workflow_type")))


def _next(status: ScheduleStatus) -> str:
    return (status.next or "when a worker looks") if status.status in ("queued", "running", "waiting") else "-"


def _last(status: ScheduleStatus) -> str:
    if status.last is None:
        return "none"
    code = status.last["error_code"]
    return plain(f"{status.last['run_id']}{f' ({code})' if code else ''}")
