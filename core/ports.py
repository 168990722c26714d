"""The protocols that the outer folders fulfil for the engine, and the plain values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from .errors import RefoldError
from .events import Event, RunStarted
from .ledger import Ledger
from .run_state import RunState


class Head(NamedTuple):
    """The end of a stream: the version of its last event and that event's chain hash."""

    version: int
    hash: str | None


EMPTY = Head(0, None)
"""The head of a stream that holds nothing."""


class Record(NamedTuple):
    """One event as it is stored: its stream, its number there (from 1), its topic and its bytes."""

    stream: str
    version: int
    topic: str
    state: bytes


class Append(NamedTuple):
    """Events for one stream, built on the head `expected`: refused unless that is the stream's head."""

    stream: str
    expected: Head
    events: Sequence[Event]


NEVER = 2**62
"""A due time that does not come: only a message brings the run back."""


HELD = 2 * 10**18
"""From here up to NEVER lie due times of runs that an emergency stop holds back: see `held_at`."""


def held_at(version: int) -> int:
    """The due time of a run held back by who had seen `version` events of the emergency stops' control stream.

    The time does not come. Who sees a release of a later version makes the row due: whoever wrote it knew less.
    """
    return HELD + version * 1_000_000


class Schedule(NamedTuple):
    """A run's dispatch row: from when on it may be worked on, and that this process leases it (0 s: it is free).

    `due` is in microseconds since the epoch. With `taken`, the row is due at once if the run's inbox holds more than
    that many messages: a message may have come in while its owner was putting the run to rest. `queue`, `priority`
    (higher first) and `needs` (what a worker must offer, `refold.core.needs`) count when the row is made, then stay.
    """

    stream: str
    lease_seconds: float
    due: int = 0
    taken: int | None = None
    queue: str = "default"
    priority: int = 0
    needs: str = "[]"


class Unschedule(NamedTuple):
    """Removes a run's dispatch row: the run has ended. What it holds in the ledger goes back with it."""

    stream: str


class Wake(NamedTuple):
    """Makes a run due at once, if it has a dispatch row: there is a message for it."""

    stream: str


class Settle(NamedTuple):
    """Ends what a step's attempt holds in the ledger (`refold.core.ledger`): `spent` millionths of a cent count as
    spent from each of its budgets, all else goes back. Without a hold of this attempt it changes nothing."""

    stream: str
    step: str
    attempt: int
    spent: int


class TopUp(NamedTuple):
    """Adds `amount` millionths of a cent to a budget's capacity (negative: takes away), making its row if need be."""

    account: str
    amount: int


Dispatch = Schedule | Unschedule | Wake
"""A change of a dispatch row."""

LedgerChange = Settle | TopUp
"""A change of the ledger that is stored with what it belongs to."""


class Unit(NamedTuple):
    """The unit of commit: all of it is stored, or nothing. Each stream occurs once."""

    appends: Sequence[Append]
    dispatch: Sequence[Dispatch] = ()
    ledger: Sequence[LedgerChange] = ()


Ack = Sequence[Head] | RefoldError
"""The answer to a unit: the new head of each append, or why nothing of it was stored."""


class Journal(Protocol):
    """Takes units of commit and answers each when it is durable. Many units share one transaction."""

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Hand over `unit`; `done` is called on the caller's event loop with the answer, never from within."""
        ...

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Append `unit` and wait. Raises OwnershipLostError when refused, StoreUnreachableError when unanswered."""
        ...


class DataKeyring(Protocol):
    """The keys of runs that hold sensitive data. Calls block and are thread-safe."""

    def ensure(self, stream: str, parent: str | None = None, subject: str | None = None) -> object:
        """Have a key for a run, about the subject that `subject` stands for. Raises DataKeyError."""
        ...

    def subject(self, tenant: str, text: str) -> str:
        """What stands for a subject, whom nobody could guess from it. Raises DataKeyError."""
        ...

    def of_subject(self, subject: str) -> list[str]:
        """The runs about a subject."""
        ...

    def family(self, stream: str) -> list[str]:
        """A run and those that descend from it, as far as they have keys."""
        ...

    def destroy(self, stream: str) -> bool:
        """Destroy the key of a run; whether there was one."""
        ...

    def is_destroyed(self, stream: str) -> bool:
        """Whether a run's key was destroyed, as far as the last seconds are known."""
        ...

    def check(self, stream: str) -> None:
        """Raises DataKeyError for a run that has a key which cannot be used here."""
        ...


class Lease(NamedTuple):
    """Who holds a run, and for how many more seconds (database time)."""

    owner: str
    seconds_left: float


class Claimed(NamedTuple):
    """Runs that were just leased, and the database's time then (microseconds since the epoch)."""

    streams: Sequence[str]
    at: int


class Question(NamedTuple):
    """A query of a run by somebody who has not its code: `needs` are the run's (`Schedule.needs`), `arguments` is the
    text of a JSON object."""

    id: str
    stream: str
    needs: str
    name: str
    arguments: str


class QueryStore(Protocol):
    """Questions on their way to workers and answers on their way back. Not of the log: a minute later they are gone.

    Calls block and are thread-safe.
    """

    def ask(self, question: Question) -> None:
        """Put a question where workers see it, and remove those that are old."""
        ...

    def pending(self) -> list[Question]:
        """The questions that nobody has answered, nor claimed just now; oldest first."""
        ...

    def claim(self, question_id: str) -> bool:
        """Keep others from answering the question for some seconds; False when somebody else was faster."""
        ...

    def answer(self, question_id: str, answer: str) -> None:
        """Answer a question; the first answer counts."""
        ...

    def answered(self, question_id: str) -> str | None:
        """The answer, None while there is none."""
        ...

    def withdraw(self, question_id: str) -> None:
        """Remove a question with its answer."""
        ...


class RunLog(Protocol):
    """Reading the log and holding leases. Calls block: the engine makes them from threads."""

    @property
    def queries(self) -> QueryStore:
        """Questions to workers."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Budgets, rates and places."""
        ...

    def head(self, stream: str) -> Head:
        """The head of `stream`; `EMPTY` if there is no such stream."""
        ...

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of those of `streams` that exist."""
        ...

    def events(self, stream: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The events of `stream` after version `after`, decoded, in order, at most `limit`."""
        ...

    def claim(self, stream: str, seconds: float) -> Lease | None:
        """Take the lease on a run for this process; None when it is ours now, else the live lease in the way."""
        ...

    def renew(self, streams: Sequence[str], seconds: float) -> None:
        """Prolong this process's leases on `streams`."""
        ...

    def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give up this process's lease on `stream`; `due` and `taken` as in `Schedule`, None leaves the due time."""
        ...

    def claim_due(self, queues: Sequence[str], serves: Callable[[str], bool], limit: int, seconds: float) -> Claimed:
        """Lease up to `limit` runs of `queues` that are due and whose needs (`Schedule.needs`) `serves` says yes to."""
        ...

    def free_held(self, before: int) -> int:
        """Make those runs due that are held back (`held_at`) by less than `before` events; how many there were."""
        ...

    def bury_the_dead(self) -> int:
        """Free the leases of owners that are dead for certain (ended processes of this host); how many there were."""
        ...

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called, from any thread, when runs may have become due; returns what ends that, which may block.

        A hint only, which may be lost or needless: what is due stands in the dispatch rows.
        """
        ...

    def hint(self) -> None:
        """Have those called who listen by `on_hint`, in any process. Never raises; may say nothing."""
        ...

    def beat(self, report: str) -> None:
        """Record that this process lives, with a report of itself (JSON)."""
        ...

    def leave(self) -> None:
        """Record that this process has gone."""
        ...


class Restored(NamedTuple):
    """A run's state as a checkpoint holds it: after the event of number `version`."""

    state: RunState
    version: int


class Checkpoints(Protocol):
    """States of runs from which to go on without folding all events. Calls block."""

    def restore(self, started: RunStarted) -> Restored | None:
        """The run that began with `started` as its last checkpoint holds it, None if there is none.

        Raises IntegrityError when the checkpoint is not what its hash says, or is of a run that began otherwise.
        """
        ...


class Clock(Protocol):
    """The time of day, injected so that tests can turn it by hand."""

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It shall not come."""
        ...


class Timers(Protocol):
    """Calls back later; beside the clock, so that tests can let time pass without waiting."""

    def after(self, microseconds: int, callback: Callable[[], object]) -> Timer:
        """Have `callback` called on the caller's event loop in so many microseconds; at once for 0 or less."""
        ...
