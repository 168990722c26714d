"""What a skill may know about the step it runs for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepContext:
    """The step as its skill sees it; a skill gets one by annotating a parameter `StepContext`.

    Read-only: nothing in it leads back to the engine's state. `outputs` hands out values decoded afresh.
    """

    run_id: str
    step_id: str
    index: int
    """The step's topological position in its run, from 0."""
    seed: int
    """0 to 2^53-1, from the run's seed and the index alone: the same on every attempt and every replay."""
    attempt: int
    """Counts from 1."""
    idempotency_key: str
    """The same on every attempt; hand it to systems that drop repeated requests."""
    outputs: Mapping[str, Any]
    """Outputs of the steps that this one depends on, by step id."""
