"""How soon an event is at who listens, and how soon lists over a million runs and the page of a long run are there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from uuid import uuid4

import httpx2
from figures import Figure
from http_figures import serving
from workload import chain_spec

from refold import WorkflowEngine, open_store
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.eventstore.tables import Batch
from refold.projections.runs import RUNS, RunsProjection

LISTED = int(os.environ.get("REFOLD_BENCH_LISTED", "1000000"))
"""Runs in the index."""

LONG_STEPS = 5_000
"""Steps of the long run: an event each, beside its start and end."""

STARTS = 100
ASKED = 20
"""So often each list and page is asked for."""

_LEASE_SECONDS = 3600.0
_ROWS = 10_000
_WAITS = {"step_id": "w", "skill_id": "wait_signal", "inputs": {"name": "end"}}
_WAITING = {"workflow_type": "heard", "steps": [_WAITS]}


def page_figures(url: str, progress: Callable[[str], None]) -> list[Figure]:
    """Over the database at `url`, in which nobody keeps an index; 99 of a hundred are as fast as each figure."""
    progress("HTTP, lists and pages")
    asyncio.run(_record_long(url))
    figures: list[Figure] = []
    with closing(open_store(url)) as store, _listed(store), serving(url) as port:
        base = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=base, timeout=60) as client:
            figures.append(_late("first event to a client that listens", _listen(client), 100))
            middle = client.get("/v1/runs").json()["next_cursor"]
            for name, path in (
                ("latest", "/v1/runs"),
                ("next page", f"/v1/runs?cursor={middle}"),
                ("one status", "/v1/runs?status=failed"),
                ("one workflow type", "/v1/runs?workflow_type=type-7"),
                ("one agent and status", "/v1/runs?agent_id=agent-3&status=completed"),
                ("page of the console", "/runs"),
            ):
                figures.append(_late(f"list of {LISTED:,} runs, {name}", _ask(client, path), 100))
            events = client.get("/v1/runs/long").json()["events"]
            figures.append(_late(f"run page of {events:,} events, as HTML", _ask(client, "/runs/long"), None))
    return figures


def _late(name: str, taken: Sequence[float], target: float | None) -> Figure:
    ordered = sorted(taken)
    worst = ordered[int(len(ordered) * 0.99)] * 1000
    return Figure(f"{name}, p99", "ms", [worst], ordered[len(ordered) // 2] * 1000, target, False, "limit: the median")


def _ask(client: httpx2.Client, path: str) -> list[float]:
    taken: list[float] = []
    for _ in range(ASKED):
        began = time.perf_counter()
        client.get(path, headers={"accept": "text/html" if not path.startswith("/v1") else "*/*"}).raise_for_status()
        taken.append(time.perf_counter() - began)
    return taken


def _listen(client: httpx2.Client) -> list[float]:
    """Seconds from asking for a run until its first event has come over the stream of all runs."""
    taken: list[float] = []
    with client.stream("GET", "/v1/events", headers={"accept": "text/event-stream"}) as stream:
        told = (line for line in stream.iter_lines() if line.startswith("data: "))
        for number in range(STARTS):
            began = time.perf_counter()
            client.post("/v1/runs", json={"spec": _WAITING, "run_id": f"heard-{number}"}).raise_for_status()
            while f'heard-{number}"' not in next(told):
                pass
            taken.append(time.perf_counter() - began)
    return taken


async def _record_long(url: str) -> None:
    async with WorkflowEngine(url) as engine:
        await engine.run(chain_spec(LONG_STEPS), "long")


@contextmanager
def _listed(store: Store) -> Generator[None]:
    """An index with `LISTED` runs, whose owner lives as long as this."""
    owner = this_process(uuid4().hex)
    tables = store.tables
    number = tables.create(RUNS.name, RunsProjection.version, RunsProjection.tables)
    if not tables.claim(RUNS.name, number, owner, _LEASE_SECONDS):
        raise SystemExit("the index of the benchmark is somebody else's")
    last = store.last_position()
    position, rows = 0, iter(map(_row, range(LISTED)))
    while batch := list(islice(rows, _ROWS)):
        done = Batch(position, last, 1_800_000_000_000_000, rows={RUNS.name: batch})
        if not tables.write(RUNS.name, number, owner, _LEASE_SECONDS, done):
            raise SystemExit("the index of the benchmark was taken away")
        position = last
    yield
    tables.drop(RUNS.name, number)


def _row(number: int) -> tuple[object, ...]:
    at = 1_800_000_000_000_000 + number * 1_000_000
    status = ("completed", "completed", "completed", "failed", "cancelled")[number % 5]
    values: dict[str, object] = {
        "tenant": "default",
        "run_id": f"listed-{number:07}",
        "workflow_type": f"type-{number % 50}",
        "workflow_version": "1",
        "status": status,
        "agent_id": f"agent-{number % 20}",
        "queue": "default",
        "priority": 0,
        "error_code": "SKILL_ERROR" if status == "failed" else None,
        "started_at": at,
        "updated_at": at + 500_000,
        "ended_at": at + 500_000,
        "events": 10,
        "cost_cents": 0.5,
        "position": number + 1,
    }
    return tuple(values.get(name) for name in RUNS.names)
