"""Who asks, and what they may: the routes name what they need, and are told whose runs it is about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import SecurityScopes

from ..core.access_log import SCOPES, Scope
from .access.access import access_of
from .access.caller import EVERYWHERE, LOCAL, Caller
from .access.documented import BEARER, SESSION

__all__ = [
    "EVERYWHERE",
    "LOCAL",
    "SCOPES",
    "Admin",
    "Auditor",
    "Caller",
    "Operator",
    "Reader",
    "Runner",
    "Scope",
    "ServiceAdmin",
    "ServiceAuditor",
    "ServiceOperator",
    "ServiceReader",
    "caller_of",
]


async def caller_of(
    needed: SecurityScopes,
    request: Request,
    _bearer: Annotated[None, Security(BEARER)],
    _session: Annotated[None, Security(SESSION)],
) -> Caller:
    """The caller of a request, who has the scopes that are needed. Raises Refusal: 401, 403, 429."""
    return await access_of(request).caller(request, needed.scopes)


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
