"""What a projection is: a name, a version, tables, and rows as a function of a run's folded state.

Rows are a function of the log alone. Which rows a run has is decided at its *moments*: events after which `is_due` says
so. The rows of a later moment replace those of an earlier one, so it does not matter how the log was cut into batches.

That would be quadratic for a row per step. A `GrowingProjection` says instead which rows an *event* makes: they are put
in by their keys, and none is removed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..core.events import Event
from ..core.run_state import RunState
from ..eventstore.tables import Row, Table


@dataclass(slots=True)
class FollowedRun:
    """A run as far as it was followed: its state after event `version`, recorded at `at` (µs since the epoch).

    `start` is the position of its first event. `build` is that of the code which recorded the last one, "" where nobody
    asked. In `notes` a growing projection keeps what the state does not.
    """

    stream: str
    tenant: str
    run_id: str
    start: int
    version: int
    at: int
    state: RunState
    build: str = ""
    notes: dict[Any, Any] = field(default_factory=dict[Any, Any])


class Projection(Protocol):
    """Tables derived from runs. Raise its version whenever its rows would come out otherwise."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def version(self) -> int:
        """The version of its code, from 1."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """What it fills; none if what it makes lies elsewhere."""
        ...

    @property
    def strict(self) -> bool:
        """Whether it stops at an event that cannot be taken in; otherwise it leaves the run aside and goes on."""
        ...

    @property
    def always(self) -> bool:
        """Whether every event is a moment, so that `is_due` need not be asked."""
        ...

    def is_due(self, run: FollowedRun) -> bool:
        """Whether the run's last event is a moment. That of a run that has ended always is."""
        ...

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """All rows of the run by table, at a moment. The state is not to be kept, for it goes on."""
        ...

    def settle(self) -> None:
        """Make durable what `rows` has made outside the tables; the position moves only afterwards."""
        ...


class GrowingProjection(ABC):
    """A projection to whose tables every event adds its rows; fulfils `Projection`.

    The last row of a key wins. A run that is left aside keeps the rows that it had.
    """

    name: str
    version = 1
    tables: Sequence[Table]
    strict = False
    always = False

    @abstractmethod
    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        """The rows by table that `event` makes, `run` having taken it in.

        Asked for every event of a run in order, also while a run is folded again to go on, when the rows are not
        wanted: `run.notes` may be kept that way, and rows must follow from state, notes and event alone.
        """

    def is_due(self, run: FollowedRun) -> bool:
        """See `Projection.is_due`: it has no moments."""
        return False

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """See `Projection.rows`."""
        return {}

    def settle(self) -> None:  # noqa: B027 - most have nothing to do
        """See `Projection.settle`: all of it lies in the tables."""


class CountingProjection(ABC):
    """A projection without tables, which counts what happens, in the memory of the process that carries it on; fulfils
    `Projection`.

    It begins where the log ends when it is first carried on: what is long past is no news. Each event is counted once,
    by the process that moves the position over it. A run that cannot be read is not counted, and never left aside: it
    could not be tried again without counting twice. There is nothing to build anew.
    """

    name: str
    version = 1
    tables: Sequence[Table] = ()
    strict = False
    always = False
    beside: frozenset[str] = frozenset()
    """The topics in control streams that it wants to be told of."""

    @abstractmethod
    def noted(self, run: FollowedRun, event: Event) -> Sequence[Any]:
        """What is to be counted of `event`, `run` having taken it in.

        Asked for every event of a run in order, also while a run is folded again to go on, when nothing is counted:
        `run.notes` may be kept that way, and nothing else.
        """

    @abstractmethod
    def noted_beside(self, event: Event) -> Sequence[Any]:
        """What is to be counted of an event in a control stream, whose topic is one of `beside`."""

    @abstractmethod
    def count(self, noted: Sequence[Any]) -> None:
        """Count that: the position has moved over it, and will not come back."""

    def is_due(self, run: FollowedRun) -> bool:
        """See `Projection.is_due`: it has no moments."""
        return False

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """See `Projection.rows`."""
        return {}

    def settle(self) -> None:  # noqa: B027 - there is nothing to be made durable
        """See `Projection.settle`."""


class TakenOver(NamedTuple):
    """What came of comparing what was built aside with what is there, and of taking it over.

    How many were equal, `archived` (equal, and left in archives), missing, and which differ, each as a sentence;
    `changed` is how many of these were written.
    """

    equal: int
    archived: int
    missing: int
    differing: tuple[str, ...]
    changed: int


class Aside(Projection, Protocol):
    """A projection that fills a place of its own while it is rebuilt, beside what is there."""

    @property
    def begun(self) -> bool:
        """Whether there is such a place."""
        ...

    def begin(self) -> None:
        """Make it, empty."""
        ...

    def take_over(self, missing: bool, differing: bool, each: Callable[[int, int], None]) -> TakenOver:
        """Compare all of it with what is there; write what is `missing` there, and replace what is `differing`.

        `each` is told how much is done, of how much. Raises StoreError, IntegrityError; doing it again is harmless.
        """
        ...

    def discard(self) -> None:
        """Remove it."""
        ...


@runtime_checkable
class LiesOutside(Protocol):
    """What a projection is too whose work lies outside the tables."""

    def aside(self, generation: int) -> Aside:
        """What fills the place of that generation."""
        ...
