"""How a store lets SQL of ours in that serves both databases: archives, exports and imports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from .dispatch import Dialect, Query
from .tables_sql import Transaction


class Access(NamedTuple):
    """Ways in. `ask` runs one statement; `appending` is a transaction that holds the append lock throughout, and
    `at_length` one that may take hours; `books` is one in which the
    ledger cannot change either. `position` is the column of positions, `by_start` has the planner use the index
    `runs_by_start`, and `renumber` is a statement that lets positions go on after the greatest there is."""

    ask: Query
    appending: Callable[[], AbstractContextManager[Transaction]]
    at_length: Callable[[], AbstractContextManager[Transaction]]
    dialect: Dialect
    position: str
    by_start: str
    renumber: str
    books: Callable[[], AbstractContextManager[Transaction]]

    def sql(self, text: str) -> str:
        """`text` in the database's words: {position}, {by_start}, {among} and ? are replaced."""
        d = self.dialect
        filled = text.replace("{position}", self.position).replace("{by_start}", self.by_start)
        return filled.replace("{among}", d.among).replace("?", d.mark)
