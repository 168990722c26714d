"""Where two JSON values differ, leaf by leaf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from .canonical import json_pointer

_ABSENT: Any = object()


class Difference(NamedTuple):
    """One place (RFC 6901 pointer) and what stands there in each value; a side that lacks it has no value."""

    pointer: str
    sides: tuple[tuple[str, Any], ...]

    def to_json(self, first: str, second: str) -> dict[str, Any]:
        """The difference as a JSON object, its sides named `first` and `second`; a side that lacks it is left out."""
        names = {"first": first, "second": second}
        return {"pointer": self.pointer, **{names[side]: value for side, value in self.sides}}


def differences(first: Any, second: Any, limit: int = 20) -> list[Difference]:
    """The first `limit` places where the values differ, in the order of the first one's keys."""
    found: list[Difference] = []
    for difference in _walk(first, second, ()):
        found.append(difference)
        if len(found) == limit:
            break
    return found


def _item(items: list[Any], at: int) -> Any:
    return items[at] if at < len(items) else _ABSENT


def _walk(first: Any, second: Any, path: tuple[str | int, ...]) -> Iterator[Difference]:
    if isinstance(first, dict) and isinstance(second, dict):
        one, other = cast(dict[str, Any], first), cast(dict[str, Any], second)
        for key in [*one, *(key for key in other if key not in one)]:
            yield from _walk(one.get(key, _ABSENT), other.get(key, _ABSENT), (*path, key))
    elif isinstance(first, list) and isinstance(second, list):
        ones, others = cast(list[Any], first), cast(list[Any], second)
        for at in range(max(len(ones), len(others))):
            yield from _walk(_item(ones, at), _item(others, at), (*path, at))
    elif first is _ABSENT or second is _ABSENT or type(first) is not type(second) or first != second:
        both: list[tuple[str, Any]] = [("first", first), ("second", second)]
        yield Difference(json_pointer(path), tuple((side, value) for side, value in both if value is not _ABSENT))
