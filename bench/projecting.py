"""Projections: how fast they are built anew, and how far they are behind after a burst, with two processes beside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import limits
import workload
from figures import Figure

from refold import open_store
from refold.core.ports import Record
from refold.core.state import fold
from refold.eventstore.codec import decode
from refold.eventstore.owner import this_process
from refold.ops.cli.helping import helpers_of
from refold.projections.golden_files import GoldenFolder
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_lines import golden_of
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.golden_writing import write_goldens
from refold.projections.projector import known_projections
from refold.projections.rebuild import Rebuild
from refold.projections.runner import lag_of

LOG_RUNS = 20 * workload.RUNS
"""Runs of the log that is built anew: 120,000 events, unless told otherwise."""

BURST_RUNS = 17 * workload.RUNS
"""Runs of a burst: 102,000 events."""

WANTED_EVENTS = 50_000
"""Events a second of a rebuild."""

WANTED_FILES = 2_000
WANTED_LAG_SECONDS = 5.0
REBUILT = ("runs", "checkpoints")
"""Those whose rebuild is measured."""
_GIVE_UP_SECONDS = 120


def projecting_figures(folder: Path, place: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """Rebuilds of a log on SQLite and in the empty database at `place`, goldens, and the lag after bursts."""
    figures: list[Figure] = []
    for store, url in (("SQLite", workload.sqlite_url(folder, "log.db")), ("PostgreSQL", place)):
        progress(f"projections, {store}")
        workload.run_side_by_side(url, LOG_RUNS, workload.RUNS)
        records = workload.stored_records(url)
        parsed = len(records) / limits.hash_and_parse(records)
        for name in REBUILT:
            for processes in sorted({1, len(os.sched_getaffinity(0))}):
                taken = [_rebuild(url, name, processes) for _ in range(rounds)]
                beside = f"{processes} process{'es' if processes > 1 else ''}"
                target = None if processes == 1 else WANTED_EVENTS
                figures.append(Figure(f"rebuild of {name}, {store}, {beside}", "events/s", taken, parsed, target))
        if store == "SQLite":
            figures.append(_goldens(folder, records, parsed, rounds))
        figures += _burst(store, url, folder / f"live-{store}")
    return figures


def _rebuild(url: str, name: str, processes: int) -> float:
    """Events a second of a rebuild that nothing reads; two cores have helpers to start, too."""
    with closing(open_store(url)) as store:
        projection = known_projections()[name]
        owner = this_process(uuid4().hex)
        work = Rebuild(store, projection, owner, start=helpers_of(url), processes=processes, divided_from=1)
        started = time.perf_counter()
        done = work.run()
        seconds = time.perf_counter() - started
        for each in store.tables.generations(name):
            store.tables.drop(name, each.generation)
    return done.events / seconds


def _goldens(folder: Path, records: list[Record], parsed: float, rounds: int) -> Figure:
    """Folding the runs and writing their goldens, durable, into empty folders; one process."""
    streams: dict[str, list[Record]] = {}
    for record in records:
        streams.setdefault(record.stream, []).append(record)
    taken: list[float] = []
    for number in range(rounds):
        recorder = GoldenRecorder(GoldenFolder(folder / f"goldens-{number}"), GoldenKeys("bench", {"bench": bytes(32)}))
        started = time.perf_counter()
        write_goldens(recorder, (golden_of(fold(decode(each, {}) for each in own)) for own in streams.values()))
        taken.append(len(streams) / (time.perf_counter() - started))
    return Figure("goldens of ended runs, one process", "files/s", taken, parsed / (workload.STEPS + 2), WANTED_FILES)


def _burst(store: str, url: str, folder: Path) -> list[Figure]:
    """The engine without and with a projector beside it, and how long that then takes to have taken in everything."""
    alone = BURST_RUNS * workload.STEPS / workload.run_side_by_side(url, BURST_RUNS, workload.RUNS)
    with _projector(url, folder):
        _seconds_until_followed(url)
        beside = BURST_RUNS * workload.STEPS / workload.run_side_by_side(url, BURST_RUNS, workload.RUNS)
        behind = _seconds_until_followed(url)
    burst = f"{BURST_RUNS * (workload.STEPS + 2):,} events"
    return [
        Figure(f"engine beside a projector, {store}", "steps/s", [beside], alone, note="limit: without it"),
        *(
            Figure(f"{name} up again after {burst}, {store}", "s", [seconds], None, WANTED_LAG_SECONDS, False)
            for name, seconds in behind.items()
        ),
    ]


@contextmanager
def _projector(url: str, folder: Path) -> Generator[None]:
    """A projector of everything as a process of its own; goldens go below `folder`."""
    folder.mkdir()
    GoldenKeys("bench", {"bench": bytes(32)}).save(folder / "keys.json")
    places = ["--goldens", str(folder / "goldens"), "--keys", str(folder / "keys.json")]
    command = [sys.executable, "-P", "-m", "refold", "projector", "--database", url, *places]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _seconds_until_followed(url: str) -> dict[str, float]:
    """Seconds until each projection has taken in all there is."""
    started = time.perf_counter()
    found: dict[str, float] = {}
    with closing(open_store(url)) as store:
        while len(found) < len(known_projections()) + 1:  # and goldens
            for of in store.tables.generations():
                if of.name not in found and of.active and of.position and not lag_of(store, of).events:
                    found[of.name] = time.perf_counter() - started
            if time.perf_counter() - started > _GIVE_UP_SECONDS:
                raise SystemExit("the projector does not catch up: the figure would mean nothing")
            time.sleep(0.02)
    return found
