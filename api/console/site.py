"""The console's pages, all of them; whoever makes a page adds its module here."""

from __future__ import annotations

from fastapi import FastAPI

from . import (
    approvals,
    assets,
    audit,
    budgets,
    bulk,
    control,
    diff_page,
    emergency,
    export,
    failures,
    goldens,
    jobs,
    keys,
    login,
    outgoing,
    projections,
    reference,
    registry,
    run_actions,
    run_list,
    run_page,
    workers,
)
from .errors import ProblemPages

_PAGES = (
    assets,
    run_list,
    run_page,
    run_actions,
    bulk,
    diff_page,
    export,
    approvals,
    workers,
    projections,
    jobs,
    failures,
    audit,
    emergency,
    control,
    keys,
    login,
    budgets,
    registry,
    goldens,
    outgoing,
    reference,
)


def install_console(app: FastAPI) -> None:
    """Have `app` serve the console, and draw its problems for browsers."""
    app.state.pages = {route.path for module in _PAGES for route in module.router.routes if hasattr(route, "path")}
    for module in _PAGES:
        app.include_router(module.router)
    app.add_middleware(ProblemPages)
