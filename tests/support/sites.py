"""Where tests of waits and workers take place: stores, skills, and workers at work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from refold import SkillRegistry, StoreUnreachableError, Worker, WorkflowEngine, open_store
from refold.core.events import StepCompleted, StepFailed
from refold.core.runtime.context import StepContext
from refold.core.runtime.wait import Wait
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import events_of, soon, topics_of, until

LEASE_SECONDS = 2.0


class Site:
    """One database, a client that starts runs in it, and as many workers as are asked for."""

    def __init__(self, url: str):
        self.url = url
        self.store = open_store(url)
        self.client = WorkflowEngine(self.store)
        self.gates = Gates()
        self.started: list[str] = []
        self.skills = self.registry(self.gates)

    def registry(self, gates: Gates, label: str = "") -> SkillRegistry:
        """Skills that wait at `gates` and output `label`."""
        skills = SkillRegistry()

        @skills.skill("gated")
        async def gated(name: str = "") -> str:
            self.started.append(name + label)
            await gates()
            return name + label

        return skills

    @asynccontextmanager
    async def worker(
        self, skills: SkillRegistry | None = None, store: Any = None, **options: Any
    ) -> AsyncIterator[Worker]:
        """A worker at work, drained at the end."""
        options = {"lease_seconds": LEASE_SECONDS, **options}
        worker = Worker(self.url if store is None else store, skills or self.skills, **options)
        work = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.drain()
            self.gates.open()
            await soon(work)

    def topics(self, run_id: str = "r") -> list[str]:
        """What is recorded of a run."""
        return topics_of(self.store, run_id)

    async def ended(self, *run_ids: str) -> None:
        """Wait until all of the runs have ended."""
        await until(
            lambda: all(self.topics(run_id)[-1].startswith("run.") and self._over(run_id) for run_id in run_ids)
        )

    def _over(self, run_id: str) -> bool:
        return self.topics(run_id)[-1] in ("run.completed", "run.failed", "run.cancelled", "run.timed_out")

    def proved(self, run_id: str = "r") -> bool:
        """Whether the log folds to what it says, with one outcome for each step."""
        outcomes = Counter(e.index for e in events_of(self.store, run_id) if isinstance(e, StepCompleted | StepFailed))
        return verify_run(self.store, run_id).ok and max(outcomes.values(), default=1) == 1

    def due(self, stream: str = "default/r") -> float:
        """When a run is due, in seconds."""
        return next(row.due_at for row in self.store.dispatch.rows() if row.stream == stream)


class Waits:
    """A store, and runs that wait in it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.skills = SkillRegistry()
        self.called: list[str] = []

        @self.skills.skill("wait_as_told", inline=True, cost_cents=3)
        def wait_as_told(ctx: StepContext, seconds: float | None = None, signal: str | None = None) -> Wait:
            self.called.append(ctx.step_id)
            return Wait(seconds, signal, "waited")

        @self.skills.skill("fail", inline=True)
        def fail() -> None:
            raise ValueError("no")

    def engine(self) -> WorkflowEngine:
        """Another engine on the store."""
        return WorkflowEngine(self.store, self.skills)

    def waiting(self, run_id: str = "r", number: int = 1) -> Callable[[], bool]:
        """Whether so many steps of the run began to wait."""
        return lambda: self.topics(run_id).count("step.waiting") >= number

    def topics(self, run_id: str = "r") -> list[str]:
        """What is recorded of a run; nothing yet is nothing."""
        return topics_of(self.store, run_id)

    def proved(self, run_id: str = "r") -> bool:
        """Whether the log holds together and folds to what it says."""
        verification = verify_run(self.store, run_id)
        return verification.ok


class Through:
    """A store, or its dispatch tables, with some calls replaced."""

    def __init__(self, inner: Any, **replaced: Any):
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced[name] if name in self._replaced else getattr(self._inner, name)


class Outage:
    """A store that can be away: then every call of it, or of its dispatch tables, fails."""

    def __init__(self, inner: Any, away: Callable[[], bool]):
        self._inner = inner
        self._away = away

    @property
    def dispatch(self) -> Outage:
        """The tables, as far away as the store."""
        return Outage(self._inner.dispatch, self._away)

    @property
    def queries(self) -> Outage:
        """The questions to workers, as far away as the store."""
        return Outage(self._inner.queries, self._away)

    @property
    def ledger(self) -> Outage:
        """Budgets, rates and places, as far away as the store."""
        return Outage(self._inner.ledger, self._away)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._away():
                raise StoreUnreachableError("the test has cut the connection")
            return getattr(self._inner, name)(*arguments, **named)

        return call
