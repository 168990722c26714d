"""How many requests a second the server answers and how soon, beside a route of FastAPI that does nothing."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen, run

from figures import Figure
from http_load import Load
from workload import chain_spec

from refold import WorkflowEngine

REQUESTS = 1_000
"""Of each measurement."""

_HERE = Path(__file__).parent
_HOST = "HTTP/1.1\r\nHost: localhost\r\n"


def http_figures(url: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """Starts and looks, at ten clients and at a hundred; the limit is the bare route with as many clients."""
    asyncio.run(_record(url))
    found: dict[str, list[Load]] = {}
    with serving(url) as port:
        _load(port, 10, [_get("/bare")] * 200)
        for number in range(rounds):
            for clients in (10, 100):
                progress(f"HTTP, {clients} clients")
                label = f"{time.time_ns():x}-{number}-{clients}"
                starts = [_start(f"{label}-{n}") for n in range(REQUESTS)]
                for name, requests in (
                    ("bare", [_get("/bare")] * REQUESTS),
                    ("POST /v1/runs", starts),
                    ("GET /v1/runs/{id}", [_get("/v1/runs/ten")] * REQUESTS),
                ):
                    found.setdefault(f"{name}, {clients} clients", []).append(_load(port, clients, requests))
    figures: list[Figure] = []
    for clients, late in ((10, 30.0), (100, 250.0)):
        bare = statistics.median(each.per_second for each in found[f"bare, {clients} clients"])
        for name, target in (("POST /v1/runs", 1_000), ("GET /v1/runs/{id}", 1_500)):
            loads = found[f"{name}, {clients} clients"]
            rate = [each.per_second for each in loads]
            wanted = target if clients == 100 else None
            figures.append(Figure(f"{name}, {clients} clients", "/s", rate, bare, wanted, note="limit: bare FastAPI"))
            if name.startswith("POST"):
                p99 = [each.p99 for each in loads]
                figures.append(Figure(f"{name}, {clients} clients, p99", "ms", p99, None, late, higher_is_better=False))
    return figures


async def _record(url: str) -> None:
    """A run of ten events."""
    async with WorkflowEngine(url) as engine:
        await engine.run(chain_spec(8), "ten")


@contextmanager
def serving(url: str) -> Generator[int]:
    """A server over the database at `url`, in a process of its own; its port."""
    process = Popen([sys.executable, "-P", _HERE / "http_child.py", url], stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _load(port: int, clients: int, requests: list[bytes]) -> Load:
    command = [sys.executable, "-P", _HERE / "http_load.py", str(port), str(clients)]
    data = b"".join(len(each).to_bytes(4, "big") + each for each in requests)
    found = Load(**json.loads(run(command, input=data, stdout=PIPE, timeout=300, check=True).stdout))
    if not found.statuses.keys() <= {"200", "201"}:
        raise SystemExit(f"the server of the benchmark answered {found.statuses}")
    return found


def _get(path: str) -> bytes:
    return f"GET {path} {_HOST}\r\n".encode()


def _start(run_id: str) -> bytes:
    body = json.dumps({"spec": chain_spec(3).to_json(), "run_id": run_id}).encode()
    head = f"POST /v1/runs {_HOST}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
