"""`make bench`: Refold's speed beside what this machine allows, measured in the same run; a table, or JSON with --json.

Figures are medians of several rounds. "limit" is the same rows inserted bare beside a busy thread, one bare insert and
commit, or the same bytes hashed and parsed. "of limit" is how near Refold comes. The targets are for two cores.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import limits
import workload
from rich.console import Console
from rich.table import Table
from verification import verify_all

from refold.compose import tune_process
from refold.tests.support.postgres import temporary_postgres

ROUNDS = int(os.environ.get("REFOLD_BENCH_ROUNDS", "5"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report. `higher_is_better` tells how value, limit and target compare."""

    name: str
    unit: str
    value: float
    limit: float
    target: float
    higher_is_better: bool = True

    @property
    def of_limit(self) -> float:
        """How near the limit: 1 is at it; for times, how many times the bare one."""
        return self.value / self.limit

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.higher_is_better else self.value <= self.target


def rounds(measure: Callable[[int], float]) -> float:
    """The median of several measurements."""
    return statistics.median(measure(number) for number in range(ROUNDS))


def throughput(name: str, url: Callable[[int], str], bare: Callable[[int, str], float], target: float) -> Figure:
    """Durable steps a second, beside bare inserts of the same rows."""
    steps = workload.RUNS * workload.STEPS
    engine: list[float] = []
    limit: list[float] = []
    for number in range(ROUNDS):
        place = url(number)
        engine.append(steps / workload.run_side_by_side(place))
        limit.append(bare(number, place))
    return Figure(name, "steps/s", statistics.median(engine), statistics.median(limit), target)


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
    trip = rounds(lambda number: limits.sqlite_round_trip(folder / f"trip-{number}.db", record)) * 1e6
    alone = rounds(lambda number: workload.run_one_by_one(workload.sqlite_url(folder, f"alone-{number}.db"))) * 1e6
    return [wide, Figure("one run alone, SQLite", "µs/step", alone, trip, 1.5 * trip, higher_is_better=False)]


def postgres_figures() -> list[Figure]:
    """Throughput and latency on PostgreSQL with its default durability."""
    with temporary_postgres() as place:

        def bare(_: int, url: str) -> float:
            records = workload.stored_records(url)[-(workload.RUNS * (workload.STEPS + 1)) :]
            return len(records) / limits.beside_a_busy_thread(limits.postgres_inserts(url, records))

        wide = throughput("durable steps, PostgreSQL, 500 runs side by side", lambda _: place, bare, 12_000)
        record = workload.stored_records(place)[-1]
        trip = rounds(lambda _: limits.postgres_round_trip(place, record)) * 1e6
        alone = rounds(lambda _: workload.run_one_by_one(place)) * 1e6
    return [wide, Figure("one run alone, PostgreSQL", "µs/step", alone, trip, 1.5 * trip, higher_is_better=False)]


def verification_figure(folder: Path) -> Figure:
    """Chain and fold proofs of stored runs, one core."""
    url = workload.sqlite_url(folder, "engine-0.db")
    records = workload.stored_records(url)
    speed = rounds(lambda _: len(records) / verify_all(records))
    limit = rounds(lambda _: len(records) / limits.hash_and_parse(records))
    return Figure("chain and fold verification", "events/s", speed, limit, 100_000)


def main() -> None:
    """Measure and print."""
    tune_process()
    with tempfile.TemporaryDirectory(prefix="refold-bench-") as name:
        folder = Path(name)
        figures = [*sqlite_figures(folder), verification_figure(folder), *postgres_figures()]
    if "--json" in sys.argv:
        print(json.dumps([asdict(f) | {"of_limit": f.of_limit, "met": f.met} for f in figures], indent=2))
        return
    table = Table(title=f"Refold on {os.cpu_count()} cores, Python {platform.python_version()}, {ROUNDS} rounds")
    for column in ("figure", "value", "limit", "of limit", "target", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for f in figures:
        target = f"{f.target:,.0f}"
        met = "met" if f.met else "missed"
        table.add_row(f.name, f"{f.value:,.0f} {f.unit}", f"{f.limit:,.0f}", f"{f.of_limit:.2f}", target, met)
    Console().print(table)


if __name__ == "__main__":
    main()
