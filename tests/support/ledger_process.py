"""What processes do to a ledger that they share. They append what they saw to files, a system call a line."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path
from random import Random

from refold import open_store
from refold.core.ledger import Answer, Deferred, Granted, Limit, Request
from refold.core.ports import Settle, Unschedule
from refold.eventstore.store import Store

from .units import Writer, said

PLACES = "places/tenant/default"
BUDGET = "budget/tenant/default/total"
RATE = "rate/tenant/default"

KILL_POINTS = ("before the ask", "after the ask", "before the settlement", "after the settlement")
"""Where a process kills itself."""


def say(path: Path, *words: object) -> None:
    """Append a line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


def spend(url: str, name: str, asks: int, capacity: int, path: Path) -> None:
    """Ask that often for one of a budget, each time for another step, some of them twice; say how many were granted."""
    store = open_store(url, migrate=False)
    stream = f"default/{name}"
    store.commit([Writer(name).run(name)], name)
    granted = 0
    for step in range(asks):
        request = Request(stream, str(step), 1, [Limit(BUDGET, "budget", 1, capacity)])
        again = [request] * (1 + step % 2)
        granted += store.ledger.ask(again)[-1] == Granted()
    say(path, granted)
    store.close()


def draw(url: str, name: str, limit: Limit, seconds: float, path: Path) -> None:
    """Draw tokens, one after another, coming back when told to; say before which moment and after which each came."""
    store = open_store(url, migrate=False)
    store.commit([Writer(name).run(name)], name)
    begun = time.time()
    step = 0
    while time.time() < begun + seconds:
        step += 1
        request = Request(f"default/{name}", str(step), 1, [limit])
        while True:
            before = time.time()
            (answer,) = store.ledger.ask([request])
            if not isinstance(answer, Deferred):
                break
            time.sleep(max(answer.until / 1e6 - time.time(), 0))
        say(path, before, time.time())
    store.close()


def take_places(url: str, name: str, first: int, last: int, limit: int, folder: Path, seed: int) -> None:
    """Runs number `first` to `last`, each of which takes a place and gives it back; some kill the process."""
    store = open_store(url, migrate=False)
    for number in range(first, last + 1):
        run_id = f"{name}-{number}"
        random = Random(f"{seed} {run_id}")
        fatal = random.choice(KILL_POINTS) if random.random() < 0.3 else None
        say(folder / name, number)
        _take_place(store, run_id, Limit(PLACES, "concurrency", 1, limit, 0.0, waits=True), folder, fatal)
    say(folder / name, "done")
    store.close()


def _take_place(store: Store, run_id: str, limit: Limit, folder: Path, fatal: str | None) -> None:
    stream, writer = f"default/{run_id}", Writer(run_id)
    store.commit([writer.run(run_id)], run_id)

    def reached(point: str) -> None:
        if point == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    reached("before the ask")
    while isinstance(answer := _ask(store, stream, limit), Deferred):
        time.sleep(max(answer.until / 1e6 - time.time(), 0))
    reached("after the ask")
    place = _occupied(folder, limit.capacity)
    if place is None:
        say(folder / "too many", run_id)
    else:
        time.sleep(0.002)
        os.close(place)
    reached("before the settlement")
    store.commit([writer.unit((stream, [said()]), ledger=[Settle(stream, "1", 1, 0)])], run_id)
    reached("after the settlement")
    store.commit([writer.unit((stream, [said()]), dispatch=[Unschedule(stream)])], run_id)


def _ask(store: Store, stream: str, limit: Limit) -> Answer:
    return store.ledger.ask([Request(stream, "1", 1, [limit])])[0]


def _occupied(folder: Path, places: int) -> int | None:
    """A file of `places` that nobody else holds; the kernel lets go of it when its holder dies."""
    for number in range(places):
        file = os.open(folder / f"place-{number}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            os.close(file)
    return None
