"""Where tests of workflow functions take place: a store, skills, and engines that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from refold import CallError, Limits, SkillRegistry, Workflow, WorkflowEngine, WorkflowResult
from refold.core.events import Event
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.replay.verify import verify_run
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import events_of, soon, topics_of, until


class Stage:
    """A store and the code that runs on it. `called` is what the skill `note` was called with, in every engine."""

    def __init__(self, *workflows: Workflow[..., Any], store: Store | None = None):
        self.store = MemoryStore() if store is None else store
        self.called: list[Any] = []
        self.gates = Gates()
        self.skills = self.registry(*workflows)

    def registry(self, *workflows: Workflow[..., Any]) -> SkillRegistry:
        """The skills of every stage, and these workflows."""
        skills = SkillRegistry()

        @skills.skill("note", inline=True)
        def note(x: Any = None) -> Any:
            self.called.append(x)
            return x

        @skills.skill("gated")
        async def gated(x: Any = None) -> Any:
            self.called.append(x)
            await self.gates()
            return x

        @skills.skill("fail", inline=True)
        def fail(reason: str = "no") -> None:
            raise ValueError(reason)

        for each in workflows:
            skills.add_workflow(each)
        return skills

    def engine(self, *workflows: Workflow[..., Any], limits: Limits | None = None) -> WorkflowEngine:
        """An engine on the store, with these workflows instead of the stage's own if there are any."""
        return WorkflowEngine(self.store, self.registry(*workflows) if workflows else self.skills, limits=limits)

    async def run(
        self, workflow: Workflow[..., Any], inputs: Mapping[str, Any] | None = None, run_id: str = "r", seed: int = 0
    ) -> WorkflowResult:
        """Run to the end, in an engine of its own; the log must prove itself, and replay."""
        async with self.engine() as engine:
            result = await soon(engine.run(workflow, run_id, seed, inputs))
            if result.status in ("completed", "failed"):
                await soon(engine.replay(result.run_id))
        assert verify_run(self.store, run_id).ok
        return result

    @asynccontextmanager
    async def running(
        self, workflow: Workflow[..., Any], run_id: str = "r", **inputs: Any
    ) -> AsyncIterator[tuple[WorkflowEngine, asyncio.Task[WorkflowResult]]]:
        """An engine, and the run under way in it; whatever has not ended is dropped as a crash would drop it."""
        engine = self.engine()
        task = asyncio.create_task(engine.run(workflow, run_id, inputs=inputs))
        try:
            yield engine, task
        finally:
            self.gates.open()
            await soon(engine.close())
            with suppress(CallError):
                await soon(task)

    async def left_waiting(
        self, workflow: Workflow[..., Any], waits: int = 1, run_id: str = "r", **inputs: Any
    ) -> None:
        """Run until so many steps have begun to wait, and let the engine go."""
        async with self.running(workflow, run_id, **inputs) as (_, run):
            await until(lambda: run.done() or self.topics(run_id).count("step.waiting") >= waits)
            assert not run.done() or run.result().status == "parked"

    def events(self, run_id: str = "r") -> list[Event]:
        """The events of a run."""
        return events_of(self.store, run_id)

    def topics(self, run_id: str = "r") -> list[str]:
        """The topics of a run's events."""
        return topics_of(self.store, run_id)

    def proved(self, run_id: str = "r") -> bool:
        """Whether the log holds together and folds to what it says."""
        return verify_run(self.store, run_id).ok
