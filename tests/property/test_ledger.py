"""Stores answer any requests, settlements, top-ups and ends of runs just as the simplest of ledgers does.

REFOLD_LEDGER_SEED begins another series; a failure names its seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from refold import open_store
from refold.core.ledger import Limit, Request
from refold.core.ports import Settle, TopUp, Unschedule
from refold.eventstore.ledger import SQLLedger
from refold.eventstore.ledger_memory import MemoryLedger
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.tests.support.ledger_model import ModelLedger
from refold.tests.support.units import Writer, said

FIRST_SEED = int(os.environ.get("REFOLD_LEDGER_SEED", "0"))
BUDGETS = ("budget/a/x/total", "budget/b/x/total")
BEGIN = 1_800_000_000


class Game:
    """A store and the model, to which the same things happen, `seed` says which. Time is in its hand."""

    def __init__(self, store: Store, seed: int):
        self.store = store
        self.random = Random(seed)
        self.writer = Writer()
        self.model = ModelLedger(now=BEGIN * 1_000_000)
        self.runs = 0
        self.seconds = float(BEGIN)
        self.mark = f"{seed}"
        for _ in range(3):
            self.start()

    def start(self) -> None:
        """A run begins."""
        self.runs += 1
        name = f"{self.mark}-{self.runs}"
        self.store.commit([self.writer.run(name)], "me")
        self.model.live.add(f"default/{name}")

    def pass_time(self) -> None:
        """Up to half a minute, in steps that binary fractions hold exactly."""
        self.seconds += self.random.choice((0, 0.125, 0.5, 2, 8, 32))
        self.model.now = int(self.seconds * 1_000_000)
        ledger = self.store.ledger
        if isinstance(ledger, MemoryLedger):
            ledger._seconds = lambda: self.seconds
        else:
            assert isinstance(ledger, SQLLedger)
            ledger._dialect = ledger._dialect._replace(now=f"({self.seconds})")

    def limits(self) -> list[Limit]:
        """Some of the accounts, in any order."""
        random = self.random
        waits = random.random() < 0.7
        choice = [
            Limit(self.name(BUDGETS[0]), "budget", random.randint(0, 30), 100, 0.0, waits),
            Limit(self.name(BUDGETS[1]), "budget", random.randint(0, 30), 60, 0.0, random.random() < 0.5),
            Limit(self.name("places/a/x"), "concurrency", 1, 2, 0.0, waits),
            Limit(self.name("places/b/x"), "concurrency", random.randint(1, 2), 3, 0.0, waits),
            Limit(self.name("rate/a/x"), "rate", random.randint(1, 2), 4, 0.25, waits),
        ]
        return random.sample(choice, random.randint(1, 4))

    def name(self, account: str) -> str:
        """Of this game alone."""
        return f"{account}-{self.mark}"

    def ask(self) -> None:
        """Some attempts ask, old and new ones, in one call."""
        random = self.random
        streams = [*sorted(self.model.live), f"default/{self.mark}-1"]
        requests = [
            Request(random.choice(streams), str(random.randint(0, 4)), random.choice((1, 1, 1, 2, 3)), self.limits())
            for _ in range(random.randint(1, 5))
        ]
        assert self.store.ledger.ask(requests) == [self.model.ask(request) for request in requests]

    def ask_again(self) -> None:
        """Those who wait come back."""
        for wish in [each for each in self.model.wishes if not each.granted and each.until <= self.model.now]:
            if self.random.random() < 0.8:
                request = Request(wish.stream, wish.step, wish.attempt, self.limits())
                assert self.store.ledger.ask([request]) == [self.model.ask(request)]

    def commit(self) -> None:
        """A run goes on, or ends, with what that does to the ledger; sometimes on a head that it has not."""
        random = self.random
        stream = random.choice(sorted(self.model.live) or ["default/nobody"])
        changes = [
            Settle(stream, str(random.randint(0, 4)), random.choice((1, 1, 2)), random.randint(0, 40))
            for _ in range(random.randint(0, 3))
        ]
        tops = [TopUp(self.name(random.choice(BUDGETS)), random.randint(-20, 50))] if random.random() < 0.2 else []
        ends = random.random() < 0.25 and stream in self.model.live
        refused = random.random() < 0.2
        writer = Writer("stale") if refused else self.writer
        if refused:
            self.writer.heads.setdefault(stream, writer.one(stream).appends[0].head)
        unit = writer.unit((stream, [said()] * 3), dispatch=[Unschedule(stream)] if ends else [], ledger=changes + tops)
        stored = self.store.commit([unit], "me")[0]
        if not stored:
            return
        seen: set[tuple[str, int]] = set()
        for change in changes:
            if (change.step, change.attempt) not in seen:
                self.model.settle(*change)
            seen.add((change.step, change.attempt))
        for change in tops:
            self.model.extra[change.account] = self.model.extra.get(change.account, 0) + change.amount
        if ends:
            self.model.end(stream)
            self.start()

    def withdraw(self) -> None:
        """A step gives up."""
        stream, step = self.random.choice(sorted(self.model.live)), str(self.random.randint(0, 4))
        self.store.ledger.withdraw(stream, step)
        mine = self.model.wish_of(stream, step)
        if mine is not None:
            self.model.wishes.remove(mine)

    def play(self, moves: int) -> None:
        """So many moves, after each of which the store holds what the model does."""
        for _ in range(moves):
            self.pass_time()
            self.random.choice(
                (self.ask, self.ask, self.ask, self.ask_again, self.commit, self.commit, self.withdraw)
            )()
            assert [
                hold for hold in self.store.ledger.holds() if hold.account.endswith(f"-{self.mark}")
            ] == self.model.holds()
            for account in self.store.ledger.accounts():
                assert not account.name.endswith(f"-{self.mark}") or self.model.agrees_with(account), account


def play(store: Store, games: int, moves: int) -> None:
    """Games with growing seeds."""
    for seed in range(FIRST_SEED, FIRST_SEED + games):
        try:
            Game(store, seed).play(moves)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_in_memory() -> None:
    play(MemoryStore(), 60, 60)


@pytest.mark.timeout(110)
def test_on_sqlite(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    play(store, 10, 60)
    store.close()


@pytest.mark.timeout(110)
def test_on_postgres(postgres_url: str) -> None:
    store = open_store(postgres_url)
    play(store, 10, 60)
    store.close()
