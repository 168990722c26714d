"""What pydantic cannot see in a spec: step ids, references and the graph they make.

Works on the document as it was given, which may be broken elsewhere, so that all problems are found at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from .errors import Problem
from .graph import find_cycle
from .references import INPUTS, MAX_PROBLEMS, SECRETS, Template, compile_template, compile_text
from .secret_marks import check_no_placeholder
from .spec_problems import did_you_mean, shown

_LONGEST_CYCLE = 20


def cross_problems(fields: Mapping[str, Any], refused: list[Problem]) -> list[Problem]:
    """The problems of ids, references and graph in a spec of these `fields`.

    What `refused` already says to be wrong is not looked into: it may be no JSON at all.
    """
    steps, heads = _items(fields.get("steps")), frozenset(_heads(refused))
    if not steps or "/steps" in heads:
        return []
    document = _Document(tuple(map(_step_of, steps)), heads)
    duplicates: list[Problem] = []
    mentions: list[Problem] = []
    ids = _ids(document, duplicates)
    needs = [_needs(document, position, ids, mentions) for position in range(len(steps))]
    if fields.get("output") is not None and "/output" not in document.refused:
        template = compile_template(fields["output"], "/output", mentions)
        _resolve(_roots(template), None, ids, mentions)
    for field, what in (("inputs", "the run's inputs"), ("metadata", "metadata")):
        if f"/{field}" not in document.refused:
            check_no_placeholder(fields.get(field), f"/{field}", mentions, what)
    defaults: Any = fields.get("inputs") or {}
    for position, name in enumerate(_items(fields.get("sensitive_inputs"))):
        if isinstance(name, str) and isinstance(defaults, dict) and name in defaults:
            reason = f"the input {shown(name)} is sensitive, and its default stands in the spec, which is recorded"
            _add(mentions, f"/sensitive_inputs/{position}", reason, "leave the default out")
    return duplicates + mentions + _cycles(document, needs)


class _Document(NamedTuple):
    steps: tuple[Mapping[str, Any], ...]
    refused: frozenset[str]


class _Mention(NamedTuple):
    """A step's name, where it is mentioned, and the text of the reference, None in `depends_on`."""

    name: str
    pointer: str
    text: str | None


def _items(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()


def _step_of(step: Any) -> Mapping[str, Any]:
    if isinstance(step, dict):
        return cast("dict[str, Any]", step)
    # A step that was built as an object; anything else is refused elsewhere and has no fields here.
    return cast("dict[str, Any]", vars(step)) if hasattr(step, "step_id") else {}


def _heads(refused: list[Problem]) -> set[str]:
    """The fields in which something was refused: `/output`, `/steps/3/inputs`."""
    heads: set[str] = set()
    for problem in refused:
        tokens = problem.pointer.split("/")
        heads.add("/".join(tokens[: 4 if tokens[1:2] == ["steps"] else 2]))
    return heads


def _ids(document: _Document, problems: list[Problem]) -> dict[str, int]:
    """The first position of each id; broken ids count too, so that what mentions them is not reported as well."""
    ids: dict[str, int] = {}
    for position, step in enumerate(document.steps):
        name = step.get("step_id")
        if not isinstance(name, str):
            continue
        first = ids.setdefault(name, position)
        pointer = f"/steps/{position}/step_id"
        if first != position:
            _add(problems, pointer, f"duplicate step id {shown(name)}, first at /steps/{first}", "rename one of them")
        if name in (INPUTS, SECRETS):
            _add(problems, pointer, f"the step id '{name}' is reserved", f"rename it: '{name}_step'")
    return ids


def _needs(document: _Document, position: int, ids: dict[str, int], problems: list[Problem]) -> dict[int, str]:
    """The positions that the step waits for, each with the pointer of its first mention."""
    step, at = document.steps[position], f"/steps/{position}"
    mentions: list[_Mention] = []
    for field, value in step.items():
        if field == "depends_on":
            named = [(i, name) for i, name in enumerate(_items(value)) if isinstance(name, str)]
            mentions += [_Mention(name, f"{at}/depends_on/{i}", None) for i, name in named]
        elif field == "inputs" and value and f"{at}/inputs" not in document.refused:
            mentions += _roots(compile_template(value, f"{at}/inputs", problems, secrets=True))
        elif field == "idempotency_key" and isinstance(value, str):
            mentions += _roots(compile_text(value, f"{at}/idempotency_key", problems))
    return _resolve(mentions, step.get("step_id"), ids, problems)


def _roots(template: Template) -> list[_Mention]:
    return [_Mention(each.root, each.pointer, each.text) for each in template.references if each.root != INPUTS]


def _resolve(mentions: list[_Mention], own: str | None, ids: dict[str, int], problems: list[Problem]) -> dict[int, str]:
    needs: dict[int, str] = {}
    for name, pointer, text in dict.fromkeys(mentions):
        if name == own:
            _add(problems, pointer, f"step '{name}' depends on itself", "remove this, or name another step")
        elif name in ids:
            needs.setdefault(ids[name], pointer)
        elif len(problems) < MAX_PROBLEMS:
            problems.append(_unknown(name, pointer, text, ids))
    return needs


def _unknown(name: str, pointer: str, text: str | None, ids: dict[str, int]) -> Problem:
    where = "" if text is None else f" in {shown(text)}"
    fix = did_you_mean(name, ids)
    if not fix:
        fix = "name a step of this spec" if text is None else "name a step of this spec, or write $${ for a literal ${"
    return Problem(pointer, f"unknown step {shown(name)}{where}", fix)


def _cycles(document: _Document, needs: list[dict[int, str]]) -> list[Problem]:
    problems: list[Problem] = []
    while len(problems) < MAX_PROBLEMS and (cycle := find_cycle(len(needs), needs)):
        names = [str(document.steps[position]["step_id"]) for position in [*cycle, cycle[0]]]
        if len(names) > _LONGEST_CYCLE:
            names[_LONGEST_CYCLE - 1 : -1] = [f"... {len(names) - _LONGEST_CYCLE} more ..."]
        pointer = needs[cycle[0]][cycle[1]]
        _add(problems, pointer, f"steps wait for each other: {' -> '.join(names)}", "remove one of these dependencies")
        # Other cycles may be left; one that shares a step with this one shows when this one is mended.
        for position in cycle:
            needs[position] = {}
    return problems


def _add(problems: list[Problem], pointer: str, reason: str, fix: str) -> None:
    if len(problems) < MAX_PROBLEMS:
        problems.append(Problem(pointer, reason, fix))
