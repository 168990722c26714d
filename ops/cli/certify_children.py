"""What the processes of the determinism suite do; they end when their standard input does."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import NoReturn

from ...compose import WorkflowEngine, open_store, tune_process
from ...core.errors import CallError, Problem
from ...core.ids import run_of
from ...replay.determinism import digests, in_order, order_of
from ...replay.fault_workload import fault_skills
from ...replay.proving import Prover
from ..certify_processes import suite_skills
from .faults import OK
from .output import write_json


def be_child(words: Sequence[str]) -> int:
    """Do what the first of `words` says with the others; returns the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    role, *given = words
    roles: dict[str, Callable[..., None]] = {"seeds": _seeds, "prove": _prove, "burn": _burn, "once": _once}
    if role not in roles:
        raise CallError(Problem("", f"there is no role {role[:40]!a}", f"one of {', '.join(roles)}"))
    roles[role](*given)
    return OK


def _seeds(worker: str, count: str) -> None:
    tune_process()
    sys.stdout.buffer.write(in_order(digests(order_of(int(worker), int(count)))))
    sys.stdout.buffer.flush()


def _prove(database: str) -> None:
    async def work() -> None:
        with closing(open_store(f"sqlite:///{database}", migrate=False)) as store:
            prover = Prover(store, suite_skills())
            for stream in store.streams("default"):
                proof = await prover.prove(run_of(stream)[1])
                write_json({"run_id": proof.run_id, "verdict": proof.verdict, "workflow_hash": proof.workflow_hash})

    tune_process()
    asyncio.run(work())


def _burn() -> NoReturn:
    """Keep a core busy until killed."""
    while True:
        sum(range(10_000))


def _once(database: str, run_id: str, marker: str) -> None:
    """Begin a run whose only step says by the file `marker` that it runs, and waits to be killed."""

    async def work() -> None:
        async with WorkflowEngine(f"sqlite:///{database}", fault_skills()) as engine:
            step = {"step_id": "faulty", "skill_id": "fault_once", "inputs": {"marker": marker}}
            await engine.run({"workflow_type": "fault", "steps": [step]}, run_id)

    asyncio.run(work())


def _end_with_parent() -> None:
    """Whoever started us holds the other end of stdin, and nobody else: when it ends, in whatever way, so do we."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(1)
