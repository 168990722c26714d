"""What operators do with the store itself, in the control stream `control/archives`.

`by` is who did it, "" when nobody said, and `reason` why. See `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class StoreArchived:
    """So many ended runs, of so many events and messages, lie in the file `archive`, whose bytes have this SHA-256."""

    topic: ClassVar = "store.archived"
    schema: ClassVar = 1

    at: int
    archive: str
    sha256: str
    runs: int
    events: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class StoreBroughtBack:
    """So many runs were brought back from the file `archive` into the database."""

    topic: ClassVar = "store.brought_back"
    schema: ClassVar = 1

    at: int
    archive: str
    runs: int
    reason: str
    by: str


ArchiveEvent = StoreArchived | StoreBroughtBack
"""Any of them."""
