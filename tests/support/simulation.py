"""A seeded simulation of one run on a memory store whose engines crash, lose answers and outlive their leases.

Everything random follows from the seed but for the speed of threads. Engines are abandoned as a crash would leave them:
what they would still write is dropped, and their leases are not given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from refold import OwnershipLostError, RunEndedError, RunOwnedError, WorkflowResult
from refold.core.events import Event
from refold.core.ports import Ack, Head, Unit
from refold.core.run_state import RunState
from refold.core.runtime.engine import Engine
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import Sealer

from .random_specs import Gates, work_skills
from .workflows import send

PATIENCE_SECONDS = 30
LEASE_SECONDS = 60.0


class CrashingJournal:
    """A journal that now and then dies before or after a commit, answers late, or has to submit a commit twice."""

    def __init__(self, store: MemoryStore, sealer: Sealer, owner: str, random: Random, trouble: float):
        self.dead = False
        self._store, self._sealer, self._owner = store, sealer, owner
        self._random, self._trouble = random, trouble

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Commit `unit`, or part of what that takes."""
        fate = self._random.random() / self._trouble if self._trouble else 1.0
        if self.dead or fate < 0.3:
            self.dead = True
            return
        sealed = self._sealer.seal(unit)
        stored = self._store.commit([sealed], self._owner)[0]
        if fate < 0.6:
            self.dead = True
            return
        if fate < 0.9:
            # The answer was lost: as the committer does, submit the same bytes again and look whether they are ours.
            again = self._store.commit([sealed], self._owner)[0]
            first = sealed.appends[0]
            found = self._store.read(first.stream, first.expected.version, len(first.records))
            stored = again or found == list(first.records)
        heads = [append.head for append in sealed.appends]
        self._later(self._random.choice((0, 0, 1, 5)), done, heads if stored else OwnershipLostError("refused"))

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Append and wait."""
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self.append(unit, lambda ack: None if future.done() else future.set_result(ack))
        ack = await future
        if isinstance(ack, BaseException):
            raise ack
        return ack

    def _later(self, turns: int, done: Callable[[Ack], None], ack: Ack) -> None:
        loop = asyncio.get_running_loop()
        if self.dead:
            return
        if turns:
            loop.call_soon(self._later, turns - 1, done, ack)
        else:
            loop.call_soon(done, ack)


class CrashingLog(EventLog):
    """A log whose leases stay when its engine died."""

    journal: CrashingJournal

    def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give the lease up, unless there is nobody left to do so."""
        if not self.journal.dead:
            super().release(stream, due, taken)


class Life:
    """One engine, from its start to its crash."""

    def __init__(self, simulation: Simulation, number: int):
        self.observed: list[tuple[str, int, Event]] = []
        self.last_state: RunState | None = None
        sealer = Sealer("simulation")
        owner = f"life-{number}"
        self.journal = CrashingJournal(simulation.store, sealer, owner, simulation.random, simulation.trouble)
        log = CrashingLog(simulation.store, owner)
        log.journal = self.journal
        self.engine = Engine(
            log,
            self.journal,
            work_skills(simulation.gates),
            lease_seconds=LEASE_SECONDS,
            observer=self._observe,
        )
        self.task = asyncio.create_task(simulation.work(self.engine))

    def _observe(self, stream: str, version: int, event: Event) -> None:
        self.observed.append((stream, version, event))
        actor = self.engine._host.actor(stream)  # pyright: ignore[reportPrivateUsage]
        if actor is not None:
            self.last_state = actor.state


class Simulation:
    """One run of `spec`. `trouble` is the share of commits that something happens to, 0 to 1."""

    def __init__(self, seed: int, spec: Mapping[str, Any], *, trouble: float = 0.3, messages: bool = True):
        self.random = Random(f"simulation {seed}")
        self.seed = seed
        self.spec = spec
        self.trouble = trouble
        self.messages = messages
        self.elapsed = 0.0
        self.store = MemoryStore(seconds=lambda: self.elapsed)
        self.gates = Gates()
        self.lives: list[Life] = []

    async def work(self, engine: Engine) -> WorkflowResult:
        """What each engine is asked to do."""
        result = await engine.run(self.spec, "r", self.seed)
        while result.status in ("paused", "running"):
            result = await engine.resume("r")
        return result

    async def run(self) -> WorkflowResult:
        """Let engines live and die until the run has ended; the result as the engine gave it that ended the run."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while True:
                    result = await self._step()
                    if result is not None:
                        return result
            finally:
                for life in self.lives:
                    life.journal.dead = True
                    life.task.cancel()
                await asyncio.gather(*(life.task for life in self.lives), return_exceptions=True)

    @property
    def observed(self) -> list[tuple[str, int, Event]]:
        """All that any engine reported as durable."""
        return [seen for life in self.lives for seen in life.observed]

    async def _step(self) -> WorkflowResult | None:
        for life in self.lives:
            if life.task.done() and not life.journal.dead:
                result = await self._ended(life)
                if result is not None:
                    return result
            elif life.journal.dead:
                life.task.cancel()
        living = [life for life in self.lives if not life.journal.dead]
        if not living or (len(living) < 3 and self.random.random() < 0.01 * self.trouble):
            self.elapsed += 2 * LEASE_SECONDS  # a new engine takes over, whether or not the old one still works
            self.lives.append(Life(self, len(self.lives)))
            # Late crashes must not keep a long run from ever ending.
            self.trouble *= 0.95
        elif self.messages and self.random.random() < 0.01:
            await self._pause()
        elif self.random.random() < 0.5:
            self.gates.release_one(self.random)
        await asyncio.sleep(0 if self.random.random() < 0.9 else 0.0005)
        return None

    async def _ended(self, life: Life) -> WorkflowResult | None:
        life.journal.dead = True
        try:
            result = await life.task
        except (OwnershipLostError, RunOwnedError):
            return None
        return result

    async def _pause(self) -> None:
        """A pause, half of the time with a resume right behind it: sent as another process would."""
        journal = CrashingJournal(self.store, Sealer("sender"), "sender", self.random, 0)
        sender = Engine(EventLog(self.store, "sender"), journal, work_skills(self.gates))
        with suppress(RunEndedError, LookupError):
            if self.random.random() < 0.5:
                await sender.pause("r")
            else:
                send(self.store, "r", "pause", "resume")
