"""The processes of the determinism suite, and what its parts come to: seeds, and replays under stress."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from ..compose import WorkflowEngine
from ..core.errors import StoreRefusedError
from ..core.runtime.registry import SkillRegistry
from ..replay.determinism import SEEDS, WORKERS, mismatches
from ..replay.shadow_workload import KINDS, MODULE

STRESSORS, REPLAYERS, WORKFLOWS = 4, 4, 100
"""Of the replay under stress: processes that only compute, processes that replay, and runs that each replays."""

_MOST_TOLD = 20


def compare_seeds(count: int = SEEDS, workers: int = WORKERS) -> dict[str, Any]:
    """Have every seed run on each of `workers` processes, and tell what they disagree on.

    Every process has another hash seed of Python's own, so an order that depends on it would show.
    """
    began = time.perf_counter()
    cpu = os.times()
    with _children([(f"{n + 1}", "seeds", str(n), str(count)) for n in range(workers)], PIPE) as children:
        outputs = [_output(child) for child in children]
    found = mismatches(outputs, count)
    ended = os.times()
    used = sum(ended[:4]) - sum(cpu[:4])
    return {
        "seeds": count,
        "workers": workers,
        "iterations": count * workers,
        "mismatches": len(found),
        "first_mismatches": [each._asdict() for each in found[:_MOST_TOLD]],
        "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(used, 3),
    }


def replay_under_stress(
    database: Path, runs: int, stressors: int = STRESSORS, replayers: int = REPLAYERS
) -> dict[str, Any]:
    """Have each of some processes put all `runs` in `database` to four proofs while others keep the processor busy."""
    began = time.perf_counter()
    with _children([("0", "burn")] * stressors, DEVNULL):
        words = ("prove", str(database))
        with _children([(str(n + 1), *words) for n in range(replayers)], PIPE) as children:
            told = [[json.loads(line) for line in _output(child).splitlines()] for child in children]
    bad: list[dict[str, Any]] = [each for proofs in told for each in proofs if each["verdict"] != "equal"]
    hashes = [{each["run_id"]: each["workflow_hash"] for each in proofs} for proofs in told]
    unlike = [run for run in hashes[0] if len({each.get(run) for each in hashes}) > 1]
    missing = sum(max(runs - len(each), 0) for each in hashes)
    return {
        "stress_processes": stressors,
        "replay_workers": replayers,
        "workflows": runs,
        "replays": sum(map(len, told)),
        "mismatches": len(bad) + len(unlike) + missing,
        "first_mismatches": bad[:_MOST_TOLD] + [{"run_id": run, "verdict": "unlike"} for run in unlike[:_MOST_TOLD]],
        "seconds": round(time.perf_counter() - began, 3),
    }


async def record_runs(database: Path, count: int) -> int:
    """Record `count` runs of the kinds of the shadow simulation that need nobody else; how many runs that makes with
    their children and successors."""
    kinds = [kind for kind in KINDS if not kind.signals and "timers" not in kind.name]
    async with WorkflowEngine(f"sqlite:///{database}", suite_skills()) as engine:
        chosen = [(kinds[number % len(kinds)], number) for number in range(count)]
        await asyncio.gather(
            *(engine.run(kind.what, f"{kind.name}-{number}", number, kind.inputs) for kind, number in chosen)
        )
        return len(engine.store.streams("default"))


def suite_skills() -> SkillRegistry:
    """The ready skills and those of the shadow simulation."""
    skills = SkillRegistry()
    skills.load_module(MODULE)
    return skills


def start_child(words: Sequence[str], hash_seed: str = "0", output: int = DEVNULL) -> Popen[bytes]:
    """A process of the suite; it ends when its standard input does."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-P", "-m", "refold", "certify", "child", *words]
    return Popen(command, stdin=PIPE, stdout=output, env=environment, start_new_session=True)


@contextmanager
def _children(wanted: Sequence[Sequence[str]], output: int) -> Generator[list[Popen[bytes]]]:
    """Processes, each with its hash seed and its words; whatever is left of them at the end is killed."""
    children: list[Popen[bytes]] = []
    try:
        for hash_seed, *words in wanted:
            children.append(start_child(words, hash_seed, output))
        yield children
    finally:
        for child in children:
            end_child(child)


def end_child(child: Popen[bytes]) -> None:
    """Make sure that it has ended, at whatever point."""
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


def _output(child: Popen[bytes]) -> bytes:
    data = child.stdout.read() if child.stdout is not None else b""
    if child.wait() != 0:
        raise StoreRefusedError(f"a process of the suite ended with {child.returncode}")
    return data
