"""Reading documents that people and programs send: strict JSON (RFC 8259, RFC 7493) and the plain part of YAML 1.2.

A document is refused, with pointer, place and cure, rather than read in a way that its author may not have meant:
duplicate keys, numbers that would change, text that is no Unicode, nesting and sizes that only attacks have.
What is read always has a canonical form (`refold.core.canonical`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from .canonical import MAX_DEPTH, MAX_INTEGER
from .errors import DocumentError, Problem
from .json_faults import first_fault, place
from .yaml_reader import read_yaml

MAX_DOCUMENT_BYTES = 8_000_000
"""The largest document read unless told otherwise: bytes of UTF-8; also what a YAML document may expand to."""


def parse_json(text: str | bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """The value of a JSON text of at most `max_bytes` bytes.

    Raises DocumentError with the first fault of the text: its RFC 6901 pointer, line and column (both from 1).
    """
    source = _source(text, max_bytes)
    try:
        value = _DECODER.decode(source)
        if not _is_too_deep(value, source):
            if "\\u" in source:
                orjson.dumps(value)  # It refuses lone surrogates, which the decoder lets through.
            return value
    except (ValueError, TypeError, RecursionError):
        pass  # The decoder knows no pointers: they are found in a second, slower reading.
    fault = first_fault(source)
    raise DocumentError(fault or Problem("", "the text cannot be read: the call stack is nearly used up"))


def parse_yaml(text: str | bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """The value of one YAML document, with the scalars of the YAML 1.2 core schema (section 10.3) and string keys.

    `yes`, `on`, `1:30` and `2024-01-01` are strings. An alias gives the same object again, so treat the value as
    read-only; what it expands to counts against `max_bytes`. Refused, besides what JSON refuses: tags other than
    `!!str`, merge keys, keys that are no strings, several documents. Raises DocumentError as `parse_json` does.
    """
    return read_yaml(_source(text, max_bytes), max_bytes)


def parse_document(text: str | bytes, *, name: str = "", max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """JSON or YAML: by the ending of the file's `name`, otherwise JSON if the first character is `{` or `[`."""
    ending = name.lower().rpartition(".")[2]
    if ending not in ("json", "yaml", "yml"):
        blank, brackets = (b" \t\r\n", (b"{", b"[")) if isinstance(text, bytes) else (" \t\r\n", ("{", "["))
        ending = "json" if text.lstrip(blank).startswith(brackets) else "yaml"  # pyright: ignore[reportArgumentType]
    return (parse_json if ending == "json" else parse_yaml)(text, max_bytes=max_bytes)


def _source(text: str | bytes, max_bytes: int) -> str:
    """`text` as valid Unicode within the limit, without a byte order mark."""
    if isinstance(text, str):
        try:
            size = len(text) if text.isascii() or len(text) > max_bytes else len(text.encode())
        except UnicodeEncodeError as error:
            surrogate = f"lone surrogate U+{ord(text[error.start]):04X} ({place(text, error.start)})"
            raise DocumentError(Problem("", surrogate, "send whole characters")) from None
    else:
        size = len(text)
    if size > max_bytes:
        raise DocumentError(Problem("", f"the document is larger than {max_bytes} bytes", "send a smaller one"))
    source = text if isinstance(text, str) else _decoded(text)
    if source.startswith("\ufeff"):
        raise DocumentError(Problem("", "the document starts with a byte order mark", "save it as UTF-8 without BOM"))
    return source


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02X} at offset {error.start}"
        raise DocumentError(Problem("", f"the document is not UTF-8: {byte}", "save it as UTF-8")) from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _integer(digits: str) -> int:
    # Counted first: turning a million digits into a number takes quadratic time.
    if len(digits) > 17 or not -MAX_INTEGER <= (number := int(digits)) <= MAX_INTEGER:
        raise ValueError("integer too large")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise ValueError("number too large")
    return number


def _constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _is_too_deep(value: Any, source: str) -> bool:
    if source.count("[") + source.count("{") <= MAX_DEPTH:
        return False
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [item for container in level for item in _items(container) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _items(container: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return container if isinstance(container, list) else container.values()
