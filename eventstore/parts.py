"""Parts of a generation that is being filled by several processes at once: each takes the runs of its share.

A generation is divided at a position: every part then goes from there to the pinned position `until` on its own, each
with its own lease, and its rows and its position change in one transaction. When all have come there the generation is
joined: it stands at `until`, and goes on as one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, Protocol

from .tables import Batch, Generation, nothing

MOST_PARTS = 64
"""How many parts a generation can be divided into: of 256 first bytes each has about as many."""


class Part(NamedTuple):
    """Part `part`, from 0, of `of`: its last event taken in is at `position`, and it goes up to `until`.

    `seconds_left` is of the owner's lease. `error` says at which event it cannot go on.
    """

    part: int
    of: int
    position: int
    until: int
    owner: str | None
    seconds_left: float
    error: str | None


@lru_cache(maxsize=1 << 16)
def share_of(stream: bytes, of: int) -> int:
    """Which of `of` shares a stream (its name in UTF-8) is in: the first byte of its SHA-256, modulo `of`."""
    return sha256(stream).digest()[0] % of


class PartStore(Protocol):
    """The parts of generations in a store. All calls block and are thread-safe; they raise StoreError."""

    def list(self, name: str, generation: int) -> list[Part]:
        """The parts of a generation, in order; none if it is not divided."""
        ...

    def divide(self, name: str, generation: int, owner: str, parts: int, until: int) -> bool:
        """Divide a generation from its position up to `until`; False unless `owner` holds it and it is not there yet.

        A batch written to the generation as a whole takes the parts away again: it begins anew at its own position.
        """
        ...

    def join(self, name: str, generation: int, owner: str, position_at: int) -> bool:
        """Have the generation stand where all its parts are; False unless `owner` holds it and all have come there."""
        ...

    def claim(self, name: str, generation: int, part: int, owner: str, seconds: float, instead_of: str | None) -> bool:
        """Take the lease of a part if it is free, run out, ours, or held by `instead_of`, and forget its error."""
        ...

    def write(
        self,
        of: Generation,
        part: int,
        owner: str,
        seconds: float,
        batch: Batch,
        before_commit: Callable[[], None] = nothing,
    ) -> bool:
        """Take in a batch of a part and prolong its lease, in one transaction.

        False, with nothing changed, unless `owner` holds the part and its position is the one expected, not paused.
        """
        ...

    def fail(self, name: str, generation: int, part: int, owner: str, error: str) -> None:
        """Give a part up, and record why it cannot go on."""
        ...
