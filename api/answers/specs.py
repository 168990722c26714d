"""What the API answers about registered specs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from . import ProblemEntry


class RegisteredSpec(BaseModel):
    """A registered spec: its SHA-256 over canonical JSON, when it was registered and by whom ("": nobody said).

    `latest`: the last of its type that was registered.
    """

    workflow_type: str
    version: str
    latest: bool
    spec_hash: str
    registered_at: str
    by: str


class SpecPage(BaseModel):
    """Registered specs, by type and version."""

    specs: list[RegisteredSpec]
    next_cursor: str | None


class WholeSpec(RegisteredSpec):
    """A registered spec with its content, byte for byte what was hashed; `new`: this very request registered it."""

    spec: dict[str, Any]
    new: bool


class Validated(BaseModel):
    """Whether a spec can run; if not, all that is wrong with it. `spec_hash` is what it would be registered with."""

    valid: bool
    problems: list[ProblemEntry]
    workflow_type: str | None
    version: str | None
    spec_hash: str | None
    steps: list[str]
    """The ids of the steps in the order of their indexes."""
