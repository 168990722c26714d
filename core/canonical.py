"""Canonical JSON (RFC 8785): one value, one sequence of bytes.

What is accepted: dict with str keys, list, tuple (written as an array), str, int, float, bool and None, and subclasses
of dict, list, str, int and float, of which the built-in content is written and everything else is lost. Refused, since
they would come back as something else: Enum members, dataclasses, named tuples, sets, bytes, dates, UUID, Decimal.

orjson writes RFC 8785 but for some floats and for the order of keys beyond the basic plane. So a quick scan finds what
it writes right as it stands, and what it does once the floats are rewritten; the rest takes the careful path, which
alone has to know the place of what it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import orjson

from .canonical_careful import MAX_DEPTH, MAX_INTEGER, MAX_VALUES, json_pointer, rewritten, rewritten_float
from .errors import DataErasedError
from .hashing import sha256_hex

__all__ = [
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MAX_VALUES",
    "Hidden",
    "Payload",
    "Placeholder",
    "canonical_json",
    "composed",
    "decode",
    "json_pointer",
    "placeholder",
]

_STRICT = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)


compact = b"".join
"""Given nothing and some bytes, a copy of these: what orjson (3.13) returns takes 4 KiB at least, for as long as it is
kept, and the pages for that take longer to come by than the copy."""


def canonical_json(value: object) -> bytes:
    """`value` as RFC 8785 writes it, in UTF-8.

    Raises NotCanonicalError with the RFC 6901 pointer of the first thing that has no canonical form: NaN, infinity, an
    integer beyond ±(2^53-1), a lone surrogate, a type that is not JSON's, a value that contains itself, more than
    MAX_DEPTH levels or MAX_VALUES values. What is wrong with a key is reported at the object that has the key.
    """
    shape = _PLAIN if _is_flat(value) else _shape(value)
    try:
        if shape == _PLAIN:
            return compact((b"", orjson.dumps(value, option=_STRICT)))
        if shape == _FLOATS:
            return compact((b"", orjson.dumps(_with_floats_rewritten(value), option=_STRICT)))
    except (orjson.JSONEncodeError, RecursionError):
        pass  # The careful path says where and why; it finds no fault where only the caller's stack was near its end.
    return compact((b"", orjson.dumps(rewritten(value))))


def composed(parts: object) -> bytes:
    """`canonical_json` of a value in which payloads stand for what they hold: their bytes are taken as they are.

    Keys are plain strings. Only what is not of a payload is looked at, and counts towards MAX_DEPTH and MAX_VALUES.
    Raises NotCanonicalError.
    """
    shape = _shape(parts, _PARTS)
    try:
        if shape == _FLOATS:
            parts = _with_floats_rewritten(parts)
        if shape != _ODD:
            return orjson.dumps(parts, default=_as_written, option=_STRICT)
    except (orjson.JSONEncodeError, RecursionError):
        pass
    return _joined(parts)


def _as_written(part: object) -> orjson.Fragment:
    if isinstance(part, Payload):
        return orjson.Fragment(part.data)
    raise TypeError


def decode(data: bytes, exact: int = 0) -> Any:
    """The value of canonical JSON, such that `canonical_json(decode(data)) == data`.

    A plain JSON reader does not do: RFC 8785 writes the float 1e17 as 100000000000000000, which would come back as an
    integer that has no canonical form. Integers beyond ±(2^53-1) are therefore read as the floats they were.
    Of integers that long (16 digits), `exact` are known to be no larger: only where there are more is it looked closer.
    Raises ValueError for bytes that are no JSON; other faults are not looked for, see `refold.core.documents`.
    """
    marked = data.translate(_DIGITS)
    if data.isdigit() or (marked.count(_LONG_INTEGER) > exact and _goes_beyond(data, marked)):
        return json.loads(data, parse_int=_integer_or_float)
    return orjson.loads(data)


def _goes_beyond(data: bytes, marked: bytes) -> bool:
    """Whether what looks like an integer goes beyond MAX_INTEGER: times in microseconds, for one, do not."""
    place = marked.find(_LONG_INTEGER)
    while place >= 0:
        after = place + len(_LONG_INTEGER)
        if data[place + 1 : after] > _LARGEST or marked[after : after + 1] == b"0":
            return True
        place = marked.find(_LONG_INTEGER, after)
    return False


class Placeholder(dict[str, Any]):
    """What stands for a sensitive value; an object in JSON, and known by its type. See `refold.core.sensitive`."""


def placeholder(name: str) -> Placeholder:
    """The placeholder of what is called `name`."""
    return Placeholder({"$sensitive": name})


class Hidden(NamedTuple):
    """What a sensitive payload hides: its canonical bytes, None where they cannot be read, and for an object of which
    some members are sensitive, their names."""

    plain: bytes | None
    names: tuple[str, ...] | None


class Payload:
    """A JSON value held as its canonical bytes; its parts are computed when first asked for, and never change.

    The parts are slots that `__getattr__` fills: Python calls it only while a slot is empty, so that on the hot path
    reading a part costs no call.
    """

    __slots__ = ("data", "hidden", "sha256", "value")

    data: bytes
    """The canonical bytes."""
    value: Any
    """The value as read back from the bytes (1.0 has become 1). Shared: read it only, or take `fresh()`."""
    sha256: str
    """SHA-256 of the canonical bytes, in hexadecimal."""
    hidden: Hidden | None
    """Of a sensitive payload, of which all else is a placeholder's: what it hides."""

    @classmethod
    def of(cls, value: object) -> Payload:
        """Canonicalises `value`, of which nothing is kept; raises NotCanonicalError."""
        payload = cls()
        payload.data = data = canonical_json(value)
        payload.sha256 = sha256_hex(data)  # Whatever is made is hashed: an input, an output.
        payload.hidden = None
        return payload

    @classmethod
    def from_canonical(cls, data: bytes) -> Payload:
        """Trusts that `data` came from `canonical_json`."""
        payload = cls()
        payload.data = data
        payload.hidden = None
        return payload

    @classmethod
    def decoded(cls, value: Any) -> Payload:
        """Trusts that `value` came from `decode`, is not changed afterwards, and so has a canonical form."""
        payload = cls()
        payload.value = value
        payload.hidden = None
        return payload

    def __getattr__(self, name: str) -> Any:
        if name == "data":
            part = canonical_json(self.value)
        elif name == "value":
            part = decode(self.data)
        elif name == "sha256":
            part = sha256_hex(self.data)
        elif name == "hidden":
            part = None
        else:
            raise AttributeError(name)
        setattr(self, name, part)
        return part

    def fresh(self) -> Any:
        """A copy of the value for code that may change it."""
        return decode(self.data)

    def revealed(self) -> Payload:
        """The payload itself, with the values of what is sensitive.

        Raises DataErasedError where these are gone, or the key to them is not here.
        """
        hidden = self.hidden
        if hidden is None:
            return self
        if hidden.plain is None:
            raise DataErasedError("the data was erased, or the key to it is not here")
        return Payload.from_canonical(hidden.plain)

    def __len__(self) -> int:
        """The size in bytes."""
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, Payload) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        text = self.data.decode()
        return f"Payload({text if len(text) <= 80 else text[:77] + '...'})"


_kind_of: Callable[[Any], type[Any]] = type  # `type` itself, under types that the checker can follow.

# The shapes of a value, by what orjson (set to be strict) does with it.
_PLAIN = 0  # It writes the value canonically, or refuses it.
_FLOATS = 1  # So it does once the floats are rewritten.
_ODD = 2  # It may write something else.


_ATOMS = frozenset((str, int, bool, type(None)))


def _is_flat(value: Any) -> bool:
    """Whether `value` is an object of nothing but atoms, as most inputs and outputs are: `_shape`, in half the time."""
    if _kind_of(value) is not dict:
        return False
    for key, item in value.items():
        if _kind_of(item) not in _ATOMS or _kind_of(key) is not str or not key.isascii():
            return False
    return True


def _shape(value: Any, atoms: frozenset[type[Any]] = _ATOMS) -> int:
    """Looks at each value once, level by level; at the characters of keys, but not of strings."""
    shape = _PLAIN
    level: list[Any] = [[value]]
    count = 0
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for container in level:
            count += len(container)
            if count > MAX_VALUES:
                return _ODD
            items = container
            kind = _kind_of(container)
            if kind is dict:
                for key in container:
                    # Below the surrogates, code points and UTF-16 units have the same order.
                    if type(key) is not str or not (key.isascii() or max(key) < "\ud800"):
                        return _ODD
                items = container.values()
            for item in items:
                kind = _kind_of(item)
                if kind in atoms:
                    continue
                if kind is dict or kind is list or kind is tuple:
                    deeper.append(item)
                elif kind is not float or item - item != 0:  # NaN or infinity
                    return _ODD
                elif not 1e-4 < abs(item) < 1e15 or item.is_integer():
                    shape = _FLOATS
        if not deeper:
            return shape
        level = deeper
    return _ODD


def _with_floats_rewritten(value: Any) -> Any:
    """A copy of a value of shape _FLOATS in which orjson writes each float canonically."""
    kind = _kind_of(value)
    if kind is float:
        return rewritten_float(value)
    if kind is dict:
        return {
            key: item if type(item) in _WRITTEN_RIGHT else _with_floats_rewritten(item) for key, item in value.items()
        }
    return [item if type(item) in _WRITTEN_RIGHT else _with_floats_rewritten(item) for item in value]


def _joined(part: Any) -> bytes:
    """The slow way of `composed`, which has no doubt about floats and the order of keys."""
    if type(part) is Payload:
        return part.data
    if type(part) is dict:
        members = cast("dict[str, Any]", part)
        ordered = sorted(members, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return b"{" + b",".join(canonical_json(key) + b":" + _joined(members[key]) for key in ordered) + b"}"
    if type(part) is list or type(part) is tuple:
        return b"[" + b",".join(map(_joined, cast("list[Any]", part))) + b"]"
    return canonical_json(part)


_PARTS = _ATOMS | {Payload}
_WRITTEN_RIGHT = _PARTS

# Sixteen digits at the start of a value: found through a table four times as fast as by a pattern.
_DIGITS = bytes(ord(",") if byte in b":,[-" else ord("0") if byte in b"0123456789" else byte for byte in range(256))
_LONG_INTEGER = b"," + b"0" * 16
_LARGEST = str(MAX_INTEGER).encode()


def _integer_or_float(digits: str) -> int | float:
    number = int(digits)
    if -MAX_INTEGER <= number <= MAX_INTEGER:
        return number
    try:
        return float(number)
    except OverflowError:
        raise ValueError("an integer beyond all floats") from None
