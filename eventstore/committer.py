"""Group commit: one thread that writes many units in one transaction and tells each how it went.

While a transaction waits for the disk, the next batch gathers; so the load itself sets the size of the batches. When
the database does not answer, it is unknown whether the last transaction was stored. The same bytes are then submitted
again: the store takes them under its append lock, after whatever was still under way, and either stores them or refuses
them; refused bytes that stand in the store are ours, for every event carries its writer's nonce.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ..core.errors import OwnershipLostError, RefoldError, StoreError, StoreUnreachableError
from ..core.histogram import Histogram
from ..core.ports import Ack
from ..core.runtime.tracing import Tracer
from .append_spans import AppendSpans
from .hints import makes_due
from .sealing import SealedUnit
from .store import Store

_log = logging.getLogger(__name__)

BATCH_UNITS = 512
"""A batch takes no more from the queue once it holds this many units."""

SWITCH_INTERVAL = 0.0002
"""Seconds. With CPython's default of 5 ms a busy main thread lets the committer run only every 5 ms."""


class Work(NamedTuple):
    """A sealed unit, and whom to tell."""

    unit: SealedUnit
    loop: AbstractEventLoop
    done: Callable[[Ack], None]


class Committer:
    """The thread. `patience` is for how many seconds an unanswering database is asked again."""

    def __init__(self, store: Store, owner: str, *, patience: float = 30.0, tracer: Tracer | None = None):
        self._store = store
        self._spans = None if tracer is None else AppendSpans(tracer)
        self._owner = owner
        self._patience = patience
        self._queue: SimpleQueue[Sequence[Work] | None] = SimpleQueue()
        self._deferred: deque[Work] = deque()
        self._closed = self._closing = False
        self.seconds = Histogram()
        """How long transactions took that the store answered."""
        self._thread = threading.Thread(target=self._run, name="refold-committer", daemon=True)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        self._thread.start()

    def submit(self, works: Sequence[Work]) -> None:
        """Queue `works`, in order; the `done` of each is called on its loop."""
        if self._closed:
            _deliver(works, [StoreError("the journal is closed")] * len(works))
        else:
            self._queue.put(works)

    def close(self) -> None:
        """Commit what is queued, then end the thread."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._gather():
            units = [work.unit for work in batch]
            acks = self._answers(units) if self._spans is None else self._spans.around(self._answers, units)
            _deliver(batch, acks)
            self._hint(units)

    def _hint(self, units: list[SealedUnit]) -> None:
        """Let workers know of what became due: after the answers, for whoever waits for them should not wait longer."""
        if makes_due(units, time.time_ns() // 1000):
            try:
                self._store.hint()
            except Exception:  # the thread must survive, and workers look without being told
                _log.debug("no hint was given", exc_info=True)

    def _answers(self, units: list[SealedUnit], *, resubmitted: bool = False) -> list[Ack]:
        try:
            return self._commit(units, resubmitted)
        except StoreUnreachableError as error:
            return [error] * len(units)
        except Exception as error:  # the thread must survive: its callers wait for answers
            if len(units) > 1:
                return self._one_by_one(units)
            if isinstance(error, RefoldError):
                return [error]
            _log.exception("the committer failed")
            return [RefoldError(f"the committer failed: {error!r}")]

    def _one_by_one(self, units: list[SealedUnit]) -> list[Ack]:
        """A unit that cannot be stored at all must not fail those it shared a transaction with."""
        acks: list[Ack] = []
        for unit in units:
            away = acks and isinstance(acks[-1], StoreUnreachableError)
            acks.append(acks[-1] if away else self._answers([unit], resubmitted=True)[0])
        return acks

    def _gather(self) -> list[Work]:
        """The next batch, in order, with no stream twice; empty when it is time to end."""
        batch: list[Work] = []
        streams: set[str] = set()
        again: deque[Work] = deque()

        def add(work: Work) -> None:
            names = [append.stream for append in work.unit.appends]
            if streams.isdisjoint(names):
                batch.append(work)
            else:
                again.append(work)
            streams.update(names)

        while self._deferred:
            add(self._deferred.popleft())
        while len(batch) < BATCH_UNITS:
            try:
                works = self._queue.get(block=not batch and not self._closing)
            except Empty:
                break
            if works is None:
                self._closing = True
                continue
            for work in works:
                add(work)
        self._deferred = again
        return batch

    def _commit(self, units: list[SealedUnit], resubmitted: bool) -> list[Ack]:
        give_up = time.monotonic() + self._patience
        pause = 0.02
        while True:
            try:
                began = time.perf_counter()
                stored = self._store.commit(units, self._owner)
                self.seconds.observe(time.perf_counter() - began)
                return [self._ack(unit, ok, resubmitted) for unit, ok in zip(units, stored, strict=True)]
            except StoreUnreachableError:
                if time.monotonic() + pause > give_up:
                    raise
                resubmitted = True
                time.sleep(pause)
                pause = min(pause * 2, 1.0)

    def _ack(self, unit: SealedUnit, stored: bool, resubmitted: bool) -> Ack:
        if stored or (resubmitted and self._is_stored(unit)):
            return [append.head for append in unit.appends]
        return refusal(unit)

    def _is_stored(self, unit: SealedUnit) -> bool:
        """Whether exactly these bytes stand in the store. One append tells for all: a unit is stored whole."""
        append = unit.appends[0]
        found = self._store.read(append.stream, append.expected.version, len(append.records))
        return found == list(append.records)


def refusal(unit: SealedUnit) -> OwnershipLostError:
    """The answer to a unit that was built on a head which is no longer the stream's."""
    first = unit.appends[0]
    return OwnershipLostError(f"the head of {first.stream} is no longer version {first.expected.version}")


def _deliver(batch: Sequence[Work], acks: Sequence[Ack]) -> None:
    by_loop: dict[AbstractEventLoop, list[tuple[Callable[[Ack], None], Ack]]] = defaultdict(list)
    for work, ack in zip(batch, acks, strict=True):
        by_loop[work.loop].append((work.done, ack))
    for loop, calls in by_loop.items():
        try:
            loop.call_soon_threadsafe(_call_all, calls)
        except RuntimeError:
            _log.debug("an event loop was closed before its commits were answered")


def _call_all(calls: list[tuple[Callable[[Ack], None], Ack]]) -> None:
    for done, ack in calls:
        try:
            done(ack)
        except Exception:  # one run's fault: the others of its batch wait for their answers
            _log.exception("an acknowledgement could not be taken")
