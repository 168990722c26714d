"""The sizes beyond which Refold refuses, stated in one place; an engine may be given others."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of one engine. There is none on the number of events of a run."""

    payload_bytes: int = 2_000_000
    """The canonical JSON of a run's inputs, a step's inputs, an output: bytes."""
    parallel_steps: int = 64
    """Steps of one run that run side by side; further ones wait, lowest index first."""
    message_characters: int = 2_000
    """What is kept of a failure's message."""
