"""Four processes share a ledger: it grants exactly what there is, whoever is killed, and wherever.

REFOLD_LEDGER_SEED begins another series.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from refold import open_store
from refold.core.ledger import Limit
from refold.core.ports import Unschedule
from refold.eventstore.store import Store
from refold.tests.support.ledger_process import BUDGET, PLACES, RATE, draw, spend, take_places
from refold.tests.support.units import Writer, said

SEED = int(os.environ.get("REFOLD_LEDGER_SEED", "0"))
NAMES = ("a", "b", "c", "d")

_processes = multiprocessing.get_context("forkserver")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the schema."""
    _processes.set_forkserver_preload([spend.__module__])
    where: str = (
        request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/store.db"
    )
    open_store(where).close()
    yield where


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


def started(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    process = _processes.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


@pytest.mark.timeout(110)
def test_of_a_thousand_asks_for_one_of_seven_hundred_exactly_seven_hundred_are_granted(
    url: str, store: Store, tmp_path: Path
) -> None:
    said_to = tmp_path / "granted"
    crew = [started(spend, url, name, 250, 700, said_to) for name in NAMES]
    for process in crew:
        process.join()
    each = [int(line) for line in said_to.read_text().split()]
    assert len(each) == 4 and sum(each) == 700
    (account,) = store.ledger.accounts(BUDGET)
    assert account.reserved == 700 == sum(hold.amount for hold in store.ledger.holds())


@pytest.mark.timeout(110)
def test_four_processes_draw_what_a_rate_allows_in_any_window(url: str, tmp_path: Path) -> None:
    limit, seconds, path = Limit(RATE, "rate", 1, 10, 0.05, waits=True), 4.0, tmp_path / "drawn"
    crew = [started(draw, url, name, limit, seconds, path) for name in NAMES]
    for process in crew:
        process.join()
    drawn = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]
    first, last = min(before for before, _ in drawn), max(after for _, after in drawn)
    for start, first_end in drawn:
        for end in (after for _, after in drawn if after >= first_end):
            within = sum(before >= start and after <= end for before, after in drawn)
            assert within <= 10 + (end - start) / 0.05 + 1
    assert len(drawn) >= (last - first) / 0.05 / 2, "tokens went to waste while processes waited for them"


@pytest.mark.timeout(110)
def test_never_are_more_places_taken_than_there_are_whoever_is_killed(url: str, store: Store, tmp_path: Path) -> None:
    places, runs = 3, 25
    crew = {name: started(take_places, url, name, 1, runs, places, tmp_path, SEED) for name in NAMES}
    killed = 0
    deadline = time.monotonic() + 100
    while crew:
        assert time.monotonic() < deadline, f"seed {SEED}: they stand still: {store.ledger.holds()}"
        _check(store, places)
        for name, process in list(crew.items()):
            if process.is_alive():
                continue
            process.join()
            del crew[name]
            lines = (tmp_path / name).read_text().split()
            if lines[-1] == "done":
                continue
            assert process.exitcode == -9, f"seed {SEED}: it ended with {process.exitcode}"
            killed += 1
            _end(store, f"default/{name}-{lines[-1]}")
            crew[name] = started(take_places, url, name, int(lines[-1]) + 1, runs, places, tmp_path, SEED)
    assert killed >= 10, f"seed {SEED}: only {killed} were killed, which proves too little"
    assert not (tmp_path / "too many").exists(), f"seed {SEED}: {(tmp_path / 'too many').read_text()}"
    assert store.ledger.holds() == []
    assert [account.reserved for account in store.ledger.accounts(PLACES)] == [0]


def _check(store: Store, places: int) -> None:
    granted = [hold for hold in store.ledger.holds() if hold.granted]
    assert len(granted) <= places, f"seed {SEED}: {granted}"
    for account in store.ledger.accounts(PLACES):
        assert 0 <= account.reserved <= places, f"seed {SEED}: {account}"


def _end(store: Store, stream: str) -> None:
    """End a run that a killed process has left, as whoever takes it up would."""
    writer = Writer(f"end of {stream}")
    writer.heads = store.heads([stream])
    if writer.heads:
        store.commit([writer.unit((stream, [said()]), dispatch=[Unschedule(stream)])], "me")
    of_stream = [hold for hold in store.ledger.holds() if hold.stream == stream]
    assert of_stream == [], f"seed {SEED}: the run has ended and still holds {of_stream}"
