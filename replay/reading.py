"""What a proof is made on: streams as they stood at one moment."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import IntegrityError
from ..core.ports import EMPTY, Head, Record
from ..eventstore.codec import points_away, references
from ..eventstore.store import Store

_BEGINNING = -(2**62)
"""Below every version that anybody might have slipped in."""

_TRIES = 10
"""How often streams that grow meanwhile are read again."""


def snapshot(store: Store, streams: Sequence[str]) -> tuple[dict[str, Head], list[list[Record]]]:
    """The heads of `streams`, and the records of each, as they stood at one moment, though they may grow."""
    heads = store.heads(streams)
    for _ in range(_TRIES):
        records = [store.read(stream, _BEGINNING) for stream in streams]
        now = store.heads(streams)
        if now == heads:
            return heads, records
        heads = now
    # They never stand still: what lies beyond these heads is taken for newer than them.
    return heads, [store.read(stream, 0, heads.get(stream, EMPTY).version) for stream in streams]


def large_of(store: Store, records: Sequence[Record]) -> dict[str, bytes]:
    """The content-addressed rows that `records` point to; those that do not exist are left out."""
    wanted: set[str] = set()
    for record in filter(points_away, records):
        try:
            wanted |= references([record])
        except IntegrityError:  # The chain proof says so.
            continue
    return store.large(sorted(wanted)) if wanted else {}
