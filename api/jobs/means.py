"""What jobs are worked on with, handed over by whoever wires it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ...core.runtime.engine import Engine
from ...core.runtime.job_control import HeldJob
from ...eventstore.store import Store
from ...projections.helpers import StartHelper
from ...projections.model import Projection
from ...replay.certificate import Signs
from ...replay.fleet import Order
from ...replay.jobs import Crew

TELL_SECONDS = 1.0
"""How often the log is told how far a job is, at most."""


@dataclass(frozen=True)
class Means:
    """`engine` executes nothing. `crew` is who proves the runs of an order; `code` is what proves
    (`refold.replay.today.code_of`), `kind` the kind of store. `key` signs certificates, if there is one. `projections`
    are those that can be rebuilt here, `start` what starts processes for that, and `processes` how many. `by` is who
    works."""

    engine: Engine
    store: Store
    by: str
    kind: str
    code: Mapping[str, Any]
    crew: Callable[[Order], AbstractContextManager[Crew]]
    key: Callable[[], Signs | None]
    projections: Callable[[], Mapping[str, Projection]]
    start: StartHelper | None = None
    processes: int = 1


class StopAskedError(Exception):
    """The job is to stop."""


class Working:
    """A job that is being worked on: how far it is goes to its log now and then. `tell` is called from threads.

    `told` gathers what is to be told next.
    """

    def __init__(self, held: HeldJob, means: Means):
        self.held = held
        self.means = means
        self.done = held.job.done
        self.total = held.job.total or 0
        self.failed = held.job.failed
        self.told: dict[str, list[Any]] = {}
        self.to_stop = False
        self._loop = asyncio.get_running_loop()
        self._last = time.monotonic()

    @property
    def what(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self.held.job.asked.what.value

    def add(self, name: str, values: Sequence[Any]) -> None:
        """Have `values` told with the next progress, in the list `name`."""
        if values:
            self.told.setdefault(name, []).extend(values)

    @property
    def is_due(self) -> bool:
        """Whether the log has not been told for a while."""
        return time.monotonic() - self._last >= TELL_SECONDS

    async def progress(self) -> None:
        """Tell the log how far it is. Raises OwnershipLostError."""
        told, self.told = self.told, {}
        self._last = time.monotonic()
        await self.held.progress(self.done, self.total, self.failed, told)

    async def heed(self, *, at_once: bool = False) -> None:
        """Tell the log if that is due. Raises StopAskedError, having told it, when the job is to stop."""
        if at_once or self.is_due or self.to_stop:
            await self.progress()
        if self.to_stop:
            raise StopAskedError

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done on the event loop, from a thread; raises what it raises."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
