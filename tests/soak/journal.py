"""What happened, as lines of JSON: every fault with its times, and whatever ended by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Fault:
    """A fault that was done. Times are seconds since the soak began; `fired` is 0 s after `begun` or more, None where
    the alert did not come, or was there before (`already`)."""

    number: int
    kind: str
    target: str
    alert: str | None
    begun: float
    fired: float | None = None
    already: bool = False
    cured: float | None = None
    resolved: float | None = None
    notes: list[str] = field(default_factory=list[str])

    @property
    def raised(self) -> bool:
        """Whether its alert was there, or it has none."""
        return self.alert is None or self.already or self.fired is not None


class Journal:
    """The file of lines."""

    def __init__(self, file: Path, tell: Callable[[str], None] = lambda _: None):
        self._file = file.open("a", buffering=1)
        self._tell = tell
        self.began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the soak began."""
        return round(time.monotonic() - self.began, 2)

    def write(self, what: str, **fields: Any) -> None:
        """Add a line."""
        line = {"at": self.now, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **fields}
        self._file.write(json.dumps(line) + "\n")
        self._tell(" ".join([what, *(f"{name}={value}" for name, value in fields.items())]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
