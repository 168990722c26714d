"""The plain part of YAML 1.2, read from the parser's events into the values that JSON has.

PyYAML's composer and constructors are not used: they follow YAML 1.1 (`on` is true, `1:30` is 90), call themselves once
for every level of nesting, and let the last of two equal keys win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, cast

import yaml

from .canonical import MAX_DEPTH, MAX_INTEGER, json_pointer
from .errors import DocumentError, Problem


def read_yaml(source: str, max_expanded: int) -> Any:
    """The value of the one document in `source`; DocumentError if it expands to more than `max_expanded` characters."""
    tag_directive = re.search("^%TAG", source, re.MULTILINE)
    if tag_directive:  # The parser compares each with all before it, which takes quadratic time.
        raise DocumentError(Problem("", "%TAG directives are not supported", "remove it, and the tags"))
    reading = _Reading(max_expanded)
    for event in _events(source, reading):
        reading.take(event)
    if reading.documents == 0:
        raise DocumentError(Problem("", "the document is empty"))
    return reading.root


# The parser in C is optional in PyYAML; the other gives the same events ten times as slowly.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_parse: Callable[..., Iterator[Any]] = cast("Any", yaml).parse


def _events(source: str, reading: _Reading) -> Iterator[Any]:
    try:
        yield from _parse(source, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        reading.fail(str(error.problem or error.context), error.problem_mark or error.context_mark)
    except yaml.reader.ReaderError as error:
        reading.fail(f"character U+{error.character:04X} is not allowed in YAML")
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        reading.fail(str(error))


class _Node(NamedTuple):
    """A finished value, the characters it expands to (at least one a value), and how deep it is."""

    value: Any
    size: int
    height: int


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "height", "key", "size_before", "value")

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None, size_before: int):
        self.value = value
        self.anchor = anchor
        self.key: str | None = None  # in a mapping, the key whose value comes next
        self.size_before = size_before
        self.height = 1


class _Reading:
    def __init__(self, max_expanded: int):
        self.max_expanded = max_expanded
        self.root: Any = None
        self.documents = 0
        self.frames: list[_Frame] = []
        self.anchors: dict[str, _Node | None] = {}  # None while the collection is still being read
        self.size = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self.scalar(event)
            case yaml.AliasEvent():
                self.alias(event)
            case yaml.MappingStartEvent():
                self.open({}, event)
            case yaml.SequenceStartEvent():
                self.open([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.close()
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self.fail("a second document begins", event.start_mark, "send one document")
            case _:
                pass

    def scalar(self, event: Any) -> None:
        text: str = event.value
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                self.fail("lone surrogate in a string", event.start_mark, "send whole characters")
        is_plain = self.untagged(event) and not event.style
        if is_plain and text == "<<" and self.expects_key():
            self.fail("merge keys (<<) are not in YAML 1.2", event.start_mark, "write the entries out")
        try:
            value = _core_schema(text) if is_plain else text
        except _NotJsonError as error:
            self.fail(str(error), event.start_mark, "quote it")
        node = _Node(value, 1 + len(text), 0)
        self.size += node.size
        if event.anchor:
            self.anchors[event.anchor] = node
        self.put(node, event)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            self.fail(f"no anchor &{event.anchor} comes before", event.start_mark)
        node = self.anchors[event.anchor]
        if node is None:
            self.fail(f"*{event.anchor} contains itself", event.start_mark, "write a tree")
        self.size += node.size
        if self.size > self.max_expanded:
            self.fail(f"the aliases expand to more than {self.max_expanded} characters", event.start_mark)
        self.put(node, event)

    def open(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        if not self.untagged(event):
            self.fail("tag !!str on a collection", event.start_mark, "remove the tag")
        if self.expects_key():
            self.fail("a collection as key", event.start_mark, "make every key a string")
        if len(self.frames) == MAX_DEPTH:
            self.too_deep(event)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(value, event.anchor, self.size))
        self.size += 1

    def close(self) -> None:
        frame = self.frames.pop()
        node = _Node(frame.value, self.size - frame.size_before, frame.height)
        if frame.anchor:
            self.anchors[frame.anchor] = node
        self.put(node, None)

    def put(self, node: _Node, event: Any) -> None:
        """Puts a finished value where it belongs; for a key, `event` tells the place."""
        if not self.frames:
            self.root = node.value
            return
        frame = self.frames[-1]
        if len(self.frames) + node.height > MAX_DEPTH:
            self.too_deep(event)
        frame.height = max(frame.height, node.height + 1)
        if isinstance(frame.value, list):
            frame.value.append(node.value)
        elif frame.key is None:
            frame.key = self.checked_key(node.value, frame.value, event)
        else:
            frame.value[frame.key] = node.value
            frame.key = None

    def checked_key(self, key: Any, seen: dict[str, Any], event: Any) -> str:
        if not isinstance(key, str):
            self.fail("a key that is no string", event.start_mark, "quote it")
        if key in seen:
            self.frames[-1].key = key
            self.fail("the key occurs twice in its mapping", event.start_mark, "keep one of them")
        return key

    def expects_key(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1].value, dict) and self.frames[-1].key is None

    def untagged(self, event: Any) -> bool:
        """Whether the node has no tag; False for `!!str`, and any other is refused."""
        if event.tag in (None, "!"):
            return True
        if event.tag != "tag:yaml.org,2002:str":
            self.fail(f"the tag {event.tag:.60} is not supported", event.start_mark, "remove the tag")
        return False

    def too_deep(self, event: Any) -> NoReturn:
        self.fail(f"nested deeper than {MAX_DEPTH} levels", event and event.start_mark, "flatten the document")

    def fail(self, reason: str, mark: Any = None, fix: str = "") -> NoReturn:
        path = [frame.key if isinstance(frame.value, dict) else len(frame.value) for frame in self.frames]
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        pointer = json_pointer(part for part in path if part is not None)
        raise DocumentError(Problem(pointer, reason + where, fix))


class _NotJsonError(ValueError):
    """A scalar of the core schema that JSON cannot carry."""


# YAML 1.2.2, section 10.3.2.
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def _core_schema(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        sign = "-" if text[0] == "-" else ""
        return _bounded(sign + (text.lstrip("+-").lstrip("0") or "0"), 10)
    if _BASED.fullmatch(text):
        return _bounded(text[2:].lstrip("0") or "0", 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) == float("inf"):
            raise _NotJsonError("number beyond the range of a 64-bit float")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise _NotJsonError(f"{text} is no JSON number")
    return text


def _bounded(digits: str, base: int) -> int:
    # Counted first: turning a million digits into a number takes quadratic time.
    if len(digits) > 18 or not -MAX_INTEGER <= (number := int(digits, base)) <= MAX_INTEGER:
        raise _NotJsonError("integer beyond ±(2^53-1), which JSON does not carry exactly")
    return number
