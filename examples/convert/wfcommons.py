"""WfCommons workflows (https://wfcommons.org/format) as Refold specs.

    python examples/convert/wfcommons.py workflow.json -o spec.json
    refold run spec.json

Reads WfFormat 1.0 to 1.5. A task becomes a step; `parents` and `children` become `depends_on`, and where a task is
mentioned in neither, its input files do: it waits for the tasks that make them. Every step takes the outputs of its
parents, so its hash depends on all that went before. What could be mended is said on stderr; exit code 2 if nothing
could be made of the file.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refold import RefoldError, WorkflowSpec

Warn = Callable[[str], None]
"""Told of everything in the input that had to be mended."""


class ConversionError(ValueError):
    """The input is no workflow that can be converted; the message says why."""


@dataclass
class Task:
    """One task as the rest of this file sees it. `stated` tells whether the file says what it waits for."""

    source: dict[str, Any]
    step_id: str
    name: str
    parents: dict[str, None] = field(default_factory=dict)
    stated: bool = False
    input_files: list[str] = field(default_factory=list)
    output_files: list[str] = field(default_factory=list)


def convert(document: Any, *, skill: str = "hash", warn: Warn = lambda message: None) -> WorkflowSpec:
    """The spec of a decoded WfFormat document; every step runs `skill`.

    Raises ConversionError when there are no tasks or too many, or when tasks wait for each other.
    """
    root = _object(document)
    workflow = _object(root.get("workflow")) or root
    execution = _object(workflow.get("execution"))
    tasks = _tasks([_object(workflow.get("specification")), workflow], warn)
    _connect(tasks, warn)
    measured = _by_id(_list_of(execution.get("tasks")))
    name = _text(root.get("name")) or _text(workflow.get("name")) or "wfcommons"
    metadata = {
        "source": "WfCommons",
        "name": name,
        "schema_version": _text(root.get("schemaVersion")),
        "description": _text(root.get("description")),
        "makespan_seconds": _number(_first(execution or workflow, "makespanInSeconds", "makespan")),
    }
    try:
        return WorkflowSpec.parse(
            {
                "workflow_type": re.sub(r"[^A-Za-z0-9._:/@+-]+", "_", name)[:200],
                "steps": [_step(task, measured, skill) for task in tasks],
                "metadata": {key: value for key, value in metadata.items() if value is not None},
            }
        )
    except RefoldError as error:
        raise ConversionError(str(error)) from error


def _tasks(places: list[dict[str, Any]], warn: Warn) -> list[Task]:
    listed = next((found for place in places for key in ("tasks", "jobs") if (found := place.get(key))), None)
    if isinstance(listed, dict):
        listed = [{"id": key, **task} if isinstance(task, dict) else task for key, task in listed.items()]
    if not isinstance(listed, list):
        raise ConversionError("no tasks: neither workflow.specification.tasks nor workflow.tasks nor workflow.jobs")
    tasks: list[Task] = []
    taken = {"inputs", "secrets"}
    for position, source in enumerate(listed):
        if not isinstance(source, dict):
            warn(f"task number {position + 1} is no object: left out")
            continue
        name = _text(source.get("id")) or _text(source.get("name")) or f"task_{position + 1}"
        step_id = _unique(_step_id(name), taken)
        task = Task(source, step_id, name)
        _read_files(task)
        tasks.append(task)
    if not tasks:
        raise ConversionError("no tasks: the list holds none")
    return tasks


def _read_files(task: Task) -> None:
    """Files as version 1.5 has them (two lists of ids), and as those before (one list, each with its `link`)."""
    task.input_files = _names(task.source.get("inputFiles"))
    task.output_files = _names(task.source.get("outputFiles"))
    for file in _list_of(task.source.get("files")):
        if isinstance(file, dict) and (name := _name_of(file)):
            (task.output_files if file.get("link") == "output" else task.input_files).append(name)


def _connect(tasks: list[Task], warn: Warn) -> None:
    find = _finder(tasks, warn)
    for task in tasks:
        task.stated = task.source.get("parents") is not None
        for parent in find(task, "parents"):
            task.parents[parent.step_id] = None
    for task in tasks:
        for child in find(task, "children"):
            child.parents[task.step_id] = None
            child.stated = True
    makers: dict[str, list[int]] = {}
    for position, task in enumerate(tasks):
        for file in task.output_files:
            makers.setdefault(file, []).append(position)
    for position, task in enumerate(tasks):
        for file in [] if task.stated else task.input_files:
            made_by = makers.get(file, [])
            # A file that is changed in place has several makers: those listed before are the ones to wait for.
            earlier = [maker for maker in made_by if maker < position]
            waits_for = earlier if earlier or position in made_by else made_by
            task.parents.update((tasks[maker].step_id, None) for maker in waits_for)


def _finder(tasks: list[Task], warn: Warn) -> Callable[[Task, str], Iterable[Task]]:
    """A function that gives the tasks that a task names as its parents or children: by id, else by name."""
    by_id: dict[str, list[Task]] = {}
    by_name: dict[str, list[Task]] = {}
    for task in tasks:
        for key, known in (("id", by_id), ("name", by_name)):
            if (text := _text(task.source.get(key))) is not None:
                known.setdefault(text, []).append(task)
    for text, twins in by_id.items():
        if len(twins) > 1:
            warn(f"{len(twins)} tasks have the id {text!r}: renamed, and whoever names it waits for all of them")

    def find(task: Task, key: str) -> Iterable[Task]:
        for text in _names(task.source.get(key)):
            found = by_id.get(text) or by_name.get(text)
            if found is None:
                warn(f"task {task.name!r} names {text!r} among its {key}, but there is no such task: left out")
            elif len(found) == 1:
                yield found[0]
            else:  # one of several of the same name means its twins, not itself
                yield from (other for other in found if other is not task)

    return find


def _step(task: Task, measured: Mapping[str, dict[str, Any]], skill: str) -> dict[str, Any]:
    run = measured.get(task.name) or measured.get(_text(task.source.get("name")) or "") or {}
    command = _object(task.source.get("command")) or _object(run.get("command"))
    inputs = {
        "task": task.name,
        "program": _text(command.get("program")),
        "runtime_seconds": _number(_first({**task.source, **run}, "runtimeInSeconds", "runtime")),
        "input_files": task.input_files,
        "output_files": task.output_files,
    }
    given = {key: _escaped(value) for key, value in inputs.items() if value not in (None, [])}
    if task.parents:
        given["after"] = {parent: f"${{{parent}}}" for parent in task.parents}
    return {"step_id": task.step_id, "skill_id": skill, "inputs": given, "depends_on": list(task.parents)}


def _escaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _step_id(name: str) -> str:
    """`name` as a step id: other characters become _, and it begins with a letter or _."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:180]
    return safe if re.match("[A-Za-z_]", safe) else f"task_{safe}"


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def _names(value: Any) -> list[str]:
    """The ids or names in a list that may hold texts, numbers and objects, or in a single one; each once."""
    items = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(name for item in items if (name := _name_of(item)) is not None))


def _name_of(item: Any) -> str | None:
    return _text(_first(item, "id", "name")) if isinstance(item, dict) else _text(item)


def _by_id(tasks: list[Any]) -> dict[str, dict[str, Any]]:
    return {name: task for task in tasks if isinstance(task, dict) and (name := _name_of(task)) is not None}


def _first(source: dict[str, Any], *keys: str) -> Any:
    return next((source[key] for key in keys if source.get(key) is not None), None)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    """A text or number as a text of whole characters; None for anything else and for an empty one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).encode("utf-8", "replace").decode() or None


def _number(value: Any) -> float | None:
    """A duration, which files write as a number or as a text; None for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 and not isinstance(value, bool) else None


def main(arguments: list[str] | None = None) -> int:
    """Convert the file that the command line names; 0 when the spec was written, else 2."""
    parser = argparse.ArgumentParser(description="Convert a WfCommons workflow into a Refold spec.")
    parser.add_argument("file", help="a WfFormat document, or - for stdin")
    parser.add_argument("-o", "--output", default="-", help="the spec to write; - is stdout (default)")
    parser.add_argument("--skill", default="hash", help="the skill that every step runs (default: hash)")
    options = parser.parse_args(arguments)
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
        document = json.loads(data.decode("utf-8-sig"))
        spec = convert(document, skill=options.skill, warn=lambda message: print(f"note: {message}", file=sys.stderr))
        text = json.dumps(spec.to_json(), indent=2, ensure_ascii=False) + "\n"
        if options.output == "-":
            sys.stdout.write(text)
        else:
            Path(options.output).write_text(text, encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        print(f"{options.file}: {error or type(error).__name__}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
