"""What a skill returns to have its step wait durably: for a time, for a signal, or for whichever comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_WAIT_SECONDS = 10 * 366 * 86_400
"""The longest wait: ten years."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The step waits without occupying anything; its run may leave memory and come back in another process.

    With `signal` it ends with that signal's payload as output, or fails with SIGNAL_TIMEOUT after `seconds` (None: it
    waits for ever). Without, it ends after `seconds` with `output`.
    """

    seconds: float | None = None
    signal: str | None = None
    output: Any = None
