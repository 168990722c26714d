r"""The reference language of specs: how a step's inputs name what other steps put out.

    ${step}  ${step.field}  ${step.rows[0].name}  ${step["any key"].x}  ${inputs}  ${inputs.x.y[2]}

A string that is one whole reference stands for the value itself; inside a longer string strings are put in as they
are and everything else as canonical JSON. `$${` is a literal `${`. Fields after a dot are `[A-Za-z_][A-Za-z0-9_-]*`;
other keys stand in brackets as JSON strings (RFC 8259). Only lists have indexes, from 0. Keys are never interpolated,
and what a reference brings in is never read for further references.

    ${secrets.NAME}

is allowed where a step's inputs are, and stays what it is: `refold.core.secret_marks` says what becomes of it.

Templates are compiled once and resolved on the hot path, hence closures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, cast

from .canonical import MAX_DEPTH, Placeholder, canonical_json, json_pointer, placeholder
from .errors import Problem, RefoldError
from .secret_marks import SECRET_NAME, SecretName, SecretText

INPUTS: Final = "inputs"
"""The root that stands for the run's inputs; no step may be called so."""
SECRETS: Final = "secrets"
"""The root of secrets; no step may be called so."""
MAX_REFERENCES: Final = 20_000
"""References in one template: twice as many as a spec may have steps."""
MAX_TEXT: Final = 16_000_000
"""Characters that one interpolated string may grow to: protects memory, far above the limit on a step's inputs."""
MAX_PROBLEMS: Final = 50
"""Problems that are collected; a document with more is broken enough."""


class _Failed:
    __slots__ = ()

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = _Failed()
"""What `Scope.output` gives for a step that has no output for good: every reference to or into it becomes null."""


class Scope(Protocol):
    """What a template is resolved against: the inputs and outputs of one run, as decoded JSON."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The run's inputs."""
        ...

    def output(self, step_id: str) -> Any:
        """The output of an ended step, or `FAILED`."""
        ...


class UnresolvedReferenceError(RefoldError):
    """A reference names something that the value does not have: where it stands, its text, and the missing part."""

    code = "REFERENCE_UNRESOLVED"

    def __init__(self, pointer: str, reference: str, reason: str):
        super().__init__(f"at {pointer}: {reference}: {reason}" if pointer else f"{reference}: {reason}")
        self.pointer = pointer
        self.reference = reference
        self.reason = reason


class TextTooLongError(RefoldError):
    """An interpolated string would grow beyond `MAX_TEXT` characters."""

    code = "INPUT_TOO_LARGE"


class Reference(NamedTuple):
    """One reference: a step's id or `inputs`, the way from there, and where in the document which text stands."""

    root: str
    path: tuple[str | int, ...]
    pointer: str
    text: str


Resolver = Callable[[Scope], Any]
"""Gives the value of a template for one run."""
_Container = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value with references in it.

    `references` holds them in document order. `resolve(scope)` gives the value with each reference replaced; it raises
    UnresolvedReferenceError or TextTooLongError. What it returns shares parts with the template and with the outputs:
    nobody may alter it. Without references it is always the same object. Where `secrets` are needed, texts with them
    come as `SecretText`.
    """

    references: tuple[Reference, ...]
    resolve: Resolver
    secrets: frozenset[str] = frozenset()


def compile_template(value: Any, pointer: str, problems: list[Problem], *, secrets: bool = False) -> Template:
    """The template of the JSON value `value`, which stands at `pointer` of its document.

    What is wrong is added to `problems` (up to `MAX_PROBLEMS`), and the template is then of no use. `secrets` allows
    references to them.
    """
    compiler = _Compiler(problems, secrets)
    constant, resolver = compiler.value(value, pointer, 0)
    return Template(tuple(compiler.references), resolver or _constant(constant), frozenset(compiler.secrets))


def compile_text(value: str, pointer: str, problems: list[Problem]) -> Template:
    """The same for a string that must stay one: a whole reference is interpolated too."""
    compiler = _Compiler(problems, False)
    pieces = compiler.pieces(value, pointer)
    resolver = _joined(pieces) if compiler.references else _constant("".join(map(str, pieces)))
    return Template(tuple(compiler.references), resolver)


# Possessive quantifiers: a failed attempt never looks at a character twice. Each of the alternatives begins with a
# dollar, so the text between is skipped at the speed of a search.
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*+"
_INDEX = r"0|[1-9][0-9]{0,8}+"
_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_TOKEN = re.compile(rf"\$\$\{{|\$\{{({_NAME})((?:\.{_NAME}|\[(?:{_INDEX}|{_STRING})\])*+)\}}|\$\{{")
_PART = re.compile(rf"\.({_NAME})|\[({_INDEX})\]|\[({_STRING})\]")


def invalid_references(text: str) -> Iterator[tuple[int, bool]]:
    """Where in `text` a `${` begins no valid reference, and whether it is a literal one, `$${`, of such a shape."""
    for match in _TOKEN.finditer(text):
        literal = match[0] == "$${"
        token = _TOKEN.match(text, match.start() + 1) if literal else match
        if token is None or token[1] in (None, SECRETS):
            yield match.start(), literal


class _Compiler:
    """One pass over a value; a value that needs no resolving comes back with no resolver."""

    __slots__ = ("allows_secrets", "problems", "references", "secrets")

    def __init__(self, problems: list[Problem], allows_secrets: bool):
        self.problems = problems
        self.references: list[Reference] = []
        self.allows_secrets = allows_secrets
        self.secrets: set[str] = set()

    def refuse(self, pointer: str, reason: str, fix: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(pointer, reason, fix))

    def value(self, value: Any, pointer: str, depth: int) -> tuple[Any, Resolver | None]:
        if isinstance(value, str):
            return self.text(value, pointer) if "${" in value else (value, None)
        if not _is_container(value):
            return value, None
        if depth >= MAX_DEPTH:
            self.refuse(pointer, f"nested more than {MAX_DEPTH} levels deep", "make it flatter")
            return value, None
        return self.container(value, pointer, depth + 1)

    def container(self, value: _Container, pointer: str, depth: int) -> tuple[Any, Resolver | None]:
        constant: Any = value
        dynamic: list[tuple[str | int, Resolver]] = []
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and "${" in key:
                self.refuse(
                    pointer + json_pointer((key,)),
                    "references in keys are not resolved",
                    "put the reference in a value",
                )
            # Most members are plain: for these not even a pointer is made.
            if not _is_container(item) and not (isinstance(item, str) and "${" in item):
                continue
            made, resolver = self.value(item, pointer + json_pointer((key,)), depth)
            if resolver is not None:
                dynamic.append((key, resolver))
            elif made is not item:
                constant = value.copy() if constant is value else constant
                constant[key] = made
        return constant, _filled(constant.copy(), tuple(dynamic)) if dynamic else None

    def text(self, text: str, pointer: str) -> tuple[Any, Resolver | None]:
        pieces = self.pieces(text, pointer)
        if len(pieces) == 1 and isinstance(pieces[0], Reference):
            return text, _fetch(pieces[0])
        if any(isinstance(piece, Reference) for piece in pieces):
            return text, _joined(pieces)
        return _text(cast("list[_Literal]", pieces)), None

    def pieces(self, text: str, pointer: str) -> list[_Piece]:
        """`text` as literals and references; the first thing wrong in it is reported, the rest is then left."""
        pieces: list[_Piece] = []
        end = 0
        for match in _TOKEN.finditer(text):
            if match.start() > end:
                pieces.append(text[end : match.start()])
            end = match.end()
            if match[0] == "$${":
                pieces.append("${")
                continue
            if len(self.references) >= MAX_REFERENCES:
                self.refuse(
                    pointer, f"more than {MAX_REFERENCES} references", "gather the values in a step of their own"
                )
                return []
            reference = self.reference(match, text, pointer)
            if reference is None:
                return []
            pieces.append(reference)
            if isinstance(reference, Reference):
                self.references.append(reference)
            else:
                self.secrets.add(reference.name)
        if end < len(text):
            pieces.append(text[end:])
        return pieces

    def reference(self, match: re.Match[str], text: str, pointer: str) -> Reference | SecretName | None:
        root = match[1]
        if root is None:
            excerpt = _excerpt(text, match.start())
            self.refuse(pointer, f"{excerpt} is no valid reference", "write $${ for a literal ${")
            return None
        if root == SECRETS:
            return self.secret(match, text, pointer)
        path = tuple(_part(part) for part in _PART.finditer(match[2]))
        if root == INPUTS and path and isinstance(path[0], int):
            self.refuse(
                pointer, f"{_excerpt(text, match.start())}: inputs have names, not indexes", "write ${inputs.x}"
            )
            return None
        return Reference(root, path, pointer, match[0])

    def secret(self, match: re.Match[str], text: str, pointer: str) -> SecretName | None:
        excerpt = _excerpt(text, match.start())
        if not self.allows_secrets:
            fix = "refer to it in a step's inputs: what stands here is recorded"
            self.refuse(pointer, f"{excerpt}: secrets are resolved in steps' inputs only", fix)
            return None
        name = match[2].removeprefix(".")
        if not SECRET_NAME.fullmatch(name):
            self.refuse(pointer, f"{excerpt} names no secret", "write ${secrets.NAME}, of letters, digits and _")
            return None
        return SecretName(name)


_Literal = str | SecretName
_Piece = str | SecretName | Reference


def _text(pieces: list[_Literal]) -> str:
    """The text of pieces that need no resolving."""
    if any(isinstance(piece, SecretName) for piece in pieces):
        return SecretText.of(pieces)
    return "".join(map(str, pieces))


def _is_container(value: Any) -> TypeGuard[_Container]:
    return isinstance(value, dict | list)


def _part(match: re.Match[str]) -> str | int:
    name, index, quoted = match.groups()
    return name if name is not None else int(index) if index is not None else json.loads(quoted)


def _excerpt(text: str, start: int) -> str:
    shown = text[start : start + 41]
    closed = shown.find("}") + 1
    shown = shown[:closed] if closed else shown if len(shown) <= 40 else shown[:40] + "..."
    return "'" + shown.encode("unicode_escape").decode() + "'"


def _constant(value: Any) -> Resolver:
    return lambda scope: value


def _filled(constant: Any, dynamic: tuple[tuple[str | int, Resolver], ...]) -> Resolver:
    def resolve(scope: Scope) -> Any:
        # A copy keeps the order of the keys, at less cost than building anew.
        filled = constant.copy()
        for key, resolver in dynamic:
            filled[key] = resolver(scope)
        return filled

    return resolve


def _joined(pieces: Sequence[_Piece]) -> Resolver:
    parts = tuple(_fetch(piece) if isinstance(piece, Reference) else piece for piece in pieces)
    has_secrets = any(isinstance(piece, SecretName) for piece in pieces)

    def resolve(scope: Scope) -> str:
        texts: list[_Literal] = []
        room = MAX_TEXT
        for part in parts:
            value = part(scope) if callable(part) else part
            if isinstance(value, SecretName):
                texts.append(value)
                continue
            text = value if isinstance(value, str) else canonical_json(value).decode()
            room -= len(text)
            if room < 0:
                raise TextTooLongError(f"an interpolated string would be longer than {MAX_TEXT} characters")
            texts.append(text)
        return SecretText.of(texts) if has_secrets else "".join(cast("list[str]", texts))

    return resolve


def _fetch(reference: Reference) -> Resolver:
    root, path = reference.root, reference.path
    way = tuple((dict if isinstance(part, str) else list, part) for part in path)
    from_inputs = root == INPUTS

    def resolve(scope: Scope) -> Any:
        value: Any = scope.inputs if from_inputs else scope.output(root)
        if value is FAILED:
            return None
        start = value
        for kind, part in way:
            if value.__class__ is not kind:
                if value.__class__ is Placeholder:
                    return placeholder(reference.text[2:-1])
                if not _holds(value, part):
                    raise _unresolved(reference, start)
            try:
                value = value[part]
            except LookupError:
                raise _unresolved(reference, start) from None
        return value

    return resolve


def _holds(value: Any, part: str | int) -> bool:
    """Whether `value` is a kind of object or list that is none of JSON's own, such as a read-only mapping."""
    return isinstance(value, Mapping if isinstance(part, str) else list | tuple)


def _unresolved(reference: Reference, value: Any) -> UnresolvedReferenceError:
    """The error for a reference whose way from `value` breaks off; walks it once more to see where."""
    for part in reference.path:
        if not _holds(value, part):
            wanted = f"field {_short(part)}" if isinstance(part, str) else f"index {part}"
            return _error(reference, f"there is no {wanted}: {_kind(value)} has none")
        try:
            value = value[part]
        except KeyError:
            return _error(reference, f"there is no field {_short(part)}; {_keys(value)}")
        except IndexError:
            return _error(reference, f"there is no index {part}; the list has {len(value)} items")
    raise AssertionError("the reference can be resolved")


def _error(reference: Reference, reason: str) -> UnresolvedReferenceError:
    text = reference.text
    return UnresolvedReferenceError(reference.pointer, text if len(text) <= 200 else text[:197] + "...", reason)


def _keys(value: Mapping[str, Any]) -> str:
    if not value:
        return "the object is empty"
    names = [_short(key) for _, key in zip(range(10), value, strict=False)]
    more = f" and {len(value) - 10} more" if len(value) > 10 else ""
    return f"there is {', '.join(names)}{more}"


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = ((str, "a string"), (int | float, "a number"), (Mapping, "an object"))
    return next((name for kind, name in names if isinstance(value, kind)), "a list")


def _short(key: object) -> str:
    shown = json.dumps(key)
    return shown if len(shown) <= 40 else shown[:36] + '..."'
