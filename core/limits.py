"""The sizes beyond which Refold refuses, stated in one place; an engine may be given others."""

from __future__ import annotations

from typing import Any, NamedTuple, cast


class Limits(NamedTuple):
    """Limits of one engine. There is none on the number of events of a run."""

    payload_bytes: int = 2_000_000
    """The canonical JSON of a run's inputs, a step's inputs, an output: bytes."""
    parallel_steps: int = 64
    """Steps of one run that run side by side; further ones wait, lowest index first."""
    message_characters: int = 2_000
    """What is kept of a failure's message."""


def exceeds(value: Any, size: int) -> bool:
    """Whether the JSON of `value` surely takes more than `size` bytes, found out in time proportional to `size`.

    References can put one large output into a document many times over: this looks before anything is written out.
    """
    left = size
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        left -= 1
        if isinstance(item, str):
            left -= len(item)
        elif isinstance(item, dict):
            members = cast(dict[str, Any], item)
            left -= sum(map(len, members)) + len(members)
            stack.extend(members.values())
        elif isinstance(item, list):
            left -= len(cast(list[Any], item))
            stack.extend(cast(list[Any], item))
        if left < 0:
            return True
    return False
