"""Run states, made comparable."""

from __future__ import annotations

from typing import Any

from refold import WorkflowResult
from refold.core.run_state import RunState

from .oracle import Expected


def slots_of(state: RunState) -> dict[str, Any]:
    """All that a state holds, but for the plan, which is the same object for the same spec."""
    slots = [name for cls in type(state).__mro__ for name in getattr(cls, "__slots__", ()) if not name.startswith("_")]
    return {name: getattr(state, name) for name in slots if name != "plan"}


def check_expected(result: WorkflowResult, expected: Expected) -> None:
    """The result is the oracle's."""
    assert (result.status, result.success, result.error_code) == (
        expected.status,
        expected.success,
        expected.error_code,
    )
    assert result.output == expected.output
    assert result.step_hashes == expected.step_hashes
    assert result.workflow_hash == expected.workflow_hash
    counted = result.steps[: len(expected.steps)]
    assert {s.step_id: (s.status, s.output, s.error_code, s.attempts) for s in counted} == expected.steps
