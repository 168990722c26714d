"""Runs that cost, wait, fail, are paused and cut: what the projections that grow have something to say of."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from refold import Failure, SkillRegistry, WorkflowEngine, gather, run_workflow, skill, sleep, wait_signal, workflow
from refold.eventstore.log import EventLog
from refold.eventstore.store import Store
from refold.projections.approvals import ApprovalsProjection
from refold.projections.costs import CostsProjection
from refold.projections.failures import FailuresProjection
from refold.projections.model import GrowingProjection
from refold.projections.timeline import TimelineProjection

from .histories import histories
from .own_codes import OWN_CODES
from .projected import Tables, fill, rows_of
from .workflows import until

GROWING: list[type[GrowingProjection]] = [
    FailuresProjection,
    CostsProjection,
    TimelineProjection,
    ApprovalsProjection,
]
"""The projections that grow."""


@skill("paid", cost_cents=0.1, failures=OWN_CODES)
async def paid(text: str) -> str:
    """Costs a tenth of a cent, also where it fails."""
    if text == "leaky":
        raise Failure("MADE_UP", "no: password=hunter2 at https://ada:hunter2@host/\0", retryable=False)
    return text


@skill("stubborn", cost_cents=2)
async def stubborn() -> None:
    """Never works."""
    raise Failure("SKILL_ERROR", "never", retryable=True)


@workflow("busy")
async def busy(seconds: float = 0.0) -> Any:
    """Calls that cost side by side, a timer, a child, a signal and one that fails."""
    await gather(paid("a"), paid("b"))
    await sleep(seconds)
    await run_workflow("small", {})
    said = await wait_signal("go")
    try:
        await paid("leaky")
    except Failure:
        return said
    return None


@workflow("small")
async def small() -> str:
    """A child."""
    return await paid("child")


def spec_of(name: str, cents: float) -> dict[str, Any]:
    """A spec with a step that costs, one that fails after two more tries, and one that depends on it."""
    return {
        "workflow_type": name,
        "steps": [
            {"step_id": "first", "skill_id": "echo", "estimated_cost_cents": cents},
            {
                "step_id": "bad",
                "skill_id": "stubborn",
                "depends_on": ["first"],
                "max_retries": 2,
                "retry": {"initial_seconds": 0, "max_seconds": 0.002},
                "on_error": "skip",
            },
            {"step_id": "never", "skill_id": "echo", "depends_on": ["bad"]},
        ],
    }


def shop_skills() -> SkillRegistry:
    """The skills and workflows of this module."""
    skills = SkillRegistry()
    skills.register(paid)
    skills.register(stubborn)
    for each in (busy, small):
        skills.add_workflow(each)
    return skills


async def add_busy(store: Store, runs: int, seed: int, prefix: str = "b") -> None:
    """Add so many runs of this module, some of them left waiting, cancelled or paused in between."""
    random = Random(seed)
    async with WorkflowEngine(store, shop_skills()) as engine:
        tasks: list[asyncio.Task[Any]] = []
        for number in range(runs):
            run_id, kind = f"{prefix}{number}", number % 4
            if kind == 0:
                chosen = spec_of("priced", random.choice([0, 0.1, 1.5, 7]))
                tasks.append(asyncio.create_task(engine.run(chosen, run_id, agent_id=random.choice([None, "ag\0nt"]))))
                continue
            task = asyncio.create_task(engine.run(busy, run_id, agent_id=random.choice(["one", "two"])))
            stream = f"default/{run_id}"
            await until(lambda stream=stream: waits_for_signal(store, stream))
            if kind == 1:
                await engine.pause(run_id)
                await asyncio.wait([task])
                await engine.signal(run_id, "go", {"n": number})
                tasks.append(asyncio.create_task(engine.resume(run_id)))
            elif kind == 2:
                await engine.cancel(run_id, "token=abcdef")
                tasks.append(task)
            else:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def waits_for_signal(store: Store, stream: str) -> bool:
    """Whether a run of `busy` has come to its signal."""
    return any(getattr(event, "signal", None) == "go" for event in EventLog(store, "").events(stream))


def add_histories(store: Any) -> None:
    """Put every recorded history into a store in memory: events of every kind and version."""
    for history in histories():
        for record in history.records[history.stream]:
            renamed = record._replace(stream=f"default/{history.name.replace('/', '-')}")
            store._log.append(renamed)
            store._streams.setdefault(renamed.stream, []).append(renamed)
            store._starts.setdefault(renamed.stream, len(store._log))
            store._heads[renamed.stream] = history.heads[history.stream]
        store._large.update(history.large)


async def mixed(store: Store, runs: int, seed: int) -> None:
    """Runs of every kind, of this module and of `projected`."""
    await fill(store, runs, seed, prefix=f"m{seed}-")
    await add_busy(store, runs // 2, seed, prefix=f"b{seed}-")


def named(store: Store, projection: str, table: str | None = None) -> list[dict[str, Any]]:
    """The rows of a projection's only table, or of one, by the names of their columns."""
    of = next(each for each in store.tables.generations(projection) if each.active)
    tables: Tables = rows_of(store, projection)
    chosen = of.tables[0] if table is None else of.table(table)
    return [dict(zip(chosen.names, row, strict=True)) for row in tables[chosen.name]]
