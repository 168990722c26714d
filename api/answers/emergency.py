"""What the API answers about emergency stops."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class EmergencyStop(BaseModel):
    """A stop in force. `running`: steps under way finish, or are cancelled and executed again after the release.
    `source`: the log (all workers), the environment or a file of this server's host. `holds` open runs of the caller's
    stand in its scope; null: no index of runs is kept."""

    scope: Literal["global", "tenant", "workflow", "queue"]
    name: str
    running: Literal["finish", "cancel"]
    reason: str
    by: str
    at: str
    source: Literal["log", "environment", "file"]
    holds: int | None


class EmergencyStatus(BaseModel):
    """STOPPED: a stop is in force that concerns the caller. `holds` open runs stand under one; null as above."""

    status: Literal["STOPPED", "RUNNING"]
    stops: list[EmergencyStop]
    holds: int | None


class Enabled(EmergencyStatus):
    """How it stands after a stop was enabled: `enabled` is that one."""

    enabled: EmergencyStop


class Released(EmergencyStatus):
    """How it stands after a release: `released` were in force."""

    released: list[EmergencyStop]
