"""What a campaign of sleeping runs measured, and how it is read off the log and the process."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from statistics import quantiles

import orjson
import psutil

from refold.core.ports import Record
from refold.eventstore.store import Store

MEGABYTE = 1_000_000


@dataclass(slots=True)
class Figures:
    """One campaign. `late` is, for each kind of runs, in seconds from the time that was waited for, or the sending of
    the signal, to the step's outcome."""

    store: str
    runs: int
    started_per_second: float = 0
    seconds_to_sleep: float = 0
    megabytes_max: float = 0
    megabytes_asleep: float = 0
    cpu_percent_asleep: float = 0
    kills: int = 0
    woken: int = 0
    twice: int = 0
    late: dict[str, Spread] = field(default_factory=dict[str, "Spread"])

    def report(self) -> str:
        """The figures as lines for a person, then as one line of JSON."""
        named = asdict(self)
        late = named.pop("late")
        lines = [f"{name.replace('_', ' '):<22}{_shown(value):>12}" for name, value in named.items()]
        for kind, found in late.items():
            lines.append(f"{f'late, {kind}':<22}" + "".join(f"{_shown(v):>12} {name}" for name, v in found.items()))
        return "\n".join([*lines, json.dumps({**named, "late": late})])


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values, and where they lie."""

    number: int
    p50: float
    p99: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """Of two values at least."""
    cuts = quantiles(values, n=100, method="inclusive")
    return Spread(len(values), round(cuts[49], 4), round(cuts[98], 4), round(max(values), 4))


class Memory:
    """The resident memory of a process, looked at all the time on a thread until `stop`; `highest` in bytes."""

    def __init__(self, pid: int):
        self.highest = 0
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def now(self) -> int:
        """Bytes at this moment."""
        return self._process.memory_info().rss

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        times = self._process.cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        """To be called before the process ends."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        # A worker that ends by itself is noticed by those who wait for it.
        with suppress(psutil.NoSuchProcess):
            while not self._stopped.wait(0.05):
                self.highest = max(self.highest, self.now())


@dataclass(slots=True)
class Awakening:
    """What the log says of one run: when its wait was to end, when it was answered and woken, and how often."""

    until: int | None = None
    sent: int | None = None
    woken: int = 0
    topics: Counter[str] = field(default_factory=Counter[str])

    def take(self, record: Record) -> None:
        """Take in one event of the run or of its inbox."""
        envelope = orjson.loads(record.state)
        self.topics[record.topic] += 1
        if record.topic == "step.waiting":
            self.until = envelope["data"]["until"]
        elif record.topic == "message.sent":
            self.sent = envelope["at"]
        elif record.topic == "step.completed":
            self.woken = envelope["at"]

    @property
    def late(self) -> float:
        """Seconds."""
        due = self.until if self.sent is None else self.sent
        return (self.woken - (due or 0)) / 1_000_000


def awakenings(store: Store) -> dict[str, Awakening]:
    """Of every run, by its id; the log is read once, page by page."""
    found: dict[str, Awakening] = {}
    for record in _records(store):
        run_id = record.stream.removeprefix("default/").removesuffix("/inbox")
        found.setdefault(run_id, Awakening()).take(record)
    return found


def _records(store: Store) -> Iterable[Record]:
    position = 0
    while page := store.follow(position, 5000):
        position = page[-1].position
        yield from (notification.record for notification in page)
