"""Secrets in inputs: what is recorded of them, and where they are put when the skill is called.

    {"headers": {"Authorization": "Bearer ${secrets.TOKEN}"}}

What is recorded, hashed and shown is that text. Which parts of it stand for secrets is known by their type alone, never
by reading text: a step's output that happens to hold `${secrets.TOKEN}` must not bring the secret to whoever wrote it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, cast

from .canonical import json_pointer
from .errors import CallError, NotCanonicalError, Problem

SECRET_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
"""How secrets are called: names that can stand in a path and in a variable of the environment."""
_PLACEHOLDER = re.compile(r"(?<!\$)\$\{secrets\.")
_TRACE: Final = b"${secrets."

MIN_CHARACTERS: Final = 4
"""Shorter secrets are refused: their value would be found, and masked, in all kinds of ordinary text."""
MAX_CHARACTERS: Final = 65_536
"""Longer ones are no secrets but files."""


class SecretText(str):
    """A text of which some parts stand for secrets; as a str it is what is recorded.

    `"Bearer " + secret("TOKEN")` is one too. In an f-string the parts would be lost, so that is refused.
    """

    __slots__ = ("parts",)

    parts: tuple[str | SecretName, ...]

    @classmethod
    def of(cls, parts: Sequence[str | SecretName]) -> SecretText:
        """The text of these parts."""
        text = cls("".join(part if isinstance(part, str) else part.placeholder for part in parts))
        text.parts = tuple(parts)
        return text

    @property
    def names(self) -> set[str]:
        """The secrets that it needs."""
        return {part.name for part in self.parts if isinstance(part, SecretName)}

    def revealed(self, values: Mapping[str, str]) -> str:
        """The text with the secrets in it."""
        return "".join(part if isinstance(part, str) else values[part.name] for part in self.parts)

    def __add__(self, other: str) -> SecretText:
        return SecretText.of((*self.parts, *_parts(other)))

    def __radd__(self, other: str) -> SecretText:
        return SecretText.of((*_parts(other), *self.parts))

    def __format__(self, spec: str) -> NoReturn:
        raise CallError(Problem("", f"{str(self)!r} is put into an f-string", 'write "text " + secret("NAME")'))


class SecretName(NamedTuple):
    """The place of one secret."""

    name: str

    @property
    def placeholder(self) -> str:
        """What is recorded of it."""
        return f"${{secrets.{self.name}}}"


class Mark(NamedTuple):
    """Where in some inputs a text with secrets stands: the keys and indexes that lead there."""

    path: tuple[str | int, ...]
    text: SecretText


class Sealed(NamedTuple):
    """The secrets that a call needs: where they go, and whose they are."""

    marks: Sequence[Mark]
    tenant: str

    @property
    def names(self) -> list[str]:
        """The secrets' names, sorted."""
        return sorted({name for mark in self.marks for name in mark.text.names})


def secret(name: str) -> SecretText:
    """Stands for a secret in the inputs of a skill, which alone sees its value; the log holds `${secrets.NAME}`.

    Raises CallError for what is no name: letters, digits and _, no digit first.
    """
    if not isinstance(cast(object, name), str) or not SECRET_NAME.fullmatch(name):
        raise CallError(Problem("", f"{ascii(name)[:80]} is no name of a secret", "letters, digits and _"))
    return SecretText.of((SecretName(name),))


def marks_of(value: Any, recorded: bytes) -> list[Mark]:
    """The secrets in `value`, whose canonical JSON is `recorded`.

    Raises NotCanonicalError for a secret as a key, or within a model or dataclass, from which it could not be told.
    """
    if not may_hold(recorded):
        return []
    marks: list[Mark] = []
    _gather(value, (), marks, set())
    return marks


def may_hold(recorded: bytes) -> bool:
    """Whether there can be secrets in what canonical JSON says so: what holds no placeholder's text holds none."""
    return _TRACE in recorded


def revealed(value: Any, marks: Sequence[Mark], values: Mapping[str, str]) -> Any:
    """`value`, which may be changed, with the secrets in their places."""
    for mark in marks:
        if not mark.path:
            return mark.text.revealed(values)
        container = value
        for part in mark.path[:-1]:
            container = container[part]
        container[mark.path[-1]] = mark.text.revealed(values)
    return value


def check_no_placeholder(value: Any, pointer: str, problems: list[Problem], what: str) -> None:
    """Add to `problems` where `value`, which stands at `pointer` of its document and is recorded, asks for a secret."""
    if isinstance(value, str):
        if _PLACEHOLDER.search(value):
            fix = "refer to it in a step's inputs; write $${secrets. for the text itself"
            problems.append(Problem(pointer, f"secrets are not resolved in {what}: they would be recorded", fix))
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            check_no_placeholder(item, pointer + json_pointer((str(key),)), problems, what)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            check_no_placeholder(item, f"{pointer}/{index}", problems, what)


def _parts(text: str) -> tuple[str | SecretName, ...]:
    return text.parts if isinstance(text, SecretText) else (text,)


def _gather(value: Any, path: tuple[str | int, ...], marks: list[Mark], within: set[int]) -> None:
    if isinstance(value, SecretText):
        marks.append(Mark(path, value))
        return
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        for key, item in members.items():
            if isinstance(key, SecretText):
                raise NotCanonicalError(Problem(json_pointer(path), "a secret stands as a key", "make it a value"))
            _gather(item, (*path, key), marks, within)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("Collection[Any]", value)):
            _gather(item, (*path, index), marks, within)
    elif (members := _fields_of(value)) and id(value) not in within:
        within.add(id(value))
        hidden: list[Mark] = []
        _gather(members, path, hidden, within)
        if hidden:
            reason = f"a secret stands within a {type(value).__name__}"
            raise NotCanonicalError(Problem(json_pointer(path), reason, "pass it as an argument of its own"))


def _fields_of(value: Any) -> dict[str, Any]:
    """What a dataclass or a model holds."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(getattr(value, "__dict__", {}))
