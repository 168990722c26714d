"""Goldens to try things on: real runs of all shapes, keys, and recorders of both kinds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from refold import open_store
from refold.core.canonical import canonical_json
from refold.core.hashing import workflow_hash
from refold.core.state import fold
from refold.eventstore.codec import decode
from refold.projections.golden_files import GoldenFolder
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_lines import Golden, end_line, golden_of, start_line
from refold.projections.golden_recorder import GoldenRecorder

from .histories import histories
from .tampering import SPECS, store_runs
from .workflows import events_of

NOW = 2_000_000_000_000_000
"""A time long after every run here, in microseconds."""


@cache
def goldens() -> tuple[Golden, ...]:
    """Of specs and of functions, completed, failed, cancelled, timed out and continued."""
    store = open_store("memory:")
    store_runs(store)
    of_specs = [golden_of(fold(events_of(store, run_id))) for run_id in SPECS]
    recorded = [
        golden_of(fold(decode(record, history.large) for record in history.records[history.stream]))
        for history in histories()
        if history.stream in history.records
    ]
    store.close()
    return tuple({(golden.tenant, golden.run_id): golden for golden in [*recorded, *of_specs]}.values())


def golden(run_id: str) -> Golden:
    """The golden of one of the runs of `tampering.SPECS`."""
    return next(each for each in goldens() if each.run_id == run_id)


def small(run_id: str, tenant: str = "default", ended_at: int = 1_000_000_000_000_000) -> Golden:
    """The golden of a run without steps, of any name."""
    hashed = workflow_hash(run_id, "small", 1, [], True, None)
    lines = [start_line(run_id, tenant, "small#1", 1), end_line("completed", [], hashed)]
    return Golden(tenant, run_id, b"".join(lines), ended_at)


def keys(current: str = "k1", *others: str, retired: dict[str, int] | None = None) -> GoldenKeys:
    """Keys whose secrets follow from their ids."""
    return GoldenKeys(current, {name: name.encode().ljust(32, b"-") for name in (current, *others)}, retired)


def rewritten(line: bytes, **changes: object) -> bytes:
    """A line with other members, canonical again."""
    return canonical_json({**json.loads(line), **changes}) + b"\n"


def write_and_die(folder: str, batches: Sequence[Sequence[Golden]], point: str, at: int) -> None:
    """Write batches, and die by SIGKILL at the `at`th time that a write comes to `point`; for a child process."""
    seen = 0

    def look(where: str) -> None:
        nonlocal seen
        seen += where == point
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    recorder = GoldenRecorder(GoldenFolder(Path(folder), look), keys())
    for batch in batches:
        recorder.write(batch)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in the folder and its folders."""
    return (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
