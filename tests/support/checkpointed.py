"""Runs restored from every checkpoint that they might have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from refold.core.canonical import Payload, canonical_json
from refold.core.events import Event
from refold.core.run_state import RunState
from refold.core.snapshot import outputs, snapshot
from refold.core.state import evolve, fold
from refold.projections.checkpoints import Checkpoint, checkpoint_of, state_of

from .states import slots_of


def stored(state: RunState, version: int) -> Checkpoint:
    """The checkpoint of a state, having been a row."""
    return Checkpoint.of_row(checkpoint_of("default", "r", state, version, 1).row())


def plain(part: Any) -> Any:
    """What payloads hold in their place."""
    if isinstance(part, Payload):
        return part.value
    if isinstance(part, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", part).items()}
    return [plain(item) for item in cast("list[Any]", part)] if isinstance(part, list | tuple) else part


def check_every_prefix(events: Sequence[Event]) -> None:
    """A checkpoint after each event, and the events after it, give what all events give."""
    whole = fold(events)
    for version in range(1, len(events) + 1):
        prefix = fold(events[:version])
        checkpoint = stored(prefix, version)
        assert checkpoint.state_json.encode() == canonical_json(plain(snapshot(prefix)))
        assert checkpoint.step_outputs_json.encode() == canonical_json(plain(outputs(prefix)))
        restored = state_of(checkpoint)
        assert slots_of(restored) == slots_of(prefix), f"after event {version}, {events[version - 1].topic}"
        for event in events[version:]:
            evolve(restored, event)
        assert slots_of(restored) == slots_of(whole)
