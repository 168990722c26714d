"""Tables that are derived from the log: what a projection declares, and what every store must do with it.

A projection's rows are kept in *generations*, each a full set of its tables beside the others; one of them is active,
that is, read. Rows and the position up to which they follow the log change in one transaction, and only by the owner of
the generation's lease: that is what makes every event count once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from math import fsum
from typing import Any, Literal, NamedTuple, Protocol

from ..core.canonical import canonical_json
from ..core.errors import StoreRefusedError

ColumnType = Literal["text", "int", "float", "bool", "json"]
"""What a column holds; `int` is of 64 bits, and `json` is the text of canonical JSON, also as Python sees it."""

Row = tuple[Any, ...]
"""A row's values in the order of its table's columns. Texts hold no NUL character: PostgreSQL's cannot."""

RunKey = tuple[str, str]
"""Tenant and run id: every table's key begins with them."""


class Table(NamedTuple):
    """A table of a projection: its columns by name, how many of the first are its key, and what it is looked up by.

    The key begins with `tenant` and `run_id`. A run's rows are replaced as a whole, or one by one by their keys.
    """

    name: str
    columns: Mapping[str, ColumnType]
    key: int = 2
    indexes: Sequence[Sequence[str]] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.columns)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the key's columns."""
        return self.names[: self.key]

    def to_json(self) -> list[Any]:
        """The declaration as JSON, for `of_json`."""
        return [self.name, [list(each) for each in self.columns.items()], self.key, [list(i) for i in self.indexes]]

    @classmethod
    def of_json(cls, told: Sequence[Any]) -> Table:
        """The table that `to_json` has written down."""
        name, columns, key, indexes = told
        return cls(name, dict(columns), key, tuple(tuple(index) for index in indexes))


_NAME = re.compile("[a-z][a-z_]{0,39}")


def check_table(table: Table) -> None:
    """Raises ValueError for a declaration that not every store can keep."""
    names = (table.name, *table.columns, *(name for index in table.indexes for name in index))
    if not all(_NAME.fullmatch(name) for name in names):
        raise ValueError(f"table {table.name!r}: names are lower-case letters and underscores, at most 40")
    if table.key_names[:2] != ("tenant", "run_id"):
        raise ValueError(f"table {table.name!r}: the key begins with tenant and run_id")


class Generation(NamedTuple):
    """One set of a projection's tables, and how far it has come.

    `version` is that of the code that fills it. `position` is that of the last event taken in, which was recorded at
    `position_at`, and `updated` when that was, both in µs since the epoch. `seconds_left` is of the owner's lease.
    `error` says why it stands still. Into so many `parts` it is divided (`refold.eventstore.parts`), 0 if it is not.
    """

    name: str
    generation: int
    version: int
    tables: tuple[Table, ...]
    active: bool
    position: int
    position_at: int
    owner: str | None
    seconds_left: float
    paused: bool
    error: str | None
    updated: int
    parts: int = 0

    def table(self, name: str) -> Table:
        """The declaration of one of its tables."""
        return next(table for table in self.tables if table.name == name)


COUNTING = "metrics"
"""The projection that counts what happens, once, and never looks back: nothing has to wait until it has seen it."""

LEASES = ("gauges", "patrol")
"""Names that are no projections': rows of theirs hold leases of what one process does for all. `generations` tells of
them only when they are named."""


class Parked(NamedTuple):
    """A stream that a generation has left aside: event `version` at `position` could not be taken in, for `reason`.

    `seen` is the version of the last event of the stream up to the generation's position. With `retry` it is to be
    tried again.
    """

    stream: str
    version: int
    position: int
    reason: str
    seen: int
    retry: bool = False


class Batch(NamedTuple):
    """A change of a generation from the position `expected` to `position`: rows by table.

    All rows of `runs` go first; the rows then take the place of those with the same key. No two of a table have the
    same one.
    `parked` are put down or replaced by stream, `unparked` taken away.
    """

    expected: int
    position: int
    position_at: int
    runs: Sequence[RunKey] = ()
    rows: Mapping[str, Sequence[Row]] = {}
    parked: Sequence[Parked] = ()
    unparked: Sequence[str] = ()


class Between(NamedTuple):
    """The values of a column from `least` on and below `below`; None: without such a bound."""

    column: str
    least: int | str | None = None
    below: int | str | None = None


class Per(NamedTuple):
    """A column of whole numbers, such as times, rounded towards zero to a multiple of `width`: to be grouped by."""

    column: str
    width: int


By = Sequence[str | Per]
"""What rows are grouped by: columns, or multiples."""


def nothing() -> None:
    """Does nothing: where a test would be told."""


def following_one(following: int, wanted: int | None) -> int:
    """The number of the next generation. Raises StoreRefusedError if another one is `wanted`: somebody was faster."""
    if wanted is not None and wanted != following:
        raise StoreRefusedError(f"generation {wanted} is there already")
    return following


class TableStore(Protocol):
    """The projections' tables in a store. All calls block and are thread-safe; they raise StoreError."""

    def generations(self, name: str | None = None) -> list[Generation]:
        """All generations, or those of one projection, by name and number; see `LEASES`."""
        ...

    def create(self, name: str, version: int, tables: Sequence[Table], number: int | None = None) -> int:
        """Make a new, empty generation at position 0 and tell its number; a projection's first one is active.

        With `number` it is to be this one: raises StoreRefusedError if there is one of it, or one after it, already.
        """
        ...

    def drop(self, name: str, generation: int) -> None:
        """Remove a generation with its tables and what it has parked."""
        ...

    def claim(self, name: str, generation: int, owner: str, seconds: float, instead_of: str | None = None) -> bool:
        """Take or prolong the lease if it is free, run out, ours, or held by `instead_of`."""
        ...

    def release(self, name: str, generation: int, owner: str) -> None:
        """Give the lease up if `owner` holds it."""
        ...

    def write(
        self,
        name: str,
        generation: int,
        owner: str,
        seconds: float,
        batch: Batch,
        before_commit: Callable[[], None] = nothing,
    ) -> bool:
        """Take in a batch, prolong the lease and forget the error, in one transaction.

        False, with nothing changed, unless `owner` holds the lease and the position is the one expected, not paused.
        """
        ...

    def fail(self, name: str, generation: int, owner: str, error: str | None) -> None:
        """Record why the owner stands still; None: it does not any more."""
        ...

    def pause(self, name: str, paused: bool) -> None:
        """Let no generation of the projection move any more, or let them all go on."""
        ...

    def switch(self, name: str, generation: int, owner: str) -> bool:
        """Make a generation the active one instead of the one that was, if `owner` holds its lease."""
        ...

    def rows(
        self,
        of: Generation,
        table: str,
        where: Mapping[str, Any],
        limit: int,
        after: Row | None = None,
        order: Sequence[str] | None = None,
        descending: bool = False,
        between: Sequence[Between] = (),
    ) -> list[Row]:
        """Rows with those values in those columns, ordered by `order` (else by the key), after the values `after`.

        Where `order` is given it is what is gone along: bounds of columns that are not in it are looked at row by row.
        """
        ...

    def counts(
        self, of: Generation, table: str, where: Mapping[str, Any], by: By, between: Sequence[Between] = ()
    ) -> list[Row]:
        """How many rows `rows` would find for each combination of `by`: those values, and the number.

        Ordered by the values, null first; without `by` a single row.
        """
        ...

    def parked(self, name: str, generation: int) -> list[Parked]:
        """The streams that a generation has left aside, by name."""
        ...

    def retry(self, name: str, stream: str | None) -> int:
        """Have parked streams (one, or all) tried again by whoever follows the projection; tells how many."""
        ...

    def now(self) -> int:
        """The database's time, in microseconds since the epoch."""
        ...


def sums(
    tables: TableStore,
    of: Generation,
    table: str,
    where: Mapping[str, Any],
    by: By,
    column: str,
    between: Sequence[Between] = (),
) -> list[Row]:
    """As `TableStore.counts`, with the sum of a column of floats after the number.

    Databases add floats in any order. So equal amounts are counted there, and added here with a single rounding: every
    store gives the same sums.
    """
    counted = tables.counts(of, table, where, (*by, column), between)
    found: list[Row] = []
    for values, group in groupby(counted, lambda row: row[:-2]):
        amounts = [(row[-2] or 0.0, row[-1]) for row in group]
        found.append((*values, sum(n for _, n in amounts), fsum(amount * n for amount, n in amounts)))
    return found if found or by else [(0, 0.0)]


_PAGE = 5000


def hash_of(tables: TableStore, of: Generation, each_page: Callable[[], None] = nothing) -> str:
    """SHA-256 over the canonical JSON of a generation's rows, a line each, table by table in the order of the keys.

    `each_page` is called now and then, for a lease to be prolonged.
    """
    digest = sha256()
    for table in of.tables:
        digest.update(canonical_json([table.name, *table.columns.items()]) + b"\n")
        after = None
        while page := tables.rows(of, table.name, {}, _PAGE, after):
            digest.update(b"".join(canonical_json(row) + b"\n" for row in page))
            after = page[-1][: table.key]
            each_page()
    return digest.hexdigest()
