"""What a projection is: a name, a version, tables, and rows as a function of a run's folded state.

Rows are a function of the log alone. Which rows a run has is decided at its *moments*: events after which `is_due` says
so. The rows of a later moment replace those of an earlier one, so it does not matter how the log was cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.run_state import RunState
from ..eventstore.tables import Row, Table


@dataclass(slots=True)
class FollowedRun:
    """A run as far as it was followed: its state after event `version`, recorded at `at` (µs since the epoch).

    `start` is the position of its first event.
    """

    stream: str
    tenant: str
    run_id: str
    start: int
    version: int
    at: int
    state: RunState


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
