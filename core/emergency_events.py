"""Emergency stops, as they are enabled and released, in the control stream `control/emergency`.

`scope` is global, tenant, workflow or queue, and `name` what is stopped ("" for global). `by` is who did it, "" when
nobody said, and `reason` why. See `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class EmergencyStopped:
    """From now on no attempt begins in this scope. `running` says of those under way: finish, or cancel.

    A scope that is stopped already is from now on stopped like this.
    """

    topic: ClassVar = "emergency.stopped"
    schema: ClassVar = 1

    at: int
    scope: str
    name: str
    running: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class EmergencyReleased:
    """The stop of this scope is over: what it held back goes on."""

    topic: ClassVar = "emergency.released"
    schema: ClassVar = 1

    at: int
    scope: str
    name: str
    reason: str
    by: str


EmergencyEvent = EmergencyStopped | EmergencyReleased
"""Any of them."""
