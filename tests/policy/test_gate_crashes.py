"""Workers under a policy are killed at every step between the wish for an attempt and the run's end.

Whoever takes the runs up completes them, and in the end nothing is held and each attempt was paid once.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from refold import WorkflowEngine, open_store
from refold.core.events import PolicyDecided, StepCompleted
from refold.eventstore.tiered import TieredStore
from refold.replay.budgets import verify_ledger
from refold.tests.support.gate_child import POINTS, SPEC, Point, skills_of, work
from refold.tests.support.policed import OUTCOMES, cost_in_the_log, proved, reserved, spent
from refold.tests.support.workflows import events_of, topics_of

TENANT, AGENT = "budget/tenant/default/total", "budget/agent/Ada/total"

_processes = multiprocessing.get_context("forkserver")


@pytest.mark.timeout(240)
async def test_kills_on_sqlite(tmp_path: Path) -> None:
    await campaign(f"sqlite:///{tmp_path}/log.db", tmp_path)


@pytest.mark.timeout(240)
async def test_kills_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    await campaign(postgres_url, tmp_path)


async def campaign(url: str, folder: Path) -> None:
    """A run for each point: its worker dies there, and the next one takes it up beside its own."""
    _processes.set_forkserver_preload([work.__module__])
    store = open_store(url)
    assert isinstance(store, TieredStore)
    runs = {f"r{number}": point for number, point in enumerate(POINTS)}
    async with WorkflowEngine(store) as client:
        for run_id, point in runs.items():
            await client.start(SPEC, run_id, agent_id="Ada")
            assert killed(url, folder, run_id, point) == -9, f"{point} was not reached"
            assert verify_ledger(store) == [], point
            assert all(amount >= 0 for amount in reserved(store).values())
    assert killed(url, folder, "", None) == 0
    for run_id, point in runs.items():
        try:
            check(store, folder, run_id)
        except AssertionError as error:
            raise AssertionError(f"{run_id}, killed {point}: {error}") from error
    assert await proved(store, skills_of(None), *runs)
    assert spent(store, TENANT) == spent(store, AGENT) == cost_in_the_log(store, *runs)
    store.close()


def killed(url: str, folder: Path, run_id: str, point: Point | None) -> int | None:
    """The exit code of a worker that dies where it is told to."""
    process: ForkServerProcess = _processes.Process(target=work, args=(url, str(folder), run_id, point), daemon=True)
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{point}: it stands still: {open_store(url).ledger.holds()}")
    return process.exitcode


def check(store: TieredStore, folder: Path, run_id: str) -> None:
    """Each attempt was granted, ended and paid once, whatever was called again."""
    events = events_of(store, run_id)
    assert topics_of(store, run_id)[-1] == "run.completed"
    ended = Counter((event.index, event.attempt) for event in events if isinstance(event, OUTCOMES))
    assert set(ended.values()) == {1} and len(ended) == 5
    granted = Counter((e.index, e.attempt) for e in events if isinstance(e, PolicyDecided) and e.verdict == "allowed")
    assert granted == ended
    called = Counter(line for line in (folder / "called").read_text().splitlines() if line.startswith(f"{run_id} "))
    assert called[f"{run_id} once 1"] <= 1
    once = next(event for event in events if isinstance(event, OUTCOMES) and event.step_id == "once")
    cost = 3 + 3 + 2.5 + 1.25 + (4 if isinstance(once, StepCompleted) else 0)
    assert cost_in_the_log(store, run_id) == cost
