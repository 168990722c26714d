"""What is wrong with a spec, in words: turns what pydantic finds into problems with pointer, reason and fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import ValidationError

from .canonical import json_pointer
from .errors import InvalidError, Problem
from .references import MAX_PROBLEMS

NAME: Final = r"^[A-Za-z0-9._:/@+-]{1,200}$"
"""Pattern of workflow types, versions and skill ids."""
STEP_ID: Final = r"^[A-Za-z_][A-Za-z0-9_-]{0,199}$"
"""Pattern of step ids."""

_ALPHABETS = {
    NAME: "use 1 to 200 letters, digits and . _ : / @ + -",
    STEP_ID: "start with a letter or _, then only letters, digits, _ and -; at most 200 characters",
}
_WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than", "give a number above"),
    "greater_than_equal": ("ge", "must be at least", "give at least"),
    "less_than_equal": ("le", "must be at most", "give at most"),
}
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (tuple, "a list"),
    (dict, "an object"),
)


def explain(error: ValidationError, fields: Collection[str]) -> list[Problem]:
    """The problems that pydantic found in a model of these `fields`, with pointers from the model's own root.

    An `InvalidError` raised by a validator brings its own problems, which are moved to where it was raised.
    """
    problems: list[Problem] = []
    unknown = 0
    for found in error.errors(include_url=False):
        pointer = json_pointer(_printable(part) for part in found["loc"])
        inner = found.get("ctx", {}).get("error")
        if isinstance(inner, InvalidError):
            problems += [Problem(pointer + each.pointer, each.reason, each.fix) for each in inner.problems]
        elif found["type"] == "missing":
            name = str(found["loc"][-1])
            parent = json_pointer(_printable(part) for part in found["loc"][:-1])
            problems.append(Problem(parent, f"missing field '{name}'", "add it"))
        elif found["type"] == "extra_forbidden":
            # They come in document order, so later ones are never among the first that are shown: spare the search.
            unknown += 1
            if unknown <= MAX_PROBLEMS + 1:
                problems.append(unknown_field(pointer, str(found["loc"][-1]), tuple(fields)))
        elif found["type"] in _WANTED:
            problems.append(wrong_type(pointer, _WANTED[found["type"]], found["input"]))
        else:
            problems.append(Problem(pointer, *_reason_and_fix(found)))
    return problems


def unknown_field(pointer: str, name: str, fields: tuple[str, ...]) -> Problem:
    """The problem of a field that is none of `fields`."""
    fix = _did_you_mean_field(name, fields) or f"remove it; there are {', '.join(fields)}"
    return Problem(pointer, f"unknown field {shown(name)}", fix)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A fix that names the entry of `known` which looks most like `name`; empty when none does."""
    # Comparing is slow, so only what can be close is compared: a spec may have 10,000 steps.
    if len(name) > 64:
        return ""
    near: dict[str, str] = {}
    for candidate in known:
        if abs(len(candidate) - len(name)) <= 3:
            near.setdefault(candidate.lower(), candidate)
            if len(near) == 200:
                break
    found = get_close_matches(name.lower(), near, n=1, cutoff=0.7)
    return f"did you mean '{near[found[0]]}'?" if found else ""


_did_you_mean_field = lru_cache(maxsize=256)(did_you_mean)


def first_in_order(problems: Sequence[Problem], document: object) -> list[Problem]:
    """The first `MAX_PROBLEMS` of `problems` as they occur in `document`; a last one says if there are more."""
    ordered = in_order(problems, document)
    if len(ordered) <= MAX_PROBLEMS:
        return ordered
    more = Problem("", f"more than {MAX_PROBLEMS} problems; these are the first", "mend these and try again")
    return [*ordered[:MAX_PROBLEMS], more]


def in_order(problems: Sequence[Problem], document: object) -> list[Problem]:
    """`problems` sorted by where their pointers lie in `document`; a whole before its parts."""
    ranks: dict[int, dict[str, int]] = {}

    def position(problem: Problem) -> list[int]:
        node: Any = document
        places: list[int] = []
        for token in problem.pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict):
                members = cast("dict[str, Any]", node)
                rank = ranks.get(id(members))
                if rank is None:
                    rank = ranks[id(members)] = {name: place for place, name in enumerate(members)}
                places.append(rank.get(key, len(rank)))
                node = members.get(key)
            elif isinstance(node, list | tuple) and token.isdecimal():
                items, place = cast("list[Any]", node), int(token)
                places.append(place)
                node = items[place] if place < len(items) else None
        return places

    return sorted(problems, key=position)


def shown(value: object) -> str:
    """`value` as a message may show it: in quotes if it is text, printable ASCII, short."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge integer"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if not isinstance(value, str | int | float):
        return kind_of(value)
    text = ascii(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 62 else text[:58] + "...'"


def kind_of(value: object) -> str:
    """What JSON calls the type of `value`; Python's name for what JSON does not have."""
    if value is None:
        return "null"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")


def wrong_type(pointer: str, wanted: str, value: object) -> Problem:
    """The problem of a `value` at `pointer` where `wanted` ("a list") should be."""
    if wanted == "a number" and isinstance(value, int) and not isinstance(value, bool):
        reason = "must be a number within the range of a float, not a huge integer"
        return Problem(pointer, reason, "give a smaller number")
    fix = f"give {wanted}"
    if wanted == "a string" and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**64:
        fix = f'quote it: "{value}"'
    elif wanted in ("a number", "an integer") and isinstance(value, str):
        fix = "write it without quotes"
    elif wanted == "a list" and isinstance(value, str):
        fix = f"write [{shown(value)}]"
    return Problem(pointer, f"must be {wanted}, not {kind_of(value)}", fix)


def _reason_and_fix(found: Mapping[str, Any]) -> tuple[str, str]:
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    if kind in _BOUNDS:
        key, must, fix = _BOUNDS[kind]
        bound = f"{context[key]:.0f}"
        return f"{must} {bound}, not {shown(value)}", f"{fix} {bound}"
    if kind == "string_unicode":
        return "holds a lone surrogate, half a character", "send whole characters"
    if kind == "finite_number":
        return f"must be a finite number, not {shown(value)}", "give a finite number, or leave it out"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} is not possible here", _ALPHABETS[context["pattern"]]
    if kind == "literal_error":
        expected = str(context["expected"])
        near = did_you_mean(value, expected.split("'")[1::2]) if isinstance(value, str) else ""
        return f"must be {expected}, not {shown(value)}", near or "write one of these"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty", "fill it or leave it out" if kind.startswith("string") else "add at least one"
    if kind == "string_too_long":
        return f"longer than {context['max_length']} characters", "shorten it"
    if kind == "too_long":
        return f"more than {context['max_length']} entries", "leave some out"
    return found["msg"], "see the JSON schema of a spec"


def _printable(part: str | int) -> str | int:
    return part.encode("utf-8", "backslashreplace").decode() if isinstance(part, str) else part
