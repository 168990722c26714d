"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.access_log import SCOPES

EVERYWHERE = "all-tenants"
"""Asked for beside a scope by what concerns the service as a whole, and so every tenant."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is what is recorded as `by`; `tenant` is whose runs it is about; with `everywhere` the caller
    may do the same for every tenant."""

    name: str
    tenant: str
    scopes: frozenset[str]
    everywhere: bool


LOCAL = Caller("", "default", frozenset(SCOPES), True)
"""Whoever reaches the port of a server without keys."""
