"""What the API is handed by whoever wires it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ..core.runtime.engine import Engine
from ..eventstore.store import Store
from .watch import EndWatch


@dataclass(frozen=True)
class Ports:
    """The engine must be one that executes nothing; `build` is what the server says of its version."""

    engine: Engine
    store: Store
    build: str
    watch: EndWatch


async def ports_of(request: Request) -> Ports:
    """The ports of the application that answers `request`."""
    return request.app.state.ports


async def tenant_of() -> str:
    """Whose runs the request is about. There is one tenant until there are keys."""
    return "default"


Given = Annotated[Ports, Depends(ports_of)]
"""The ports, as a route's parameter."""

Tenant = Annotated[str, Depends(tenant_of)]
"""The tenant, as a route's parameter."""
