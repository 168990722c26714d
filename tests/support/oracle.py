"""What a run must come to: a slow, serial reading of the requirements that shares no code with the engine.

Only canonical JSON and seeds are the product's own. Everything else (references, order, failures, hashes) is written
here a second time, in the plainest way, from the text of the requirements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from refold import canonical_json, step_seed

Behaviour = Callable[[str, dict[str, Any], int, int], Any]
"""What a skill does: (skill id, inputs, seed, attempt) -> output; raises `SkillFailedError`."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_-]*)((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\])*)\}")
_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]")


class SkillFailedError(Exception):
    """A skill failed with `code`; `again` says whether another attempt may help."""

    def __init__(self, code: str, again: bool = True):
        super().__init__(code)
        self.code = code
        self.again = again


class _Missing(Exception):
    pass


@dataclass(frozen=True)
class Expected:
    """The end of a run. `steps` maps each counted step's id to (status, output, error code, attempts)."""

    status: str
    success: bool
    error_code: str | None
    output: Any
    step_hashes: tuple[str, ...]
    workflow_hash: str
    steps: dict[str, tuple[str, Any, str | None, int]]


def serial_run(
    spec: Mapping[str, Any], run_id: str, seed: int, inputs: Mapping[str, Any] | None, behave: Behaviour
) -> Expected:
    """Run `spec` one step after the other, in index order, with nothing going wrong around it."""
    merged = {**spec.get("inputs", {}), **(inputs or {})}
    values: dict[str, Any] = {"inputs": merged}
    nulls: set[str] = set()
    skipping: set[str] = set()
    hashes: list[str] = []
    steps: dict[str, tuple[str, Any, str | None, int]] = {}
    abort: str | None = None
    for index, step in enumerate(in_order(spec)):
        name = step["step_id"]
        if skipping & needs(step):
            skipping.add(name)
            nulls.add(name)
            steps[name] = ("skipped", None, None, 0)
            hashes.append(_step_hash(step, index, seed, None, None, None, None))
            continue
        status, output, code, attempts, inputs_hash = _execute(step, index, seed, values, nulls, behave)
        steps[name] = (status, output, code, attempts)
        success = status == "completed"
        output_hash = _sha(output) if success else None
        hashes.append(_step_hash(step, index, seed, inputs_hash, success, output_hash, code))
        if success:
            values[name] = output
            continue
        nulls.add(name)
        if step.get("on_error", "abort") == "abort":
            abort = code
            break
        if step["on_error"] == "skip":
            skipping.add(name)
    output, error = None, abort
    if abort is None:
        output, error = _output(spec, values, nulls)
    whole = {
        "run_id": run_id,
        "workflow_type": spec["workflow_type"],
        "seed": seed,
        "step_hashes": hashes,
        "success": error is None,
        "error_code": error,
    }
    status = "failed" if error else "completed"
    return Expected(status, error is None, error, output, tuple(hashes), _sha(whole), steps)


def needs(step: Mapping[str, Any]) -> set[str]:
    """The ids of the steps that `step` depends on, by word or by reference."""
    return {*step.get("depends_on", ()), *_mentioned(step.get("inputs", {}))} - {"inputs"}


def in_order(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps by index: again and again the first of the list whose dependencies are all placed."""
    waiting = list(spec["steps"])
    placed: list[Mapping[str, Any]] = []
    while waiting:
        done = {step["step_id"] for step in placed}
        turn = next(step for step in waiting if needs(step) <= done)
        waiting.remove(turn)
        placed.append(turn)
    return placed


def _execute(
    step: Mapping[str, Any], index: int, seed: int, values: dict[str, Any], nulls: set[str], behave: Behaviour
) -> tuple[str, Any, str | None, int, str | None]:
    try:
        inputs = _resolved(step.get("inputs", {}), values, nulls)
    except _Missing:
        return "failed", None, "REFERENCE_UNRESOLVED", 1, None
    inputs_hash = _sha(inputs)
    attempt = 1
    while True:
        try:
            output = behave(step["skill_id"], inputs, step_seed(seed, index), attempt)
            return "completed", output, None, attempt, inputs_hash
        except SkillFailedError as error:
            if not error.again or attempt > step.get("max_retries", 0):
                return "failed", None, error.code, attempt, inputs_hash
            attempt += 1


def _output(spec: Mapping[str, Any], values: dict[str, Any], nulls: set[str]) -> tuple[Any, str | None]:
    if spec.get("output") is not None:
        try:
            return _resolved(spec["output"], values, nulls), None
        except _Missing:
            return None, "REFERENCE_UNRESOLVED"
    needed = set[str]().union(*(needs(step) for step in spec["steps"]))
    ends = [step["step_id"] for step in spec["steps"] if step["step_id"] not in needed]
    return {name: values.get(name) for name in ends}, None


def _resolved(value: Any, values: dict[str, Any], nulls: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, values, nulls) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, values, nulls) for item in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and whole[1]:
        return _looked_up(whole, values, nulls)

    def text(match: re.Match[str]) -> str:
        if not match[1]:
            return "${"
        found = _looked_up(match, values, nulls)
        return found if isinstance(found, str) else canonical_json(found).decode()

    return _REFERENCE.sub(text, value)


def _looked_up(match: re.Match[str], values: dict[str, Any], nulls: set[str]) -> Any:
    if match[1] in nulls:
        return None
    value = values[match[1]]
    for name, number in _PART.findall(match[2]):
        if name and isinstance(value, dict) and name in value:
            value = value[name]
        elif number and isinstance(value, list) and int(number) < len(value):
            value = value[int(number)]
        else:
            raise _Missing
    return value


def _mentioned(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set[str]().union(*map(_mentioned, value.values()))
    if isinstance(value, list):
        return set[str]().union(*map(_mentioned, value))
    return {match[1] for match in _REFERENCE.finditer(value) if match[1]} if isinstance(value, str) else set()


def _step_hash(
    step: Mapping[str, Any],
    index: int,
    seed: int,
    inputs_hash: str | None,
    success: bool | None,
    output_hash: str | None,
    error_code: str | None,
) -> str:
    return _sha(
        {
            "step_id": step["step_id"],
            "index": index,
            "skill_id": step["skill_id"],
            "seed": step_seed(seed, index),
            "inputs_hash": inputs_hash,
            "success": success,
            "output_hash": output_hash,
            "error_code": error_code,
        }
    )


def _sha(value: Any) -> str:
    return sha256(canonical_json(value)).hexdigest()
