"""Plans made by language models as Refold specs: NESTFUL and BFCL multi-turn, one plan a line (JSONL).

    python examples/convert/agent_plans.py plans.jsonl -o specs.jsonl
    python examples/convert/agent_plans.py plans.jsonl --only executable_5 -o spec.json

A call becomes a step that runs the skill of the call's name. In a plan with references (NESTFUL) `$label.field$`
becomes `${label.field}`, and calls that share nothing run side by side. The calls of a plan of turns (BFCL) share state
that nobody names, so each waits for the one before. Exit code 2 if any plan could not be converted.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refold import RefoldError, WorkflowSpec

Warn = Callable[[str], None]
"""Told of everything in the input that had to be mended."""

MAX_INTEGER = 2**53 - 1
"""Larger integers are not exact in JSON (RFC 8785): they are passed as texts."""


class ConversionError(ValueError):
    """The input is no plan that can be converted; the message says why."""


@dataclass
class Call:
    """One call of a plan and the step it becomes."""

    name: str
    label: str | None
    arguments: dict[str, Any]
    step_id: str


def convert(plan: Any, *, warn: Warn = lambda message: None) -> WorkflowSpec:
    """The spec of one decoded plan. Raises ConversionError with every reason: no calls, unknown labels, a circle."""
    if not isinstance(plan, dict):
        raise ConversionError("a plan must be an object")
    turns = next((plan[key] for key in ("turns", "ground_truth") if isinstance(plan.get(key), list)), None)
    calls = _calls(_listed_calls(plan) if turns is None else [call for turn in turns for call in _turn(turn)])
    if not calls:
        raise ConversionError("the plan has no calls")
    faults: list[str] = []
    references = _References(calls, faults, warn)
    steps: list[dict[str, Any]] = []
    for position, call in enumerate(calls):
        inputs = references.resolved(call.arguments, position) if turns is None else _literal(call.arguments, warn)
        step: dict[str, Any] = {"step_id": call.step_id, "skill_id": _skill_id(call.name), "inputs": inputs}
        if turns is not None and position:
            step["depends_on"] = [calls[position - 1].step_id]
        steps.append(step)
    if faults:
        raise ConversionError("; ".join(faults))
    kept = {key: plan[key] for key in ("id", "sample_id", "request", "requests", "input") if plan.get(key) is not None}
    name = str(plan.get("id") or plan.get("sample_id") or "plan")
    workflow_type = re.sub(r"[^A-Za-z0-9._:/@+-]+", "_", name)[:200]
    try:
        return WorkflowSpec.parse(
            {"workflow_type": workflow_type, "steps": steps, "metadata": {"plan": _clean(kept, warn)}}
        )
    except RefoldError as error:
        raise ConversionError(str(error)) from error


def _listed_calls(plan: dict[str, Any]) -> list[Any]:
    """The calls of a plan without turns; the original NESTFUL holds them as JSON in a text."""
    calls = next((plan[key] for key in ("calls", "output") if plan.get(key) is not None), None)
    if isinstance(calls, str):
        try:
            calls = json.loads(calls)
        except ValueError as error:
            raise ConversionError(f"the calls are no JSON: {error}") from error
    if not isinstance(calls, list):
        raise ConversionError("the plan has neither calls nor turns")
    return calls


def _turn(turn: Any) -> list[Any]:
    return turn if isinstance(turn, list) else [] if turn is None else [turn]


def _calls(listed: list[Any]) -> list[Call]:
    taken = {"inputs", "secrets"}
    calls: list[Call] = []
    for number, given in enumerate(listed, 1):
        call = _parsed_call(given) if isinstance(given, str) else given
        name = call.get("name") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(name, str) or not name:
            raise ConversionError(f"call {number} has no name")
        label = call.get("label")
        text = "" if label is None else str(label).strip().strip("$")
        step_id = _unique(_step_id(text or name), taken)
        calls.append(Call(name, text or None, _arguments(call.get("arguments")), step_id))
    return calls


def _parsed_call(text: str) -> dict[str, Any] | None:
    """A call written as Python, as the original BFCL has them: `cd(folder='document')`."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        positional = {f"arg{position}": ast.literal_eval(value) for position, value in enumerate(call.args)}
        named = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg is not None}
    except (SyntaxError, ValueError, RecursionError):
        return None
    return {"name": ast.unparse(call.func), "arguments": {**positional, **named}}


def _arguments(value: Any) -> dict[str, Any]:
    """Arguments by name; those without names are called arg0, arg1 and so on."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):  # a text may happen to begin with a brace
            value = json.loads(value)
    if isinstance(value, dict):
        return value
    values = [] if value is None else value if isinstance(value, list) else [value]
    return {f"arg{position}": item for position, item in enumerate(values)}


class _References:
    """Rewrites `$label.field$` in the arguments of calls; what cannot be is added to `faults`."""

    def __init__(self, calls: list[Call], faults: list[str], warn: Warn):
        self._places: dict[str, list[int]] = {}
        for position, call in enumerate(calls):
            if call.label is not None:
                self._places.setdefault(call.label, []).append(position)
        self._calls = calls
        self._faults = faults
        self._warn = warn
        for label, places in self._places.items():
            if len(places) > 1:
                warn(f"label {label!r} is given {len(places)} times: a reference means the nearest call before it")
        # Known labels may hold anything; what looks like a label and is none must be noticed too.
        known = "|".join(re.escape(label) for label in sorted(self._places, key=len, reverse=True))
        label = f"(?P<label>{known + '|' if known else ''}[A-Za-z_][A-Za-z0-9_-]*)"
        bracket = r"""\[(?:"[^"]*"|'[^']*'|[^\]$]*)\]"""
        self._inside = re.compile(rf"\${label}(?P<path>(?:\.[^.\[\]$\s]+|{bracket})*)\$")
        # With nothing around it, a field may hold blanks; within a sentence they would swallow the sentence.
        self._whole = re.compile(rf"\${label}(?P<path>(?:\.[^.\[\]$]+|{bracket})*)\$")

    def resolved(self, value: Any, position: int) -> Any:
        """`value`, an argument of the call at `position`, as the inputs of a step."""
        if isinstance(value, dict):
            return {_key(key, self._faults): self.resolved(item, position) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolved(item, position) for item in value]
        if not isinstance(value, str):
            return _clean(value, self._warn)
        whole = self._whole.fullmatch(value.strip())
        if whole:
            return self._rewritten(whole, position)
        pieces: list[str] = []
        end = 0
        for match in self._inside.finditer(value):
            pieces += [_literal(value[end : match.start()], self._warn), self._rewritten(match, position)]
            end = match.end()
        return "".join([*pieces, _literal(value[end:], self._warn)])

    def _rewritten(self, match: re.Match[str], position: int) -> str:
        places = self._places.get(match["label"], [])
        if not places:
            known = ", ".join(self._places) or "none"
            self._faults.append(f"call {position + 1} refers to {match[0]}, but the labels are: {known}")
            return ""
        before = [place for place in places if place < position]
        step_id = self._calls[before[-1] if before else places[0]].step_id
        try:
            return f"${{{step_id}{''.join(_path(match['path']))}}}"
        except ValueError as error:
            self._faults.append(f"call {position + 1} refers to {match[0]}: {error}")
            return ""


_PART = re.compile(r"""\.(?P<field>[^.\[\]]+)|\[(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\]]*))\]""")


def _path(text: str) -> Iterator[str]:
    """The way into an output, in Refold's form: `.field`, `[0]`, `["odd field"]`."""
    for part in _PART.finditer(text):
        name = next(group for group in part.groups() if group is not None)
        quoted = part["double"] is not None or part["single"] is not None
        if not quoted and re.fullmatch(r"0|[1-9][0-9]{0,8}", name):
            yield f"[{name}]"
        elif not quoted and (not name.strip() or re.fullmatch(r"\*|-[0-9]+|[0-9-]*:[0-9:-]*", name)):
            raise ValueError(f"[{name}] selects no single item from the start of a list")
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            yield f".{name}"
        else:
            yield f"[{json.dumps(name)}]"


def _literal(value: Any, warn: Warn) -> Any:
    """`value` such that nothing in it is a reference."""
    if isinstance(value, dict):
        faults: list[str] = []
        made = {_key(key, faults): _literal(item, warn) for key, item in value.items()}
        if faults:
            raise ConversionError("; ".join(faults))
        return made
    if isinstance(value, list | tuple):
        return [_literal(item, warn) for item in value]
    return _clean(value, warn).replace("${", "$${") if isinstance(value, str) else _clean(value, warn)


def _clean(value: Any, warn: Warn) -> Any:
    """`value` as JSON that is exact everywhere (RFC 8785); what is not is turned into the nearest that is."""
    if isinstance(value, dict):
        return {_clean(str(key), warn): _clean(item, warn) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item, warn) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float):
        if value - value != 0 or (isinstance(value, int) and abs(value) > MAX_INTEGER):
            warn(f"{str(value)[:30]} is no exact number in JSON: passed as a text")
            return str(value)
        return value
    warn(f"a value of type {type(value).__name__} is none of JSON: passed as a text")
    return str(value)


def _key(key: Any, faults: list[str]) -> str:
    text = str(key).encode("utf-8", "replace").decode()
    if "${" in text:
        faults.append(f"the name {text!r} holds ${{, which names in a spec cannot")
    return text


def _skill_id(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:190]
    return safe if re.match("[A-Za-z_]", safe) else f"_{safe}"


def _step_id(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:180]
    return safe if re.match("[A-Za-z_]", safe) else f"call_{safe}"


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def plans(text: str) -> Iterator[tuple[int, Any]]:
    """The plans of a file with their lines: one a line, or a JSON document that is one plan or a list of them.

    A line that is no JSON comes as the ConversionError that says so.
    """
    try:
        document = json.loads(text)
    except ValueError:
        for line, content in enumerate(text.split("\n"), 1):
            if content.strip():
                try:
                    yield line, json.loads(content)
                except (ValueError, RecursionError) as error:
                    yield line, ConversionError(f"no JSON: {error}")
    else:
        yield from ((1, plan) for plan in (document if isinstance(document, list) else [document]))


def main(arguments: list[str] | None = None) -> int:
    """Convert the file that the command line names; 0 when every plan was, else 2."""
    parser = argparse.ArgumentParser(description="Convert NESTFUL or BFCL plans into Refold specs, one a line.")
    parser.add_argument("file", help="plans as JSONL, or - for stdin")
    parser.add_argument("-o", "--output", default="-", help="the file to write; - is stdout (default)")
    parser.add_argument("--only", metavar="ID", help="convert this plan alone, and write it for people to read")
    options = parser.parse_args(arguments)
    lines: list[str] = []
    failed = False

    def note(kind: str, line: int, plan: Any, message: str) -> None:
        name = f" {plan.get('id')}" if isinstance(plan, dict) and plan.get("id") else ""
        print(f"{options.file}:{line}:{name} {kind}{message}", file=sys.stderr)

    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
        for line, plan in plans(data.decode("utf-8-sig")):
            if options.only is not None and not (isinstance(plan, dict) and str(plan.get("id")) == options.only):
                continue
            try:
                if isinstance(plan, ConversionError):
                    raise plan
                spec = convert(plan, warn=lambda message, at=line, of=plan: note("note: ", at, of, message))
            except (ConversionError, RecursionError) as error:
                note("", line, plan, str(error) or type(error).__name__)
                failed = True
            else:
                lines.append(json.dumps(spec.to_json(), ensure_ascii=False, indent=2 if options.only else None))
        if not lines and not failed:
            raise ConversionError("there is no plan" + (f" with the id {options.only!r}" if options.only else ""))
        text = "".join(f"{line}\n" for line in lines)
        if options.output == "-":
            sys.stdout.write(text)
        else:
            Path(options.output).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
