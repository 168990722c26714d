"""The console's pages, all of them; whoever makes a page adds its module here."""

from __future__ import annotations

from fastapi import FastAPI

from . import (
    approvals,
    assets,
    audit,
    budgets,
    control,
    emergency,
    failures,
    keys,
    login,
    outgoing,
    projections,
    registry,
    run_list,
    workers,
)
from .errors import ProblemPages

_PAGES = (
    assets,
    run_list,
    approvals,
    workers,
    projections,
    failures,
    audit,
    emergency,
    control,
    keys,
    login,
    budgets,
    registry,
    outgoing,
)


def install_console(app: FastAPI) -> None:
    """Have `app` serve the console, and draw its problems for browsers."""
    app.state.pages = {route.path for module in _PAGES for route in module.router.routes if hasattr(route, "path")}
    for module in _PAGES:
        app.include_router(module.router)
    app.add_middleware(ProblemPages)
