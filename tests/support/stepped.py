"""Engines that move only when a test says so: time in hand, no threads, and the fate of every commit decided before it.

Nothing here is random and nothing waits: the same calls give the same history, so a failing one can be shrunk.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Any

from refold import Limits, OwnershipLostError, WorkflowResult
from refold.core.events import Event
from refold.core.ports import EMPTY, Ack, Head, Unit
from refold.core.runtime.engine import Engine
from refold.eventstore.chain import event_hash
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import SealedUnit, Sealer

from .random_specs import Gates, work_skills

LEASE_SECONDS = 60.0
EPOCH_SECONDS = 1_800_000_000
"""When the clocks in hand begin."""

_MOST_TURNS = 20_000


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until `seconds` is raised, and whose "threads" run on its next turn."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.faults: list[str] = []
        self._turns = 0
        super().__init__(_NeverWaiting(self))
        self.set_exception_handler(lambda _, context: self._note(context))

    def time(self) -> float:
        """The time in hand."""
        return self.seconds

    def settle(self) -> None:
        """Run until nothing is left to do at this time."""
        self._turns = 0
        self.run_forever()

    def turn(self, timeout: float | None) -> None:
        """Count a turn; the loop has come to rest when it would wait."""
        self._turns += 1
        if self._turns > _MOST_TURNS:
            raise AssertionError("the engines never come to rest")
        if timeout is None or timeout > 0:
            self.stop()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call `func` on the next turn: what is due before it comes between, as with a thread."""
        future: asyncio.Future[Any] = self.create_future()

        def call() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_soon(call)
        return future

    def _note(self, context: dict[str, Any]) -> None:
        if "handle" in context:  # a callback raised; what tasks raise, the test looks at itself
            self.faults.append(f"{context['message']}: {context.get('exception')!r}")


class _NeverWaiting(selectors.SelectSelector):
    def __init__(self, loop: SteppedLoop):
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.turn(timeout)
        return super().select(0)


class Fate(Enum):
    """What becomes of an append."""

    STORED = "it is stored and answered"
    CRASH_BEFORE = "its process dies before anything is stored"
    CRASH_AFTER = "its process dies after it was stored, before the answer arrives"
    LOST_BEFORE = "no answer comes, and nothing was stored"
    LOST_AFTER = "no answer comes, though it was stored"


class SteppedJournal:
    """A journal over a store in memory. `fate` befalls the next append; a lost answer is looked for on demand.

    Each answer is compared with the store: a head is given out only for exactly these bytes, a refusal only if none of
    them are there.
    """

    def __init__(self, store: MemoryStore, loop: SteppedLoop, owner: str):
        self.dead = False
        self.fate = Fate.STORED
        self.unanswered: list[tuple[Unit, SealedUnit, Callable[[Ack], None]]] = []
        self._store, self._loop, self._owner = store, loop, owner
        self._sealer = Sealer("stepped", owner)

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Commit `unit`, as far as its fate has it."""
        if self.dead:
            return
        fate, self.fate = self.fate, Fate.STORED
        sealed = self._sealer.seal(unit)
        self.dead = fate in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER)
        stored = fate not in (Fate.CRASH_BEFORE, Fate.LOST_BEFORE) and self._commit(sealed)
        if fate is Fate.STORED:
            self._answer(sealed, stored, done)
        elif not self.dead:
            self.unanswered.append((unit, sealed, done))

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Append and wait."""
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self.append(unit, lambda ack: None if future.done() else future.set_result(ack))
        ack = await future
        if isinstance(ack, BaseException):
            raise ack
        return ack

    def find_answers(self) -> None:
        """Submit again what was not answered, as the committer does: refused bytes that stand in the store are ours."""
        unanswered, self.unanswered = self.unanswered, []
        for _, sealed, done in unanswered:
            self._answer(sealed, self._commit(sealed) or self._is_stored(sealed), done)

    def _commit(self, sealed: SealedUnit) -> bool:
        fits = all(tail(self._store, append.stream) == append.expected for append in sealed.appends)
        stored = self._store.commit([sealed], self._owner)[0]
        assert stored == fits, f"{self._owner} built on {[append.expected for append in sealed.appends]}"
        return stored

    def _is_stored(self, sealed: SealedUnit) -> bool:
        first = sealed.appends[0]
        return self._store.read(first.stream, first.expected.version, len(first.records)) == list(first.records)

    def _answer(self, sealed: SealedUnit, stored: bool, done: Callable[[Ack], None]) -> None:
        for append in sealed.appends:
            ours = [record for record in self._store.read(append.stream) if record in append.records]
            assert ours == (list(append.records) if stored else []), f"{self._owner}: {stored} is the wrong answer"
        heads = [append.head for append in sealed.appends]
        self._loop.call_soon(done, heads if stored else OwnershipLostError("refused"))


def tail(store: MemoryStore, stream: str) -> Head:
    """The head of `stream`, by its records."""
    records = store.read(stream)
    return Head(len(records), event_hash(*records[-1])) if records else EMPTY


class SteppedLog(EventLog):
    """A log whose leases stay when its engine died."""

    journal: SteppedJournal

    def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give the lease up, unless there is nobody left to do so."""
        if not self.journal.dead:
            super().release(stream, due, taken)


class SteppedClock:
    """The time of day in hand."""

    def __init__(self, loop: SteppedLoop):
        self._loop = loop

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return int((EPOCH_SECONDS + self._loop.seconds) * 1_000_000)


class SteppedLife:
    """One engine, from its start to its crash: a process that does what it is asked, and nothing before `settle`.

    `told` is all that its observer was told.
    """

    def __init__(self, store: MemoryStore, loop: SteppedLoop, name: str, parallel: int):
        self.name = name
        self.told: list[tuple[str, int, Event]] = []
        self.gates = Gates()
        self.journal = SteppedJournal(store, loop, name)
        log = SteppedLog(store, name)
        log.journal = self.journal
        self.engine = Engine(
            log,
            self.journal,
            work_skills(self.gates),
            clock=SteppedClock(loop),
            limits=Limits(parallel_steps=parallel),
            lease_seconds=LEASE_SECONDS,
            observer=lambda *told: self.told.append(told),
        )
        self._loop = loop
        self._asked: list[asyncio.Task[WorkflowResult]] = []

    def ask(self, call: Coroutine[Any, Any, WorkflowResult]) -> None:
        """Have the engine do `call`."""
        self._asked.append(self._loop.create_task(call))

    @property
    def busy(self) -> bool:
        """Whether a call has not been answered."""
        return any(not task.done() for task in self._asked)

    def answers(self) -> list[WorkflowResult | BaseException]:
        """What the calls came to that were answered since this was asked last."""
        done = [task for task in self._asked if task.done()]
        self._asked = [task for task in self._asked if not task.done()]
        return [task.exception() or task.result() for task in done if not task.cancelled()]

    def crash(self) -> None:
        """Stop, as SIGKILL would: nothing more is written, and no lease is given back."""
        self.journal.dead = True
        self.journal.unanswered.clear()
        for task in self._asked:
            task.cancel()
