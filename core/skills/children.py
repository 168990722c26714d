"""The skill that starts other runs."""

from __future__ import annotations

from typing import Any

from ..durations import MAX_SECONDS
from ..errors import Failure
from ..runtime.skill import skill
from ..runtime.wait import Child, Wait


@skill(inline=True)
def run_workflow(
    workflow: str | None = None,
    version: str | None = None,
    spec: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    run_id: str | None = None,
    queue: str | None = None,
    detached: bool = False,
    timeout_seconds: float | None = None,
) -> Wait:
    """Start a run of `spec`, or of a workflow or registered spec by name, and output what it outputs.

    Fails with CHILD_FAILED when it does not complete, with CHILD_TIMEOUT after `timeout_seconds` (it is then
    cancelled), with RUN_CONFLICT when `run_id` is taken. `detached`: it goes its own way, the output is its `run_id`.
    """
    if (workflow is None) is (spec is None):
        raise _refused("give either 'workflow' or 'spec'")
    if timeout_seconds is not None and not 0 <= timeout_seconds <= MAX_SECONDS:
        raise _refused(f"input 'timeout_seconds' is {timeout_seconds:g}, wanted 0 to {MAX_SECONDS}")
    child = Child(workflow, version, spec, inputs or {}, run_id, queue, detached)
    return Wait(seconds=None if detached else timeout_seconds, child=child)


def _refused(reason: str) -> Failure:
    return Failure("SKILL_INPUT_INVALID", f"skill 'run_workflow': {reason}", retryable=False)
