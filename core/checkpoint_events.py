"""What is found out about checkpoints, in a control stream. See `refold.core.events`, which has these classes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class CheckpointRefused:
    """In `control/checkpoints`: a run was to go on from its checkpoint, which was altered or is of another run; all its
    events were folded instead. `reason` names what is wrong with it."""

    topic: ClassVar = "checkpoint.refused"
    schema: ClassVar = 1

    at: int
    tenant: str
    run_id: str
    reason: str
