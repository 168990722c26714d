"""Where two JSON values differ, as RFC 6901 pointers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple, cast

from .canonical import json_pointer
from .spec_problems import shown

_NOTHING: Any = object()


class Difference(NamedTuple):
    """A place where two values differ, and what each has there, in short: "nothing" where one has no such member."""

    pointer: str
    left: str
    right: str


class Place(NamedTuple):
    """A place where two values differ, and the values there themselves; `lacking` of a side that has no such member."""

    path: tuple[str | int, ...]
    left: Any
    right: Any


def lacking(value: Any) -> bool:
    """Whether a side of a `Place` has no such member."""
    return value is _NOTHING


def differences(left: Any, right: Any) -> Iterator[Difference]:
    """The innermost places where two decoded JSON values differ: members by name, items by position.

    Keys come in the order of `left`, then those that only `right` has. Numbers are compared as RFC 8785 writes them: 1
    and 1.0 are one, 1 and true are not.
    """
    return (told(place) for place in places(left, right))


def told(place: Place) -> Difference:
    """A place as a person reads it."""
    return Difference(json_pointer(place.path), _told(place.left), _told(place.right))


def places(left: Any, right: Any) -> Iterator[Place]:
    """The same with the values themselves."""
    return _places(left, right, ())


def _places(left: Any, right: Any, path: tuple[str | int, ...]) -> Iterator[Place]:
    if isinstance(left, dict) and isinstance(right, dict):
        one, other = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        for key in {**one, **other}:
            yield from _places(one.get(key, _NOTHING), other.get(key, _NOTHING), (*path, key))
    elif isinstance(left, list) and isinstance(right, list):
        items = zip_longest(cast("list[Any]", left), cast("list[Any]", right), fillvalue=_NOTHING)
        for at, (item, counterpart) in enumerate(items):
            yield from _places(item, counterpart, (*path, at))
    elif isinstance(left, bool) is not isinstance(right, bool) or left != right:
        yield Place(path, left, right)


def _told(value: Any) -> str:
    return "nothing" if value is _NOTHING else shown(value)
