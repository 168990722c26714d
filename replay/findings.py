"""What a proof found wrong: which event, what kind of fault, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `number` is the event's version in `stream` (from 1); 0 when the fault is none of one event's.

    `kind` is one of: changed, missing, moved, doubled, foreign, unreadable, head, payload, impossible, hash, identity,
    checkpoint, golden, archive.
    """

    stream: str
    number: int
    kind: str
    reason: str

    def __str__(self) -> str:
        where = f"event {self.number} of {self.stream}" if self.number else self.stream
        return f"{where}: {self.kind}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object of the same names."""
        return asdict(self)
