"""A worker under a policy that kills itself at a named point of an attempt's way: asked, recorded, run, settled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refold import Failure, SkillRegistry, StepContext, Worker, open_store
from refold.core.ledger import Answer, Request
from refold.eventstore.sealing import SealedUnit

from .ledger_process import say
from .policed import policy
from .sites import Through
from .workflows import spec, step

POLICY = policy(
    budgets=[{"scope": "tenant", "cents": 10_000}, {"scope": "agent", "name": "Ada", "cents": 10_000}],
    limits=[{"limit": "all", "per": ["tenant"], "places": 3, "rate": {"count": 1000}}],
)

SPEC = spec(
    step("flaky", "flaky", max_retries=1, retry={"initial_seconds": 0}),
    step("charge", "charge"),
    step("once", "once", on_error="continue"),
    step("then", "pay", depends_on=["flaky", "charge"]),
)


class Point(NamedTuple):
    """Where to die: the name of the point, and when it is reached for the `nth` time."""

    name: str
    nth: int


POINTS = [
    *(Point("before the ask", nth) for nth in (1, 2)),
    *(Point("after the ask", nth) for nth in (1, 2, 3)),
    *(Point("before the record", nth) for nth in (1, 2)),
    *(Point("after the record", nth) for nth in (1, 2, 3)),
    *(Point("in the skill", nth) for nth in (1, 2, 3, 4, 5)),
    *(Point("before the outcome", nth) for nth in (1, 2, 3)),
    *(Point("after the outcome", nth) for nth in (1, 2, 3)),
    Point("before the end", 1),
    Point("after the end", 1),
]
"""Every step between the wish for an attempt and the end of the run; of most more than one occurrence."""

_OUTCOMES = {"step.completed", "step.failed", "step.attempt_failed"}


class _Fate:
    """Counts what is reached of one run, and kills the process where it was told to."""

    def __init__(self, stream: str, point: Point | None):
        self._stream = stream
        self._point = point
        self._seen = 0

    def reached(self, name: str, streams: Sequence[str]) -> None:
        """The run may have come to a point."""
        if self._point is None or name != self._point.name or self._stream not in streams:
            return
        self._seen += 1
        if self._seen == self._point.nth:
            os.kill(os.getpid(), signal.SIGKILL)


class _Ledger:
    """The store's ledger, with points before and after each ask."""

    def __init__(self, inner: Any, fate: _Fate):
        self._inner = inner
        self._fate = fate

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        streams = [request.stream for request in requests]
        self._fate.reached("before the ask", streams)
        answers = self._inner.ask(requests)
        self._fate.reached("after the ask", streams)
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def skills_of(folder: Path | None, fate: _Fate | None = None) -> SkillRegistry:
    """The skills of SPEC; each call leaves a line in `folder`, and is a point."""
    registry = SkillRegistry()

    def begun(ctx: StepContext) -> None:
        if folder is not None:
            say(folder / "called", ctx.run_id, ctx.step_id, ctx.attempt)
        if fate is not None:
            fate.reached("in the skill", [f"default/{ctx.run_id}"])

    @registry.skill("flaky", cost_cents=3)
    async def flaky(ctx: StepContext) -> int:
        begun(ctx)
        if ctx.attempt == 1:
            raise Failure("SKILL_ERROR", "the first time", retryable=True)
        return ctx.attempt

    @registry.skill("charge", cost_cents=3)
    def charge(ctx: StepContext) -> None:
        begun(ctx)
        ctx.charge(2.5)

    @registry.skill("once", at_most_once=True, cost_cents=4)
    async def once(ctx: StepContext) -> None:
        begun(ctx)

    @registry.skill("pay", deterministic=True, cost_cents=1.25)
    async def pay(ctx: StepContext) -> str:
        begun(ctx)
        return ctx.run_id

    return registry


def work(url: str, folder: str, run_id: str, point: Point | None) -> None:
    """Work on all runs until they have ended, or until `run_id` comes to the point; the entry point of the child."""
    asyncio.run(_work(url, Path(folder), _Fate(f"default/{run_id}", point)))


async def _work(url: str, folder: Path, fate: _Fate) -> None:
    store = open_store(url, migrate=False)

    def commit(units: Sequence[SealedUnit], owner: str) -> list[bool]:
        points = [(point, [each.stream]) for unit in units for each in unit.appends for point in _points(each.records)]
        for point, streams in points:
            fate.reached(f"before {point}", streams)
        done = store.commit(units, owner)
        for point, streams in points:
            fate.reached(f"after {point}", streams)
        return done

    ledger: Any = _Ledger(store.ledger, fate)
    watched: Any = Through(store, commit=commit, ledger=ledger)
    worker = Worker(watched, skills_of(folder, fate), policy=POLICY, lease_seconds=5)
    running = asyncio.create_task(worker.run())
    while await asyncio.to_thread(store.dispatch.rows):  # noqa: ASYNC110 (another process may end the last one)
        await asyncio.sleep(0.02)
    worker.drain()
    await running
    store.close()


def _points(records: Sequence[Any]) -> set[str]:
    topics = {record.topic for record in records}
    found = {"the record"} if "policy.decided" in topics else set[str]()
    if topics & _OUTCOMES:
        found.add("the outcome")
    if "run.completed" in topics:
        found.add("the end")
    return found
