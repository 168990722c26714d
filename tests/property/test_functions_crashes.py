"""Random workflow functions, killed at every event boundary: what they come to is what they would have undisturbed."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from refold import (
    RefoldError,
    SkillRegistry,
    StepFailedError,
    WorkflowEngine,
    WorkflowResult,
    call,
    gather,
    now,
    random,
    run_workflow,
    sleep,
    uuid,
    wait_signal,
    workflow,
)
from refold.core.events import Event, StepCompleted, StepFailed
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.workflows import events_of, soon

Plan = list[Any]
"""A node of a program: its kind, and what it is made of."""


def plan_of(chance: Random, depth: int = 0) -> Plan:
    """A random tree of calls, gathers, sleeps, signals, children and errors that are caught."""
    kinds = ["call", "call", "sleep", "signal", "fail", "draw"]
    if depth < 3:
        kinds += ["seq", "gather", "try", "child", "seq", "gather"]
    kind = chance.choice(kinds) if depth else "seq"
    if kind in ("seq", "gather"):
        return [kind, *(plan_of(chance, depth + 1) for _ in range(chance.randint(1, 4)))]
    if kind in ("try", "child"):
        return [kind, plan_of(chance, depth + 1)]
    return [kind, chance.randrange(1000)]


async def interpret(plan: Plan, trail: list[Any]) -> Any:
    """Do what a plan says; `trail` is shared by all branches, so it tells in which order they ran."""
    kind, *parts = plan
    trail.append(kind)
    if kind == "seq":
        return [await interpret(part, trail) for part in parts]
    if kind == "gather":
        return await gather(*(interpret(part, trail) for part in parts))
    if kind == "try":
        try:
            return await interpret(parts[0], trail)
        except StepFailedError as error:
            return await call("note", x=[error.step_code, error.step_id])
        finally:
            await call("note", x="finally")
    if kind == "child":
        return await run_workflow(planned, {"plan": parts[0]})
    if kind == "draw":
        return [random(), str(uuid())]
    if kind == "fail":
        return await call("fail")
    if kind == "sleep":
        before = now()
        await sleep(0)
        assert now() >= before
        return None
    if kind == "signal":
        try:
            return await wait_signal("never", timeout=0)
        except TimeoutError:
            return "nothing came"
    return await call("note", x=parts[0])


@workflow
async def planned(plan: Plan) -> Any:
    trail: list[Any] = []
    return [await interpret(plan, trail), sorted(trail)]


class Killer:
    """Kills the engine when the log of the run and its children has so many events."""

    def __init__(self, at: int):
        self.left = at
        self.dead = asyncio.Event()

    def __call__(self, stream: str, version: int, event: Event) -> None:
        self.left -= 1
        if self.left == 0:
            self.dead.set()
            raise RuntimeError("killed")


def skills() -> SkillRegistry:
    known = SkillRegistry()

    @known.skill("note", inline=True, deterministic=True)
    def note(x: Any) -> Any:
        return x

    @known.skill("fail", inline=True)
    def fail() -> None:
        raise ValueError("no")

    known.add_workflow(planned)
    return known


async def undisturbed(plan: Plan) -> tuple[WorkflowResult, int]:
    """What the plan comes to, and how many events it and its children take."""
    counted: list[Event] = []
    store = MemoryStore()
    async with WorkflowEngine(store, skills(), observer=lambda *told: counted.append(told[2])) as engine:
        result = await soon(engine.run(planned, "r", seed=7, inputs={"plan": plan}))
    return result, len(counted)


async def killed(plan: Plan, boundaries: list[int]) -> tuple[WorkflowResult, MemoryStore]:
    """The same, with engines that die at these numbers of events, each time another one."""
    store = MemoryStore()
    for boundary in boundaries:
        killer = Killer(boundary)
        engine = WorkflowEngine(store, skills(), observer=killer)
        run = asyncio.create_task(engine.run(planned, "r", seed=7, inputs={"plan": plan}))
        dying = asyncio.create_task(killer.dead.wait())
        await soon(asyncio.wait([run, dying], return_when=asyncio.FIRST_COMPLETED))
        dying.cancel()
        await soon(engine.close())
        with suppress(RefoldError, RuntimeError):
            await soon(run)
    async with WorkflowEngine(store, skills()) as engine:
        result = await soon(engine.run(planned, "r", seed=7, inputs={"plan": plan}))
        await soon(engine.replay("r"))
    return result, store


@pytest.mark.timeout(100)
@pytest.mark.parametrize("seed", range(16))
async def test_a_function_killed_at_every_event_comes_to_the_same(seed: int) -> None:
    chance = Random(seed)
    plan = plan_of(chance)
    expected, events = await undisturbed(plan)
    runs = [[at] for at in range(2, min(events, 12) + 1)]
    runs.append([chance.randint(2, max(events // 2, 2)) for _ in range(4)])
    for boundaries in runs:
        result, store = await killed(plan, boundaries)
        told = f"seed {seed}, killed at {boundaries}, plan {plan}"
        assert (result.status, result.output) == (expected.status, expected.output), told
        assert result.step_hashes == expected.step_hashes, told
        assert result.workflow_hash == expected.workflow_hash, told
        for stream in store.heads([f"default/{run_id}" for run_id in _runs_in(store)]):
            run_id = stream.removeprefix("default/")
            outcomes = [e.index for e in events_of(store, run_id) if isinstance(e, StepCompleted | StepFailed)]
            assert max(Counter(outcomes).values(), default=1) == 1, told
            assert verify_run(store, run_id).ok, told


def _runs_in(store: MemoryStore) -> list[str]:
    streams = {each.record.stream for each in store.follow(0, 100_000)}
    return [stream.removeprefix("default/") for stream in streams if not stream.endswith("/inbox")]
