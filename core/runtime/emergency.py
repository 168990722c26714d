"""Emergency stops enabled and released by operators, recorded like everything else that they decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..catalog import is_name
from ..emergency import EVERYTHING, KINDS, Running, Scope, Stop, Stops
from ..emergency_events import EmergencyEvent, EmergencyReleased, EmergencyStopped
from ..errors import CallError, OwnershipLostError, Problem, StoreError
from ..ids import EMERGENCY, check_queue, check_tenant
from ..ports import Append, Clock, Head, Journal, RunLog, Unit
from .admission import MAX_LABEL, MAX_REASON, check_text
from .emergency_watch import EmergencyWatch, read_stops

Made = Callable[[Stops, int], list[EmergencyEvent]]
"""What to record, given what is stopped and the time."""


class EmergencyControl:
    """The control stream of emergency stops. `watch` is what this engine goes by."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock
        self.watch = EmergencyWatch(log)

    async def enable(
        self, scope: Scope = EVERYTHING, *, running: Running = "finish", reason: str = "", by: str = ""
    ) -> Stop:
        """Stop everything in `scope`, on all workers, and return the stop as it stands.

        No attempt begins there any more; those under way end and are recorded, or, with `running="cancel"`, are dropped
        and executed again after the release. Where the scope is stopped already, mode, reason and who did it are
        replaced; the same again records nothing. Raises CallError, StoreUnreachableError.
        """
        check_scope(scope)
        _check_said(reason, by)
        if running not in ("finish", "cancel"):
            raise CallError(Problem("", f"running steps can finish or be cancelled, not {running!a}", "choose one"))

        def made(stops: Stops, at: int) -> list[EmergencyEvent]:
            found = stops.find(scope)
            if found is not None and (found.running, found.reason, found.by) == (running, reason, by):
                return []
            return [EmergencyStopped(at, scope.kind, scope.name, running, reason, by)]

        stops, _ = await self._record(made)
        return next(stop for stop in stops.recorded() if stop.scope == scope)

    async def disable(self, *scopes: Scope, reason: str = "", by: str = "") -> Sequence[Stop]:
        """Release `scopes`, or without any all that are stopped; returns the stops that were in force there.

        What was held back goes on untouched. Where nothing was stopped nothing is recorded. Raises CallError,
        StoreUnreachableError.
        """
        for scope in scopes:
            check_scope(scope)
        _check_said(reason, by)
        released: list[Stop] = []

        def made(stops: Stops, at: int) -> list[EmergencyEvent]:
            released[:] = [stop for stop in stops.recorded() if not scopes or stop.scope in scopes]
            return [EmergencyReleased(at, *stop.scope, reason, by) for stop in released]

        await self._record(made)
        return released

    async def status(self) -> Stops:
        """What is stopped: in the log, now, and by environment or file in this process and on this host."""
        stops, _ = await asyncio.to_thread(read_stops, self._log)
        return stops.beside(await asyncio.to_thread(self.watch.local.look))

    async def _record(self, made: Made) -> tuple[Stops, Head]:
        while True:
            stops, head = await asyncio.to_thread(read_stops, self._log)
            events = made(stops, self._clock.now())
            if not events:
                return stops, head
            try:
                heads = await self._journal.commit(Unit((Append(EMERGENCY, head, events),)))
            except OwnershipLostError:
                continue  # Somebody else decided something first.
            with suppress(StoreError):  # It is recorded; here too it is seen a moment later.
                await asyncio.to_thread(self.watch.look)
            for event in events:
                stops = stops.after(event)
            return stops, heads[0]


def check_scope(scope: Scope) -> Scope:
    """Raises CallError for a scope that cannot be."""
    kind, name = scope
    if kind == "tenant":
        check_tenant(name)
    elif kind == "queue":
        check_queue(name)
    elif kind == "workflow":
        if not isinstance(name, str) or "#" in name or not is_name(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CallError(Problem("", f"{str(name)[:60]!a} is no workflow type", "name one, without a version"))
    elif kind not in KINDS or name != "":
        raise CallError(Problem("", f"{str(kind)[:60]!a} is no scope", f"choose one of {', '.join(KINDS)}"))
    return scope


def _check_said(reason: str, by: str) -> None:
    check_text("the reason", reason, MAX_REASON)
    check_text("by", by, MAX_LABEL)
