"""`refold emergency-stop`: everything stopped, or a part of it, looked at, and released."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import TypeVar

from rich.text import Text

from ...compose import WorkflowEngine, open_store
from ...core.emergency import EVERYTHING, Scope, Stop, Stops
from ...core.errors import CallError, Problem, StoreUnreachableError
from ...core.runtime.emergency import check_scope
from ..settings import store_patience
from .faults import OK
from .output import clock, console, plain, write_json
from .reading import existing_store, missing_file
from .specs import login

T = TypeVar("T")


def scope_of(tenant: str | None, workflow: str | None, queue: str | None, all_: bool = False) -> Scope:
    """The scope that the options name, the global one without any. Raises CallError for two at once."""
    named = [
        scope
        for scope in (Scope("tenant", tenant or ""), Scope("workflow", workflow or ""), Scope("queue", queue or ""))
        if {"tenant": tenant, "workflow": workflow, "queue": queue}[scope.kind] is not None
    ]
    if len(named) > 1 or (named and all_):
        raise CallError(Problem("", "several scopes are named", "give one of them; each is a stop of its own"))
    return check_scope(named[0] if named else EVERYTHING)


def enable(scope: Scope, cancel: bool, reason: str, by: str | None, database: str | None, json: bool) -> int:
    """Stop `scope`; returns the exit code."""

    async def work(engine: WorkflowEngine) -> Stops:
        who = login() if by is None else by
        await engine.emergency.enable(scope, running="cancel" if cancel else "finish", reason=reason, by=who)
        return await engine.emergency.status()

    _tell(_with_engine(work, database), json)
    return OK


def disable(scope: Scope | None, reason: str, by: str | None, database: str | None, json: bool) -> int:
    """Release `scope`, None for every stop; returns the exit code."""

    async def work(engine: WorkflowEngine) -> tuple[Sequence[Stop], Stops]:
        who = login() if by is None else by
        scopes = () if scope is None else (scope,)
        released = await engine.emergency.disable(*scopes, reason=reason, by=who)
        return released, await engine.emergency.status()

    released, stops = _with_engine(work, database)
    _tell(stops, json, released)
    if not released and not json:
        what = "nothing" if scope is None else f"no stop ({plain(str(scope))})"
        console().print(f"  {what} was in force: nothing is changed", soft_wrap=True)
    return OK


def status(database: str | None, json: bool) -> int:
    """Write what is stopped; returns the exit code."""

    async def work() -> Stops:
        with existing_store(database) as store:
            async with WorkflowEngine(store, patience=store_patience()) as engine:
                return await engine.emergency.status()

    stops = asyncio.run(work())
    if not stops.all() and (missing := missing_file(database)) is not None:
        # Whoever asks about the wrong database must not be told that nothing is stopped.
        raise StoreUnreachableError(f"there is no database {missing}")
    _tell(stops, json)
    return OK


def _with_engine(work: Callable[[WorkflowEngine], Awaitable[T]], database: str | None) -> T:
    if (missing := missing_file(database)) is not None:
        # Whoever stops the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")

    async def main() -> T:
        with closing(open_store(database)) as store:
            async with WorkflowEngine(store, patience=store_patience()) as engine:
                return await work(engine)

    return asyncio.run(main())


_WHERE = {"log": "on all workers", "environment": "in processes with this environment", "file": "on this host"}


def _tell(stops: Stops, json: bool, released: Sequence[Stop] = ()) -> None:
    """One word that scripts can rely on, then each stop."""
    found = stops.all()
    word = "STOPPED" if found else "RUNNING"
    if json:
        told = {"status": word, "stops": [stop.to_json() for stop in found]}
        write_json({**told, "released": [stop.to_json() for stop in released]})
        return
    screen = console()
    what = f"{len(found)} emergency stop{'s' if len(found) > 1 else ''}" if found else "no emergency stop is in force"
    style = "bold red" if found else "bold green"
    screen.print(Text(word, style).append(f"  {what}", "not bold default"), soft_wrap=True)
    for stop in released:
        screen.print(f"  released {plain(str(stop.scope))}", soft_wrap=True)
    for stop in found:
        who = f" by {plain(stop.by)}" if stop.by else ""
        running = "running steps finish" if stop.running == "finish" else "running steps are cancelled"
        line = f"  {plain(str(stop.scope))} since {clock(stop.at)}{who}, {_WHERE[stop.source]}; {running}"
        screen.print(line + (f": {plain(stop.reason)}" if stop.reason else ""), soft_wrap=True)
