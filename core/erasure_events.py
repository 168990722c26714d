"""What was erased, in the control stream `control/erasures`. See `refold.core.events`, which has these classes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class DataErased:
    """The key to the sensitive data of a run is destroyed, by `by` ("" when nobody said) and for this reason.

    `subject` stands for whom it was about where all data about somebody were erased; it is no name.
    """

    topic: ClassVar = "data.erased"
    schema: ClassVar = 1

    at: int
    tenant: str
    run_id: str
    subject: str | None
    reason: str
    by: str
