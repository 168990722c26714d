"""The careful path to canonical JSON: tells where a value has none, and rewrites what orjson alone would write wrong.

`refold.core.canonical` is the way in, and says what is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any

import orjson

from .errors import NotCanonicalError, Problem

MAX_DEPTH = 128
"""How many arrays and objects may lie in one another; `[]` has depth 1, a number 0."""

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2); negated, the smallest."""

MAX_VALUES = 10_000_000
"""How many values one document may hold; a list that holds the same list many times over grows without using memory."""


def json_pointer(path: Iterable[str | int]) -> str:
    """The RFC 6901 pointer that follows `path`: keys and indexes, outermost first."""
    return "".join(["/" + str(part).replace("~", "~0").replace("/", "~1") for part in path])


_kind_of: Callable[[Any], type[Any]] = type  # `type` itself, under types that the checker can follow.


class _Unfit(Exception):
    """What is wrong with one value, and the cure; the caller knows where."""

    def __init__(self, reason: str, fix: str):
        super().__init__(reason, fix)
        self.reason = reason
        self.fix = fix


def rewritten(value: Any) -> Any:
    """A copy of `value` in plain types that orjson writes canonically without sorting; raises NotCanonicalError.

    Depth first with a stack of its own, so that neither the value's depth nor the caller's can exhaust Python's.
    """
    root: list[Any] = [value]
    frames: list[tuple[Any, Iterator[tuple[Any, Any]], int]] = [(root, iter([(0, value)]), id(root))]
    path: list[str | int] = []
    opened_at: dict[int, int] = {}  # depth of the containers that are being rewritten, by identity
    count = 0
    while frames:
        target, items, identity = frames[-1]
        for key, item in items:
            try:
                copy, children = _copy(item)
                target[key] = copy
                if children is None:
                    continue
                count += len(copy)
                _check_growth(len(frames), count, opened_at.get(id(item)), path)
            except _Unfit as unfit:
                place = json_pointer([*path, key][1:])
                raise NotCanonicalError(Problem(place, unfit.reason, unfit.fix)) from None
            opened_at[id(item)] = len(frames)
            path.append(key)
            frames.append((copy, children, id(item)))
            break
        else:
            frames.pop()
            opened_at.pop(identity, None)
            if path:
                path.pop()
    return root[0]


def _check_growth(depth: int, count: int, opened_at: int | None, path: list[str | int]) -> None:
    if opened_at is not None:
        ancestor = json_pointer(path[1:opened_at]) or "the root"
        raise _Unfit(f"the value contains itself: this is {ancestor} again", "send a tree, with ids for links")
    if depth > MAX_DEPTH:
        raise _Unfit(f"nested deeper than {MAX_DEPTH} levels", "flatten the value")
    if count > MAX_VALUES:
        raise _Unfit(f"more than {MAX_VALUES} values", "store the bulk elsewhere and send a reference")


def _copy(item: Any) -> tuple[Any, Iterator[tuple[Any, Any]] | None]:
    """The plain form of `item`; for a container a shallow copy, and an iterator over what is still to be rewritten."""
    kind = _kind_of(item)
    if item is None or kind is bool:
        return item, None
    if issubclass(kind, Enum) or hasattr(kind, "__dataclass_fields__"):
        raise _foreign(kind)
    # The built-in type's own methods, so that a subclass cannot give one thing to us and another to the next reader.
    if issubclass(kind, str):
        return _text(str.__str__(item)), None
    if issubclass(kind, int):
        return _integer(int.__int__(item)), None
    if issubclass(kind, float):
        return rewritten_float(float.__float__(item)), None
    if issubclass(kind, dict):
        ordered = _ordered(item)
        return ordered, iter(ordered.items())
    if issubclass(kind, list) or kind is tuple:
        items: list[Any] = list(item) if kind is tuple else list[Any].copy(item)
        return items, iter(enumerate(items))
    raise _foreign(kind)


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            reason = f"lone surrogate U+{ord(text[error.start]):04X} in a string"
            raise _Unfit(reason, "send whole characters") from None
    return text


def _integer(number: int) -> int:
    if not -MAX_INTEGER <= number <= MAX_INTEGER:
        raise _Unfit("integer beyond ±(2^53-1), which JSON does not carry exactly", "send it as a string")
    return number


def rewritten_float(number: float) -> object:
    """Something that orjson writes as ECMAScript writes `number`, which is finite unless the careful path asks."""
    if number.is_integer():
        if abs(number) <= MAX_INTEGER:
            return int(number)
    elif 1e-4 < abs(number) < 1e15:
        # Here neither writes an exponent, whatever the release of orjson, and both write the fewest digits.
        return number
    elif number - number != 0:
        raise _Unfit(f"{number} is no JSON number", "send null or a string")
    return orjson.Fragment(_ecmascript(number))


def _ecmascript(number: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20): the number is 0.`digits` times ten to the `point`."""
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(digits) - len(fraction)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{point - 1:+d}"


def _ordered(source: dict[Any, Any]) -> dict[str, Any]:
    """The members of `source` under plain keys, in the order of RFC 8785, section 3.2.3: by UTF-16 unit."""
    members: dict[str, Any] = {}
    for key, item in dict[Any, Any].items(source):
        kind = _kind_of(key)
        if not issubclass(kind, str) or issubclass(kind, Enum):
            raise _Unfit(f"a key is of type {kind.__qualname__}{_shown(key)}, not str", "make every key a string")
        text = _key(str.__str__(key))
        if text in members:
            raise _Unfit(f"two keys have the same text {text!a:.60}", "make every key a plain string")
        members[text] = item
    utf16 = None if "".join(members).isascii() else _utf16
    return {key: members[key] for key in sorted(members, key=utf16)}


def _key(key: str) -> str:
    try:
        return _text(key)
    except _Unfit as unfit:
        raise _Unfit(f"the key {key!a:.60} has a lone surrogate", unfit.fix) from None


def _shown(key: object) -> str:
    try:
        return f" ({key!a:.60})"
    except Exception:  # An object may fail to show itself, and so does an integer of thousands of digits.
        return ""


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


_CURES = {
    "bytes": "send text, such as its base64",
    "bytearray": "send text, such as its base64",
    "datetime": "send its isoformat()",
    "date": "send its isoformat()",
    "time": "send its isoformat()",
    "timedelta": "send its total_seconds()",
    "Decimal": "send str() of it, or float() where rounding is right",
    "UUID": "send str() of it",
    "set": "send a sorted list",
    "frozenset": "send a sorted list",
}


def _foreign(kind: type[Any]) -> _Unfit:
    if issubclass(kind, Enum):
        fix = "send its value"
    elif hasattr(kind, "__dataclass_fields__"):
        fix = "send dataclasses.asdict() of it"
    elif hasattr(kind, "_asdict"):
        fix = "send its _asdict(), or list() of it"
    elif hasattr(kind, "model_dump"):
        fix = "send its model_dump(mode='json')"
    else:
        fix = _CURES.get(kind.__name__, "send a dict, list, string, number, boolean or null")
    return _Unfit(f"{f'{kind.__module__}.{kind.__qualname__}'.removeprefix('builtins.')} is no JSON type", fix)
