"""Run states, made comparable."""

from __future__ import annotations

from typing import Any

from refold.core.state import RunState


def slots_of(state: RunState) -> dict[str, Any]:
    """All that a state holds, but for the plan, which is the same object for the same spec."""
    return {name: getattr(state, name) for name in RunState.__slots__ if name != "plan"}
