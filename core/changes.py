"""What a fork changes: values at JSON pointers (RFC 6901) into the run's inputs and the outputs of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from .errors import CallError, Problem

_FIX = "write /inputs/NAME… or /steps/STEP/output…"


class Change(NamedTuple):
    """A new value, and where it goes: the whole pointer as it was given, and the way from the inputs or the output."""

    pointer: str
    path: tuple[str, ...]
    value: Any


class Changes(NamedTuple):
    """The changes to the inputs, and by step those to outputs, each in the order in which they were given."""

    inputs: Sequence[Change] = ()
    outputs: Mapping[str, Sequence[Change]] = {}

    def __bool__(self) -> bool:
        return bool(self.inputs or self.outputs)


def read_changes(given: Mapping[str, Any]) -> Changes:
    """The changes that `given`, values by pointer, stands for. Raises CallError for a pointer to anything else."""
    inputs: list[Change] = []
    outputs: dict[str, list[Change]] = {}
    for pointer, value in given.items():
        match _parts(pointer):
            case ("inputs", *path):
                inputs.append(Change(pointer, tuple(path), value))
            case ("steps", step_id, "output", *path):
                outputs.setdefault(step_id, []).append(Change(pointer, tuple(path), value))
            case _:
                raise CallError(Problem(pointer, "nothing that a fork could change is there", _FIX))
    return Changes(inputs, outputs)


def _parts(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise CallError(Problem(pointer, "it is no JSON pointer: it does not begin with a slash", _FIX))
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def replaced(whole: Any, path: Sequence[str], value: Any, pointer: str, *, may_add: bool = False) -> Any:
    """`whole` with `value` at `path`; nothing is altered in place.

    Raises CallError, naming `pointer`, where there is nothing at `path`, unless it `may_add` an object's member.
    """
    if not path:
        return value
    name, *rest = path
    if isinstance(whole, dict):
        members = cast("dict[str, Any]", whole)
        if name in members or (may_add and not rest):
            return {**members, name: replaced(members.get(name), rest, value, pointer)}
    elif isinstance(whole, list) and name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0"):
        items = list(cast("list[Any]", whole))
        if len(name) < 10 and int(name) < len(items):
            items[int(name)] = replaced(items[int(name)], rest, value, pointer)
            return items
    raise CallError(Problem(pointer, f"there is nothing at {name!r}", "name a member that is recorded"))
