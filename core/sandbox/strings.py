"""The strings of a plan, and where each of them stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from ..canonical import MAX_DEPTH, json_pointer
from .report import SandboxFinding

Exempt = Sequence[tuple[str, Sequence[str]]]
"""Pointers below a value, and the families that do not count there."""
_NONE: frozenset[str] = frozenset()


class _Place(NamedTuple):
    """A member of an object or a list; where the walk began, `holder` is None and `key` the pointer."""

    holder: _Place | None
    key: str | int


class Strings:
    """What a plan would hand to skills: all strings, and the keys of objects, up to `room` characters."""

    def __init__(self, room: int):
        self.texts: list[str] = []
        self.problems: list[SandboxFinding] = []
        self.room = room
        self._limit = room
        self._begins: list[int] = []
        self._groups: list[tuple[_Place, Sequence[str | int] | None]] = []
        self._exempt: dict[int, frozenset[str]] = {}

    def collect(self, value: Any, pointer: str, exempt: Exempt) -> None:
        """Adds the strings and keys of a JSON value, which stands at `pointer`, without recursion."""
        begin = len(self.texts)
        if not self._walk(value, _Place(None, pointer)):
            why = f"nested more than {MAX_DEPTH} levels deep"
            self.problems.append(SandboxFinding("plan.limit", "violation", pointer, why))
        if self.room >= 0:
            self.room -= sum(map(len, self.texts[begin:]))
            if self.room < 0:
                why = f"more than {self._limit} characters to look at"
                self.problems.append(SandboxFinding("plan.limit", "violation", pointer, why))
        if exempt:
            for index in range(begin, len(self.texts)):
                below = self.pointer(index)[len(pointer) :]
                self._exempt[index] = frozenset(_families(below, exempt))

    def _walk(self, value: Any, place: _Place) -> bool:
        """Whether all of it could be reached. An object's or a list's own strings come before what lies deeper."""
        if isinstance(value, str):
            self._add([value], place, None)
            return True
        stack: list[tuple[Any, _Place, int]] = [(value, place, 0)]
        while stack:
            item, at, depth = stack.pop()
            if not isinstance(item, dict | list | tuple):
                continue
            if depth >= MAX_DEPTH:
                return False
            if isinstance(item, dict):
                members = {str(key): each for key, each in cast("dict[Any, Any]", item).items()}
                self._add(list(members), at, list(members))
                keys: Sequence[str | int] = list(members)
                values = list(members.values())
            else:
                values = cast("Sequence[Any]", item)
                keys = range(len(values))
            strings = [index for index, each in enumerate(values) if isinstance(each, str)]
            self._add([values[index] for index in strings], at, [keys[index] for index in strings])
            if len(strings) < len(values):
                deeper = zip(keys, values, strict=True)
                below: list[tuple[Any, _Place, int]] = [
                    (each, _Place(at, key), depth + 1) for key, each in deeper if type(each) is not str
                ]
                stack += reversed(below)
        return True

    def _add(self, texts: list[str], holder: _Place, keys: Sequence[str | int] | None) -> None:
        self._begins.append(len(self.texts))
        self._groups.append((holder, keys))
        self.texts += texts

    def pointer(self, index: int) -> str:
        """Where the string stands (RFC 6901); for a key, its member."""
        group = bisect_right(self._begins, index) - 1
        place, members = self._groups[group]
        keys: list[str | int] = [] if members is None else [members[index - self._begins[group]]]
        while place.holder is not None:
            keys.append(place.key)
            place = place.holder
        return str(place.key) + json_pointer(tuple(reversed(keys)))

    def off(self, index: int) -> frozenset[str]:
        """The families that do not count for the string."""
        return self._exempt.get(index, _NONE)


def _families(below: str, exempt: Exempt) -> Iterable[str]:
    for argument, families in exempt:
        if below == argument or below.startswith(argument + "/"):
            yield from families
