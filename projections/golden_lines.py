"""A golden: what an ended run did, as lines of canonical JSON, computed from its events and from nothing else.

One `run_start`, one `step` for each step that counts and has an outcome, in index order, one `run_end`. No time, cost,
attempt or worker is in them, so that a golden made anew has the same bytes, and two runs can be compared by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from ..core.canonical import Payload
from ..core.code_state import CodeState
from ..core.errors import CallError, Problem
from ..core.events import RunCancelled, RunCompleted, RunContinued, RunFailed, RunTimedOut
from ..core.hashing import step_hash
from ..core.run_state import Outcome, RunState
from ..core.seeds import step_seed
from ..core.spec_state import SpecState
from ..core.step_events import StepIndex

FORMAT = 1
"""The version of the shape of the lines, in every `run_start`."""

SUCCESS: Mapping[str, bool | None] = {"completed": True, "failed": False, "skipped": None}
"""What a step's status means for its hash."""

ENDS = ("completed", "failed", "cancelled", "timed_out", "rejected")
"""How a run can end, as `run_end` says it."""


class Golden(NamedTuple):
    """The golden of one run: whose it is, its bytes, and when the run ended (microseconds since the epoch).

    The time is not in the bytes. It goes to the file's own time, by which retention counts.
    """

    tenant: str
    run_id: str
    data: bytes
    ended_at: int


def golden_of(state: RunState) -> Golden:
    """The golden of the ended run that was folded to `state`. Raises CallError if it has not ended."""
    started, end = state.started, state.end
    if end is None:
        fix = "wait for its end: a golden is written once, of the whole"
        raise CallError(Problem("", f"run {started.run_id!r} has not ended", fix))
    hashes = state.step_hashes
    lines = [
        start_line(
            started.run_id,
            started.tenant,
            f"{started.workflow_type}#{started.workflow_version}",
            started.seed,
            spec_hash=None if started.spec is None else started.spec.sha256,
            source_hash=started.source,
            inputs_hash=started.inputs.sha256,
        )
    ]
    lines.extend(_steps(state))
    lines.append(
        end_line(
            state.status,
            hashes,
            end.workflow_hash,
            output=end.output if isinstance(end, RunCompleted) else None,
            error_code=end.error_code if isinstance(end, RunFailed | RunCancelled | RunTimedOut) else None,
            continued_as=end.successor if isinstance(end, RunContinued) else None,
        )
    )
    return Golden(started.tenant, started.run_id, b"".join(lines), end.at)


def start_line(
    run_id: str,
    tenant: str,
    spec_id: str,
    seed: int,
    *,
    replay: bool = False,
    spec_hash: str | None = None,
    source_hash: str | None = None,
    inputs_hash: str | None = None,
) -> bytes:
    """The line `run_start`. `spec_id` is type#version; of the hashes of spec and source a run has one, or neither."""
    return _line(
        {
            "event": "run_start",
            "format": FORMAT,
            "inputs_hash": inputs_hash,
            "replay": replay,
            "run_id": run_id,
            "seed": seed,
            "source_hash": source_hash,
            "spec_hash": spec_hash,
            "spec_id": spec_id,
            "tenant": tenant,
        }
    )


def step_line(
    index: StepIndex,
    step_id: str,
    skill_id: str,
    seed: int,
    status: str,
    output: Payload | None,
    inputs_hash: str | None,
    error_code: str | None,
    hashed: str | None = None,
) -> bytes:
    """The line `step`; `hashed` is the step hash where it is known."""
    if hashed is None:
        given = None if output is None or status != "completed" else output.sha256
        hashed = step_hash(step_id, index, skill_id, seed, inputs_hash, SUCCESS[status], given, error_code)
    return _line(
        {
            "error_code": error_code,
            "event": "step",
            "index": index,
            "inputs_hash": inputs_hash,
            "output": None if output is None else orjson.Fragment(output.data),
            "seed": seed,
            "skill_id": skill_id,
            "status": status,
            "step_hash": hashed,
            "step_id": step_id,
        }
    )


def end_line(
    status: str,
    step_hashes: Sequence[str | None],
    workflow_hash: str,
    *,
    output: Payload | None = None,
    error_code: str | None = None,
    continued_as: str | None = None,
) -> bytes:
    """The line `run_end`. `step_hashes` are those that entered `workflow_hash`, in index order, null for a step that
    counts and never ended."""
    return _line(
        {
            "continued_as": continued_as,
            "error_code": error_code,
            "event": "run_end",
            "output": None if output is None else orjson.Fragment(output.data),
            "output_hash": None if output is None else output.sha256,
            "status": status,
            "step_hashes": step_hashes,
            "workflow_hash": workflow_hash,
        }
    )


def slots_of(hashes: Sequence[tuple[StepIndex, str]], slots: int) -> list[str | None]:
    """The step hashes of a run as they enter its workflow hash: by position for a spec, as they come for a function.

    There must be a slot for each.
    """
    placed: list[str | None] = [None] * slots
    for number, (index, hashed) in enumerate(hashes):
        placed[number if isinstance(index, str) else index] = hashed
    return placed


def _steps(state: RunState) -> Iterator[bytes]:
    seed = state.started.seed
    if isinstance(state, SpecState):
        for step in state.plan.steps[: state.counted]:
            outcome = state.outcomes[step.index]
            if outcome is not None:
                yield _step(step.index, step.step_id, step.skill_id, seed, outcome)
    elif isinstance(state, CodeState):
        for path in state.in_order(state.outcomes):
            called = state.calls[path]
            yield _step(path, called.step_id, called.skill_id, seed, state.outcomes[path])


def _step(index: StepIndex, step_id: str, skill_id: str, seed: int, outcome: Outcome) -> bytes:
    return step_line(
        index,
        step_id,
        skill_id,
        step_seed(seed, index),
        outcome.status,
        outcome.output,
        outcome.inputs_hash,
        outcome.error_code,
        outcome.step_hash,
    )


def _line(fields: dict[str, Any]) -> bytes:
    try:
        # Payloads are canonical already, and no float or key beyond ASCII is left: this is RFC 8785's form.
        return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise CallError(Problem("", f"a golden cannot hold this text: {error}", "give text that is Unicode")) from None
