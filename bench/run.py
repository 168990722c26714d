"""`make bench`: Refold's speed beside what this machine allows, measured in the same run; a table, or JSON with --json.

Figures are medians of several rounds. "limit" is the same rows inserted bare beside a busy thread, one bare insert and
commit, the same bytes hashed and parsed, or whatever else the line names. "of limit" is how near Refold comes. The
targets are for two cores. `run.py peers` takes only the comparison with DBOS, in more rounds, `run.py projections` only
the figures of projections, `run.py http` only those of the server, `run.py proving` only those of jobs over many runs,
`run.py policies` only what policies cost.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import limits
import workload
from figures import ROUNDS, Figure, progress_bar, show
from http_figures import http_figures
from http_pages import page_figures
from latency import latency_figures
from merkle import merkle_figure
from peers import CONCURRENCY, peer_figures
from policing import policing_figures
from projecting import projecting_figures
from proving import proving_figures
from resuming import resuming_figures
from scaling import COUNTS, scaling_figures
from verification import verify_all

from refold.compose import tune_process
from refold.tests.support.postgres import temporary_postgres

FEW_ROUNDS = min(ROUNDS, 3)
"""For what takes long."""


def rounds(measure: Callable[[int], float]) -> list[float]:
    """Several measurements."""
    return [measure(number) for number in range(ROUNDS)]


def throughput(name: str, url: Callable[[int], str], bare: Callable[[int, str], float], target: float) -> Figure:
    """Durable steps a second, beside bare inserts of the same rows."""
    steps = workload.RUNS * workload.STEPS
    engine: list[float] = []
    limit: list[float] = []
    for number in range(ROUNDS):
        place = url(number)
        engine.append(steps / workload.run_side_by_side(place))
        limit.append(bare(number, place))
    return Figure(name, "steps/s", engine, statistics.median(limit), target)


def sqlite_figures(folder: Path) -> list[Figure]:
    """Throughput and latency on SQLite."""

    def bare(number: int, url: str) -> float:
        records = workload.stored_records(url)
        work = limits.sqlite_inserts(folder / f"bare-{number}.db", records)
        return len(records) / limits.beside_a_busy_thread(work)

    def url(number: int) -> str:
        return workload.sqlite_url(folder, f"engine-{number}.db")

    wide = throughput("durable steps, SQLite, 500 runs side by side", url, bare, 30_000)
    record = workload.stored_records(url(0))[-1]
    trips = rounds(lambda number: limits.sqlite_round_trip(folder / f"trip-{number}.db", record))
    alone = rounds(lambda number: workload.run_one_by_one(workload.sqlite_url(folder, f"alone-{number}.db")))
    return [wide, alone_figure("SQLite", alone, trips)]


def postgres_figures(place: str) -> list[Figure]:
    """Throughput and latency on PostgreSQL with its default durability."""

    def bare(_: int, url: str) -> float:
        records = workload.stored_records(url)[-(workload.RUNS * (workload.STEPS + 1)) :]
        return len(records) / limits.beside_a_busy_thread(limits.postgres_inserts(url, records))

    wide = throughput("durable steps, PostgreSQL, 500 runs side by side", lambda _: place, bare, 12_000)
    record = workload.stored_records(place)[-1]
    trips = rounds(lambda _: limits.postgres_round_trip(place, record))
    alone = rounds(lambda _: workload.run_one_by_one(place))
    return [wide, alone_figure("PostgreSQL", alone, trips)]


def alone_figure(store: str, alone: list[float], trips: list[float]) -> Figure:
    """One run with nothing beside it, in seconds a step, and bare round trips."""
    trip = statistics.median(trips) * 1e6
    name, values = f"one run alone, {store}", [seconds * 1e6 for seconds in alone]
    return Figure(name, "µs/step", values, trip, 1.5 * trip, higher_is_better=False)


def verification_figure(folder: Path) -> Figure:
    """Chain and fold proofs of stored runs, one core."""
    url = workload.sqlite_url(folder, "engine-0.db")
    records = workload.stored_records(url)
    speed = rounds(lambda _: len(records) / verify_all(records))
    limit = statistics.median(rounds(lambda _: len(records) / limits.hash_and_parse(records)))
    return Figure("chain and fold verification", "events/s", speed, limit, 100_000)


def everything(folder: Path, place: str, projected: str) -> list[Figure]:
    """All figures; `place` and `projected` are empty databases."""
    steps = 7 + FEW_ROUNDS * (len(COUNTS) + 9 + 4 * len(CONCURRENCY))
    with progress_bar(steps) as progress:
        progress("SQLite")
        figures = sqlite_figures(folder)
        progress("verification")
        figures.append(verification_figure(folder))
        figures.append(merkle_figure(folder, FEW_ROUNDS, progress))
        figures += proving_figures(folder, FEW_ROUNDS, progress)
        progress("resuming")
        figures += resuming_figures(folder, FEW_ROUNDS)
        figures += projecting_figures(folder, projected, FEW_ROUNDS, progress)
        progress("PostgreSQL")
        figures += postgres_figures(place)
        figures += policing_figures("SQLite", workload.sqlite_url(folder, "policies.db"), FEW_ROUNDS, progress)
        figures += policing_figures("PostgreSQL", place, FEW_ROUNDS, progress)
        figures += latency_figures("SQLite", workload.sqlite_url(folder, "latency.db"), FEW_ROUNDS, progress)
        figures += latency_figures("PostgreSQL", place, FEW_ROUNDS, progress)
        figures += http_figures(place, FEW_ROUNDS, progress)
        figures += page_figures(place, progress)
        figures += scaling_figures(place, FEW_ROUNDS, progress)
        figures += peer_figures(place, place, FEW_ROUNDS, progress)
    return figures


def main() -> None:
    """Measure and print."""
    tune_process()
    with tempfile.TemporaryDirectory(prefix="refold-bench-") as name, temporary_postgres() as place:
        if "projections" in sys.argv:
            with progress_bar(2) as progress:
                figures = projecting_figures(Path(name), place, FEW_ROUNDS, progress)
        elif "http" in sys.argv:
            with progress_bar(2 * FEW_ROUNDS + 1) as progress:
                figures = http_figures(place, FEW_ROUNDS, progress)
                figures += page_figures(place, progress)
        elif "policies" in sys.argv:
            with progress_bar(2 * FEW_ROUNDS) as progress:
                figures = policing_figures("SQLite", workload.sqlite_url(Path(name), "p.db"), FEW_ROUNDS, progress)
                figures += policing_figures("PostgreSQL", place, FEW_ROUNDS, progress)
        elif "proving" in sys.argv:
            with progress_bar(1) as progress:
                figures = proving_figures(Path(name), FEW_ROUNDS, progress)
        elif "peers" in sys.argv:
            with progress_bar(ROUNDS * 4 * len(CONCURRENCY)) as progress:
                figures = peer_figures(place, place, ROUNDS, progress)
        else:
            with temporary_postgres() as projected:
                figures = everything(Path(name), place, projected)
    show(figures, "--json" in sys.argv)


if __name__ == "__main__":
    main()
