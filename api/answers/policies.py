"""What the API answers about policies."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from . import ProblemEntry


class AdoptedPolicy(BaseModel):
    """A policy that somebody goes by, or went by; `sha256` is that of its canonical JSON."""

    policy: str
    version: str
    sha256: str
    adopted_at: str
    by: str


class PolicyPage(BaseModel):
    """Policies in the order in which they were adopted."""

    policies: list[AdoptedPolicy]
    next_cursor: str | None


class WholePolicy(AdoptedPolicy):
    """A policy with its document, byte for byte what was hashed."""

    document: dict[str, Any]


class CurrentPolicy(BaseModel):
    """The policy that this server asks before it records a run; all null: none."""

    policy: str | None
    version: str | None
    sha256: str | None
    document: dict[str, Any] | None


class CheckedPolicy(BaseModel):
    """Whether a document is a policy; if so, what it says in sentences, else what is wrong with it."""

    valid: bool
    problems: list[ProblemEntry]
    policy: str | None
    version: str | None
    sha256: str | None
    says: list[str]
