"""PostgreSQL's binary arrays, written directly.

psycopg finds out the type of a list by looking at its items, and asks a dumper for each of them; for the sixteen arrays
of an append that takes longer than the append itself. Here the type of the list says what is in it. The format is
`array_recv`'s: dimensions, a flag for nulls, the element's type, length, lower bound, then each item with its size, -1
for a null.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from .tables import ColumnType

_HEADER = struct.Struct("!iiIii")
_NO_ITEMS = struct.Struct("!iiI")
_SIZE = struct.Struct("!i")
_INT8 = struct.Struct("!iq")
_FLOAT8 = struct.Struct("!id")
_BOOL = struct.Struct("!i?")
_NULL = _SIZE.pack(-1)


class Int8s(list[int]):
    """A `bigint[]`."""


class Float8s(list[float]):
    """A `float8[]`."""


class Bools(list[bool]):
    """A `boolean[]`."""


class Texts(list[str]):
    """A `text[]`."""


class Blobs(list[bytes]):
    """A `bytea[]`."""


def _int8s(items: list[int]) -> list[bytes]:
    return [_INT8.pack(8, item) for item in items]


def _float8s(items: list[float]) -> list[bytes]:
    return [_FLOAT8.pack(8, item) for item in items]


def _bools(items: list[bool]) -> list[bytes]:
    return [_BOOL.pack(1, item) for item in items]


def _texts(items: list[str]) -> list[bytes]:
    return _blobs([item.encode() for item in items])


def _blobs(items: list[bytes]) -> list[bytes]:
    return [part for item in items for part in (_SIZE.pack(len(item)), item)]


def _dumper(array_oid: int, element_oid: int, pack: Callable[[Any], list[bytes]]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: Any) -> bytes:
            if not obj:
                return _NO_ITEMS.pack(0, 0, element_oid)
            if None not in obj:
                return b"".join((_HEADER.pack(1, 0, element_oid, len(obj), 1), *pack(obj)))
            given = [_NULL if item is None else b"".join(pack([item])) for item in obj]
            return b"".join((_HEADER.pack(1, 1, element_oid, len(obj), 1), *given))

    return ArrayDumper


# Type numbers as in pg_type.dat.
_DUMPERS: dict[type[Any], type[Dumper]] = {
    Int8s: _dumper(1016, 20, _int8s),
    Float8s: _dumper(1022, 701, _float8s),
    Bools: _dumper(1000, 16, _bools),
    Texts: _dumper(1009, 25, _texts),
    Blobs: _dumper(1001, 17, _blobs),
}


ARRAYS: dict[ColumnType, Callable[[Iterable[Any]], Sequence[Any]]] = {
    "text": Texts,
    "int": Int8s,
    "float": Float8s,
    "bool": Bools,
    "json": Texts,
}
"""The list for a column's values; also of those in which some are None."""


def register(connection: psycopg.Connection[Any]) -> None:
    """Let `connection` take these lists as parameters."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)
