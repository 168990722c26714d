"""Four worker processes under one policy on PostgreSQL: budgets are exact, rates and places are never exceeded.

REFOLD_BUDGET_ROUNDS says how often; what was measured is printed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from refold import WorkflowEngine, open_store
from refold.core.events import PolicyDecided, StepCompleted, StepFailed
from refold.core.ledger import MILLIONTHS
from refold.core.policy.document import Policy
from refold.eventstore.tiered import TieredStore
from refold.replay.budgets import verify_ledger
from refold.tests.support.crew_child import Spell, read_spells
from refold.tests.support.policed import policy, reserved
from refold.tests.support.workflows import events_of, spec, step

ROUNDS = int(os.environ.get("REFOLD_BUDGET_ROUNDS", "1"))
PROCESSES = 4
PATIENCE_SECONDS = 150

pytestmark = pytest.mark.timeout(ROUNDS * 200 + 60)


class Crew:
    """Worker processes on one store, under one policy."""

    def __init__(self, url: str, rules: Policy, file: Path):
        self.url = url
        self.file = file
        self.killed: dict[int, float] = {}
        self._command = [sys.executable, "-P", "-m", "refold.tests.support.crew_child", url]
        self._command += [orjson.dumps(orjson.loads(rules.canonical)).decode(), str(file)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """One more process."""
        self._processes.append(subprocess.Popen(self._command, stdin=subprocess.PIPE))

    def kill(self, pid: int) -> None:
        """SIGKILL for one of them; another one takes its place."""
        process = next(each for each in self._processes if each.pid == pid)
        self.killed[pid] = time.monotonic()
        process.kill()
        process.communicate()
        self._processes.remove(process)
        self.start()

    def close(self) -> None:
        """Drain all; none may have failed."""
        for process in self._processes:
            process.communicate(timeout=PATIENCE_SECONDS)
        assert [process.returncode for process in self._processes] == [0] * len(self._processes)

    def abandon(self) -> None:
        """Leave nothing behind after a test that failed."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def spells(self) -> list[Spell]:
        """The attempts so far; one that was killed ended, at the earliest, as its process was."""
        found = read_spells(self.file) if self.file.exists() else []
        return [each if each.ended else each._replace(ended=self.killed.get(each.pid)) for each in found]


@contextmanager
def at_work(url: str, rules: Policy, file: Path) -> Iterator[Crew]:
    """Four processes."""
    crew = Crew(url, rules, file)
    try:
        for _ in range(PROCESSES):
            crew.start()
        yield crew
        crew.close()
    finally:
        crew.abandon()


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait until `holds` does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, f"did not come: {what}"
        await asyncio.sleep(0.02)


async def start_runs(url: str, prefix: str, runs: int, steps: int, **inputs: Any) -> list[str]:
    """Record runs of agent Ada, each with steps side by side that may be refused."""
    document = spec(*(step(f"s{n}", "work", on_error="continue", **inputs) for n in range(steps)))
    run_ids = [f"{prefix}{n}" for n in range(runs)]
    async with WorkflowEngine(url) as client:
        for run_id in run_ids:
            await client.start(document, run_id, agent_id="Ada")
    return run_ids


def table(test: str, number: int, *figures: str) -> None:
    """A line of what was measured."""
    print(f"\n{test:<8}round {number + 1:<4}" + "".join(f"{each:>24}" for each in figures), end="")  # noqa: T201


async def test_of_a_thousand_steps_exactly_as_many_run_as_the_budget_pays_for(
    postgres_url: str, tmp_path: Path
) -> None:
    store = open_store(postgres_url)
    assert isinstance(store, TieredStore)
    for number in range(ROUNDS):
        budget = policy(f"exact-{number}", budgets=[{"scope": "tenant", "cents": 700 * (number + 1)}])
        run_ids = await start_runs(postgres_url, f"r{number}-", 50, 20)
        with at_work(postgres_url, budget, tmp_path / f"exact-{number}") as crew:
            if number % 2:  # A worker dies in the middle: its attempts run again under what they hold.
                await until(lambda: len(crew.spells()) > 150, "the crew is at work")
                crew.kill(crew.spells()[-1].pid)
            await until(lambda: not store.dispatch.rows(), "all runs have ended")
        counted: Counter[str] = Counter()
        for run_id in run_ids:
            for event in events_of(store, run_id):
                if isinstance(event, StepCompleted | StepFailed):
                    counted[getattr(event, "error_code", "completed")] += 1
        spells = crew.spells()
        (account,) = store.ledger.accounts("budget/")
        assert counted == {"completed": 700, "BUDGET_EXCEEDED": 300}
        assert (account.spent, account.reserved) == (700 * (number + 1) * MILLIONTHS, 0)
        assert len({spell.key for spell in spells}) == 700 and store.ledger.holds() == []
        assert verify_ledger(store) == []
        seconds = max(spell.began for spell in spells) - min(spell.asked for spell in spells)
        table("budget", number, "700 of 1,000 exactly", f"{len(crew.killed)} killed", f"{1000 / seconds:,.0f} asks/s")
    store.close()


async def test_in_no_window_more_steps_begin_than_the_rate_allows(postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url)
    rate, burst, steps = 50, 10, 160
    for number in range(ROUNDS):
        limited = policy(
            f"rate-{number}", limits=[{"limit": f"l{number}", "rate": {"count": rate, "seconds": 1, "burst": burst}}]
        )
        await start_runs(postgres_url, f"t{number}-", 16, steps // 16)
        with at_work(postgres_url, limited, tmp_path / f"rate-{number}") as crew:
            await until(lambda: not store.dispatch.rows(), "all runs have ended")
        spells = crew.spells()
        assert len(spells) == steps
        check_windows(spells, rate, burst)
        seconds = spells[-1].began - min(spell.asked for spell in spells)
        assert seconds >= (steps - burst) / rate
        table("rate", number, f"{steps} steps", f"{seconds:.2f} s", f"{steps / seconds:.1f} of {rate} steps/s")
    assert not reserved(store)
    store.close()


def check_windows(spells: list[Spell], rate: float, burst: int) -> None:
    """What a token bucket promises, of grants and of beginnings.

    A grant lies somewhere between the ask and the beginning that follows it. So all that were asked for after some
    moment x and had begun by y were granted within [x, y], however late the machine was with anything: at most
    burst + rate * (y - x) of them, and one for the grant at the very edge. What began in a window w was granted in it
    or at most so long before it as a beginning ever lagged behind its ask: that lag is measured, and widens the window.
    """
    lag = max(spell.began - spell.asked for spell in spells)
    for first in spells:
        for last in spells:
            within = last.began - first.asked
            granted = sum(each.asked >= first.asked and each.began <= last.began for each in spells)
            assert within < 0 or granted <= burst + rate * within + 1
        for window in (0.25, 0.5, 1.0, 2.0):
            began = sum(first.began <= each.began < first.began + window for each in spells)
            assert began <= burst + rate * (window + lag) + 1


async def test_no_more_steps_run_at_any_instant_than_there_are_places_though_a_worker_is_killed(
    postgres_url: str, tmp_path: Path
) -> None:
    store = open_store(postgres_url)
    places, steps = 3, 120
    for number in range(ROUNDS):
        limited = policy(f"places-{number}", limits=[{"limit": "seats", "places": places}])
        run_ids = await start_runs(postgres_url, f"p{number}-", 24, steps // 24, ms=10)
        with at_work(postgres_url, limited, tmp_path / f"places-{number}") as crew:
            await until(lambda crew=crew: len(crew.spells()) > steps / 3, "the crew is at work")
            crew.kill(crew.spells()[-1].pid)
            await until(lambda: not store.dispatch.rows(), "all runs have ended")
        spells = crew.spells()
        assert len({spell.key for spell in spells}) == steps and most_at_once(spells) <= places
        ended = sum(isinstance(event, StepCompleted) for run_id in run_ids for event in events_of(store, run_id))
        deferred = sum(
            isinstance(event, PolicyDecided) and event.verdict == "deferred"
            for run_id in run_ids
            for event in events_of(store, run_id)
        )
        assert ended == steps and deferred > 0 and not reserved(store) and store.ledger.holds() == []
        seconds = spells[-1].began - spells[0].began
        table("places", number, f"most at once {most_at_once(spells)} of {places}", f"{steps / seconds:.0f} steps/s")
    store.close()


def most_at_once(spells: list[Spell]) -> int:
    """How many ran at the busiest moment, as the skills saw it."""
    moments = [(spell.began, 1) for spell in spells]
    moments += [(spell.ended, -1) for spell in spells if spell.ended is not None]
    most = running = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most
