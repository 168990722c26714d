"""The processes that work a rebuild's parts off, and the one that waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from ..core.errors import IntegrityError, StoreRefusedError
from ..eventstore.parts import Part
from ..eventstore.store import Store
from ..eventstore.tables import Generation
from .parts import is_free

_LOOK_SECONDS = 0.1
_MOST_DEATHS = 20


class Helper(Protocol):
    """A process that runs `work_parts`."""

    def poll(self) -> int | None:
        """Its exit code; None while it lives."""
        ...

    def said(self) -> str:
        """The last that it had to say, "" if nothing; asked for when it has ended."""
        ...

    def end(self) -> None:
        """Make sure that it has ended, at whatever point."""
        ...


StartHelper = Callable[[Generation], Helper]
"""Starts a process that works the parts of a generation off, and ends with its parent however that ends."""


def wait_for_parts(
    store: Store, of: Generation, start: StartHelper, processes: int, told: Callable[[list[Part]], None]
) -> None:
    """Keep up to `processes` helpers at work until every part has come to its end; `told` how far they are.

    A helper that dies is replaced by another. Raises IntegrityError for an event that cannot be taken in, and
    StoreRefusedError when helpers end again and again.
    """
    with _helpers() as helpers:
        deaths = 0
        while True:
            parts = store.parts.list(of.name, of.generation)
            told(parts)
            left = [each for each in parts if each.position < each.until]
            if not left:
                return
            _check(left)
            ended = [each for each in helpers if each.poll() is not None]
            for helper in ended:
                helpers.remove(helper)
                deaths += helper.poll() != 0
                if deaths > _MOST_DEATHS:
                    raise StoreRefusedError(f"the processes of the rebuild end again and again: {helper.said()}")
                helper.end()
            if any(map(is_free, left)) and len(helpers) < min(processes, len(left)):
                helpers.append(start(of))
            else:
                time.sleep(_LOOK_SECONDS)


def _check(left: list[Part]) -> None:
    for part in left:
        if part.error is not None:
            raise IntegrityError(part.error)


@contextmanager
def _helpers() -> Generator[list[Helper]]:
    helpers: list[Helper] = []
    try:
        yield helpers
    finally:
        for helper in helpers:
            helper.end()
