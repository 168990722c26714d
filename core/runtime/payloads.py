"""Values of the user's code as canonical JSON, and back into what annotations ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin
from uuid import UUID

from ..canonical import Payload, json_pointer
from ..errors import CallError, Failure, NotCanonicalError, Problem
from ..limits import Limits
from ..secret_marks import Mark, marks_of, may_hold
from .wait import Wait

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a part of a value, outermost first."""

Reader = Callable[[Payload], Any]
"""Makes a Python value of a recorded one."""

_SCALARS = (date, time, timedelta, Decimal, Enum, UUID)
"""What annotations read from JSON is written as the JSON that they read."""

_PLAIN = (Any, None, type(None), object, dict, list, str, int, float, bool)


def reader_of(annotation: Any) -> Reader:
    """Reads recorded values as `annotation` says: models, dataclasses, dates; plain JSON types as they are.

    The reader raises `Failure` SKILL_OUTPUT_INVALID for a value that does not fit.
    """
    # A skill that waits returns a Wait and outputs what came of it: a signal's payload, a child's output.
    if get_origin(annotation) in (Union, UnionType) and Wait in get_args(annotation):
        annotation = Union[tuple(each for each in get_args(annotation) if each is not Wait)]  # noqa: UP007
    if annotation is Wait or annotation in _PLAIN:
        return Payload.fresh
    from pydantic import TypeAdapter

    try:
        validate = TypeAdapter[Any](annotation).validate_json
    except Exception:  # an annotation that pydantic cannot follow says nothing of the JSON
        return Payload.fresh

    def read(payload: Payload) -> Any:
        try:
            return validate(payload.data)
        except Exception as error:  # validators of the user's models run here
            message = f"the recorded output is not what the annotation says: {first_line(error)}"
            raise Failure("SKILL_OUTPUT_INVALID", message, retryable=False) from error

    return read


def output_of(result: Any, limit: int = Limits().payload_bytes) -> Payload:
    """What a skill returned, as canonical JSON of at most `limit` bytes.

    JSON values as they are, tuples as arrays; pydantic models, dataclasses, enums, dates, UUIDs and decimals as the
    JSON that pydantic makes of them.
    Raises `Failure`: SKILL_OUTPUT_INVALID with a pointer for anything else, OUTPUT_TOO_LARGE.
    """
    try:
        payload = payload_of(result)
    except NotCanonicalError as error:
        raise Failure("SKILL_OUTPUT_INVALID", f"the output is no JSON value: {error}", retryable=False) from error
    except RecursionError:
        raise Failure("SKILL_OUTPUT_INVALID", "the output is nested too deeply", retryable=False) from None
    if len(payload.data) > limit:
        message = f"the output takes {len(payload)} bytes, more than {limit}; store it elsewhere, return where"
        raise Failure("OUTPUT_TOO_LARGE", message, retryable=False)
    return payload


def payload_of(value: Any) -> Payload:
    """`value` as canonical JSON, its models and dataclasses dumped. Raises NotCanonicalError with a pointer, also for
    a secret: what has no place for one would come to hold its name."""
    payload = _payload_of(value)
    if may_hold(payload.data) and (marks := marks_of(value, payload.data)):
        pointer, name = json_pointer(marks[0].path), sorted(marks[0].text.names)[0]
        fix = "only the inputs of skills may hold secrets"
        raise NotCanonicalError(Problem(pointer, f"the secret {name!r} has no place here", fix))
    return payload


def sealed_payload_of(value: Any) -> tuple[Payload, Sequence[Mark]]:
    """The same for what may hold secrets: as it is recorded, and where they are."""
    payload = _payload_of(value)
    return payload, marks_of(value, payload.data)


def _payload_of(value: Any) -> Payload:
    try:
        return Payload.of(value)
    except NotCanonicalError:
        # Most values are plain JSON and never come here; the others are taken apart and tried again.
        return Payload.of(_as_json(value, (), {}))


def inputs_payload(inputs: dict[str, Any], limit: int) -> Payload:
    """The inputs of a run as canonical JSON of at most `limit` bytes. Raises CallError with pointers."""
    try:
        payload = payload_of(inputs)
    except NotCanonicalError as error:
        raise CallError([p._replace(pointer=f"/inputs{p.pointer}") for p in error.problems]) from error
    if len(payload) > limit:
        reason = f"the inputs take {len(payload)} bytes, more than {limit}"
        raise CallError(Problem("/inputs", reason, "store the data elsewhere and pass where it is"))
    return payload


def _as_json(value: Any, path: Path, known: dict[int, Any]) -> Any:
    """`value` with its models and dataclasses dumped; what is no JSON either way stays, to be refused with its place.

    `known` holds the copies by the originals' ids: a list held many times stays one, for the canonical form to count.
    """
    if hasattr(value, "__await__"):
        raise NotCanonicalError(Problem(json_pointer(path), f"a {type(value).__name__} is not its result", "await it"))
    if isinstance(value, _SCALARS):
        return _dumped(value, path)
    identity = id(value)
    if identity in known:
        return known[identity]
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value).items()
        copy: Any = {key: _as_json(item, (*path, key), known) for key, item in items}
    elif isinstance(value, list) or type(value) is tuple:
        copy = [_as_json(item, (*path, i), known) for i, item in enumerate(cast(list[Any], value))]
    elif not isinstance(value, type) and (dataclasses.is_dataclass(value) or hasattr(value, "model_dump")):
        copy = _dumped(value, path)
    else:
        return value
    known[identity] = copy
    return copy


def _dumped(value: Any, path: Path) -> Any:
    from pydantic import TypeAdapter

    try:
        adapter = TypeAdapter[Any](cast(type[Any], type(value)))
        _refuse_sets(adapter.dump_python(value, warnings="error"), path)
        return adapter.dump_python(value, mode="json", warnings="error")
    except NotCanonicalError:
        raise
    except Exception as error:  # pydantic runs the serializers of the user's types
        reason = f"a {type(value).__name__} cannot be written as JSON: {first_line(error)}"
        raise NotCanonicalError(Problem(json_pointer(path), reason)) from error


def _refuse_sets(value: Any, path: Path) -> None:
    """A set is written in another order by every process, so its hash would not replay."""
    if isinstance(value, set | frozenset):
        raise NotCanonicalError(Problem(json_pointer(path), "a set has no order", "return a sorted list"))
    if isinstance(value, dict):
        for key, item in cast(dict[Any, Any], value).items():
            _refuse_sets(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(cast(list[Any], value)):
            _refuse_sets(item, (*path, i))


def first_line(error: Exception) -> str:
    """The first line of what an error says of itself, else its name."""
    return (str(error) or type(error).__name__).partition("\n")[0]
