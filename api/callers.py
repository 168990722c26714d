"""Who asks, and what they may: the routes name what they need, and are told whose runs it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Security
from fastapi.security import SecurityScopes

Scope = Literal["run", "read", "audit", "operate", "admin"]
"""What a caller may do: start runs and talk to them; look at them; prove them; steer the service; say who may."""

SCOPES: tuple[Scope, ...] = ("run", "read", "audit", "operate", "admin")
"""All of them."""

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


async def caller_of(_needed: SecurityScopes) -> Caller:
    """The caller of a request, who has the scopes that are needed. There are no keys yet: it is whoever is here."""
    return LOCAL


Runner = Annotated[Caller, Security(caller_of, scopes=["run"])]
"""A caller who may start runs and talk to them, as a route's parameter."""

Reader = Annotated[Caller, Security(caller_of, scopes=["read"])]
"""A caller who may look at runs."""

Auditor = Annotated[Caller, Security(caller_of, scopes=["audit"])]
"""A caller who may prove runs."""

Operator = Annotated[Caller, Security(caller_of, scopes=["operate"])]
"""A caller who may steer what happens to the tenant's runs: many at once, stops, budgets, policies, webhooks."""

Admin = Annotated[Caller, Security(caller_of, scopes=["admin"])]
"""A caller who may say who may do what, and erase."""

ServiceReader = Annotated[Caller, Security(caller_of, scopes=["read", EVERYWHERE])]
"""A caller who may look at the service as a whole: workers, projections."""

ServiceAuditor = Annotated[Caller, Security(caller_of, scopes=["audit", EVERYWHERE])]
"""A caller who may prove the whole log."""

ServiceOperator = Annotated[Caller, Security(caller_of, scopes=["operate", EVERYWHERE])]
"""A caller who may steer the service as a whole: projections, global stops."""

ServiceAdmin = Annotated[Caller, Security(caller_of, scopes=["admin", EVERYWHERE])]
"""A caller who may say who may do what for every tenant."""
