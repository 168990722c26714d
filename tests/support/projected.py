"""Runs of every kind in a log, and what projections make of them; also what child processes do with both."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from random import Random
from typing import Any
from uuid import uuid4

from refold import (
    Failure,
    WorkflowEngine,
    gather,
    open_store,
    run_workflow,
    set_attribute,
    skill,
    wait_signal,
    workflow,
)
from refold.core.state import evolve, fold, start
from refold.eventstore.codec import decode, open_envelope, references
from refold.eventstore.log import EventLog
from refold.eventstore.owner import this_process
from refold.eventstore.sealing import SealedUnit
from refold.eventstore.store import Store
from refold.projections.model import FollowedRun, GrowingProjection, Projection
from refold.projections.parts import work_parts
from refold.projections.projector import known_projections
from refold.projections.rebuild import Rebuild
from refold.projections.runner import Runner, generation, generation_for

from .own_codes import OWN_CODES
from .random_specs import Gates, random_spec, work_skills
from .units import Writer
from .workflows import until

Tables = dict[str, list[tuple[Any, ...]]]
"""All rows of a generation, by table."""


@skill(deterministic=True, failures=OWN_CODES)
async def double(n: int) -> int:
    """Twice as much."""
    if n == 13:
        raise Failure("UNLUCKY", "no", retryable=False)
    return 2 * n


@workflow("tripled")
async def tripled(n: int) -> list[int]:
    """Attributes, calls side by side, and a call that may fail."""
    set_attribute("n", n)
    set_attribute("text", f"é\0{n}")
    both = await gather(double(n), double(n + 1))
    if n % 2:
        set_attribute("text", None)
    return [*both, await double(n + 2)]


@workflow("parental")
async def parental(n: int) -> Any:
    """A run with a child."""
    return await run_workflow("tripled", {"n": n})


@workflow("patient")
async def patient() -> Any:
    """A run that waits for a signal that does not come."""
    return await wait_signal("never")


async def fill(store: Store, runs: int, seed: int, prefix: str = "m") -> None:
    """Add so many runs to the log: specs, functions, children, and some that wait."""
    random = Random(seed)
    gates = Gates()
    gates.open()
    skills = work_skills(gates)
    skills.register(double)
    for each in (tripled, parental, patient):
        skills.add_workflow(each)
    async with WorkflowEngine(store, skills) as engine:
        waiting: list[asyncio.Task[Any]] = []
        going: list[Any] = []
        for number in range(runs):
            run_id, kind = f"{prefix}{number}", number % 5
            if kind < 2:
                going.append(engine.run(random_spec(random), run_id, random.getrandbits(50)))
            elif kind == 4:
                waiting.append(asyncio.create_task(engine.run(patient, run_id)))
            else:
                chosen = tripled if kind == 2 else parental
                going.append(engine.run(chosen, run_id, inputs={"n": random.randint(1, 15)}))
        await asyncio.gather(*going)
        log = EventLog(store, "")
        for number in range(4, runs, 5):
            await until(lambda stream=f"default/{prefix}{number}": len(log.events(stream)) > 1)
    await asyncio.gather(*waiting, return_exceptions=True)


def rows_of(store: Store, name: str) -> Tables:
    """All that the active generation of a projection holds."""
    of = next(each for each in store.tables.generations(name) if each.active)
    return {table.name: store.tables.rows(of, table.name, {}, 10**9) for table in of.tables}


def wanted_rows(store: Store, projection: Projection) -> Tables:
    """What a projection's tables must hold, told by folding every run anew, event by event."""
    found: Tables = {table.name: [] for table in projection.tables}
    starts: dict[str, int] = {}
    for position, record in store.follow(0, 10**9):
        if record.stream.count("/") == 1:
            starts.setdefault(record.stream, position)
    for stream in sorted(starts):
        tenant, run_id = stream.split("/")
        events = EventLog(store, "").events(stream)
        if isinstance(projection, GrowingProjection):
            for table, rows in _grown(store, projection, stream, starts[stream]).items():
                found[table] += rows
            continue
        last: Any = {}
        for version in range(1, len(events) + 1):
            if projection.always and version < len(events):
                continue
            state = fold(events[:version])
            run = FollowedRun(stream, tenant, run_id, starts[stream], version, events[version - 1].at, state)
            if projection.is_due(run):
                last = projection.rows(run)
        for table, rows in last.items():
            found[table] += rows
    keys = {table.name: table.key for table in projection.tables}
    return {name: sorted(rows, key=lambda row: row[: keys[name]]) for name, rows in found.items()}


def _grown(store: Store, projection: GrowingProjection, stream: str, position: int) -> Tables:
    """The rows that the events of a run make, one after the other."""
    tenant, run_id = stream.split("/")
    keys = {table.name: table.key for table in projection.tables}
    by_key: dict[str, dict[Any, Any]] = {name: {} for name in keys}
    run: FollowedRun | None = None
    for record in store.read(stream, 0, 10**9):
        envelope = open_envelope(record)
        event = decode(record, store.large(sorted(references([record]))))
        if run is None:
            run = FollowedRun(stream, tenant, run_id, position, 1, event.at, start(event))
        else:
            evolve(run.state, event)
        run.version, run.at, run.build = record.version, event.at, envelope.build
        for table, rows in projection.taken(run, event).items():
            by_key[table].update((row[: keys[table]], row) for row in rows)
    return {name: [tuple(row) for row in rows.values()] for name, rows in by_key.items()}


def caught_up(store: Store, projection: Projection, batch: int = 2000, cached: int = 10_000) -> Runner:
    """A runner that has taken the whole log in, and has let go of it again."""
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of, batch=batch, cached=cached)
    while runner.step():
        pass
    assert runner.of.position == store.last_position(), "somebody else owns it"
    runner.release()
    return runner


def follow_and_die(url: str, name: str, point: str, count: int, batch: int) -> None:
    """Follow the log, and be killed with SIGKILL at the `count`th time that `point` is reached; for child processes."""
    _until_killed(open_store(url), name, point, count, batch)


def _until_killed(store: Store, name: str, point: str, count: int, batch: int) -> None:
    left = [count]

    def reached(here: str) -> None:
        left[0] -= here == point
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    projection = known_projections()[name]
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of, batch=batch, reached=reached)
    while runner.step():
        pass


def rebuild_and_die(url: str, name: str, point: str, count: int, batch: int) -> None:
    """Rebuild a projection and be killed at a point of it; for child processes."""
    left = [count]

    def reached(here: str) -> None:
        left[0] -= here == point
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(url)
    projection = known_projections()[name]
    Rebuild(store, projection, this_process(uuid4().hex), reached=reached, batch=batch).run(compare=True)


def fill_parts_and_die(url: str, name: str, number: int, point: str, count: int, batch: int) -> None:
    """Work off parts of a generation and be killed at the `count`th time that `point` is reached; 0: never."""
    left = [count]

    def reached(here: str) -> None:
        left[0] -= here == point
        if left[0] == 0 and here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(url)
    of = generation(store, name, number)
    work_parts(store, known_projections()[name], this_process(uuid4().hex), of, batch=batch, reached=reached)
    store.close()


def append_slowly(url: str, writer: int, appends: int, threads: int) -> None:
    """Append so many events from several threads at once, many or few in a transaction; for child processes."""
    shared = open_store(url, migrate=False) if url.startswith("sqlite") else None

    def work(thread: int) -> None:
        random = Random(writer * 1000 + thread)
        store = shared or open_store(url, migrate=False)
        name = f"w{writer}-{thread}"
        hand = Writer(name)
        left, number = appends // threads, 0
        while left > 0:
            units: list[SealedUnit] = []
            for _ in range(min(left, random.choice((1, 5, 50)))):
                number += 1
                begins = number % 2 == 1
                run_id = f"{name}-{number if begins else number - 1}"
                units.append(hand.run(run_id) if begins else hand.one(f"default/{run_id}/inbox"))
            assert all(store.commit(units, name))
            left -= len(units)
            time.sleep(random.random() * 0.002)
        if store is not shared:
            store.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    if shared is not None:
        shared.close()
