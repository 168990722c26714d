"""What a skill may know about the step it runs for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..canonical import Payload
from ..errors import CallError, Problem
from ..spec import MAX_CENTS
from .payloads import inputs_payload
from .tracing import current_traceparent

MAX_DETAILS = 100_000
"""Bytes of JSON that a heartbeat may carry."""


class Pulse:
    """The sign of life of one attempt: when it last came, what it told that nobody has taken yet, and what it cost."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.details: Payload | None = None
        self.charged: float | None = None

    def beat(self, details: Payload | None) -> None:
        """Give a sign of life."""
        self.at = time.monotonic()
        if details is not None:
            self.details = details

    def take(self) -> Payload | None:
        """What was told since the last call."""
        details, self.details = self.details, None
        return details


@dataclass(frozen=True, slots=True)
class StepContext:
    """The step as its skill sees it; a skill gets one by annotating a parameter `StepContext`.

    Read-only: nothing in it leads back to the engine's state. `outputs` hands out values decoded afresh.
    """

    run_id: str
    step_id: str
    index: int | str
    """The step's topological position in its run, from 0; in a workflow function the path of the call."""
    seed: int
    """0 to 2^53-1, from the run's seed and the index alone: the same on every attempt and every replay."""
    attempt: int
    """Counts from 1."""
    idempotency_key: str
    """The same on every attempt; hand it to systems that drop repeated requests."""
    outputs: Mapping[str, Any]
    """Outputs of the steps that this one depends on, by step id; empty in a workflow function."""
    progress: Any = None
    """What an earlier attempt last told with `heartbeat`, if that was recorded before it ended."""
    _pulse: Pulse = field(default_factory=Pulse, repr=False, compare=False)

    @property
    def pulse(self) -> Pulse:
        """Where `heartbeat` is felt."""
        return self._pulse

    @property
    def traceparent(self) -> str | None:
        """The W3C `traceparent` of the attempt, or of the span begun in it, to hand on; None if there is no trace."""
        return current_traceparent()

    def charge(self, cents: float) -> None:
        """Tell what the attempt has really cost, in cents, in place of what was expected; called again, it adds up.

        It counts whether the attempt succeeds or not. Raises CallError for what is no amount of money.
        """
        charged = self._pulse.charged or 0
        if isinstance(cents, bool) or not 0 <= cents <= MAX_CENTS - charged:
            fix = f"give 0 or more, up to {MAX_CENTS} for an attempt"
            raise CallError(Problem("", f"{str(cents)[:100]} is no number of cents", fix))
        self._pulse.charged = charged + cents

    def heartbeat(self, details: Any = None) -> None:
        """Tell that the attempt lives, and with `details` (JSON) how far it is; from any thread, as often as you like.

        Details are recorded about once a second. Raises CallError for what is no JSON.
        """
        self._pulse.beat(None if details is None else inputs_payload({"details": details}, MAX_DETAILS))
