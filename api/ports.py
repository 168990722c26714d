"""What the API is handed by whoever wires it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request

from ..core.runtime.engine import Engine
from ..core.runtime.scheduling.schedules import Schedules
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from ..projections.run_counts import RunCounts, StatusCounts
from ..projections.worker_reports import WorkerReport, reports
from .admission import Admission
from .gathered import Gathered
from .kept import Kept
from .live import LiveLog
from .metrics_text import Metrics
from .places import Places
from .readiness import Readiness
from .run_looks import LongRunError, Seen, Wanted, look, looks
from .shared import Shared
from .traffic import Traffic
from .watch import EndWatch

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Ports:
    """The engine must be one that executes nothing; `build` is what the server says of its version."""

    engine: Engine
    store: Store
    build: str
    watch: EndWatch
    live: LiveLog
    places: Places
    readiness: Readiness
    admission: Admission = field(default_factory=Admission)
    traffic: Traffic = field(default_factory=Traffic)
    metrics: Metrics = field(default_factory=Metrics)
    counts: Kept[RunCounts] = field(default_factory=Kept[RunCounts])
    status_counts: Kept[StatusCounts] = field(default_factory=Kept[StatusCounts])

    @cached_property
    def workers(self) -> Shared[list[WorkerReport]]:
        """The workers as they stand, looked for once for all who want to know at the same time."""

        async def look() -> list[WorkerReport]:
            return await self.ask(reports, self.store)

        return Shared(look)

    @cached_property
    def runs(self) -> Gathered[Wanted, Seen]:
        """Looks at runs that are not long, together."""
        return Gathered(self.admission, partial(looks, self.store))

    async def look(self, wanted: Wanted) -> Seen:
        """A run as it stands. Raises RunNotFoundError, and IntegrityError when its log cannot be folded."""
        try:
            return await self.runs.get(wanted)
        except LongRunError:
            return await self.ask(look, self.store, wanted)

    def close(self) -> None:
        """Let everybody go who waits for something, as the server is to stop."""
        self.watch.close()
        self.live.close()

    async def ask(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` answers, off the event loop. All that asks the store or takes its time goes through here.

        Raises Refusal (503) when too much is under way.
        """
        return await self.admission.ask(partial(call, *args, **kwargs))

    def end(self) -> None:
        """Begin nothing more: the server has stopped."""
        self.close()
        self.readiness.close()
        self.metrics.close()
        self.admission.close()

    @property
    def schedules(self) -> Schedules:
        """The schedules of the store."""
        return Schedules(self.engine, EventLog(self.store, ""), self._needing)

    def _needing(self, needs: str) -> list[str]:
        return [row.stream for row in self.store.dispatch.rows() if row.needs == needs]


async def ports_of(request: Request) -> Ports:
    """The ports of the application that answers `request`."""
    return request.app.state.ports


Given = Annotated[Ports, Depends(ports_of)]
"""The ports, as a route's parameter."""
