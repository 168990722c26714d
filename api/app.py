"""The application: routes, problems and guard, put together from what it is handed."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..core.runtime.engine import Engine
from ..eventstore.store import Store
from .answers import ProblemDocument
from .console.site import install_console
from .guard import Guard
from .ports import Ports
from .problems import MEDIA_TYPE, install
from .routes import approvals, messages, plans, runs, service
from .watch import EndWatch

_DESCRIPTION = "Durable execution that can be proved. Errors are RFC 9457 problem documents with a failure code."

_PROBLEM: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemDocument, "description": "The request is refused."},
    "5XX": {"model": ProblemDocument, "description": "The server cannot answer."},
}


def create_app(engine: Engine, store: Store, build: str) -> FastAPI:
    """The API over `engine` and its `store`. The engine must know no skills: the API starts runs and executes none.

    Workflows given by name are looked up by `resolve`. Close `app.state.ports.watch` when the server is to stop, so
    that nobody waits any more.
    """
    app = FastAPI(
        title="Refold",
        version="1",
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # It would load scripts from elsewhere.
        redoc_url=None,
        redirect_slashes=False,
        responses=_PROBLEM,
    )
    app.state.ports = Ports(engine, store, build, EndWatch(store))
    for resource in (runs, messages, approvals, plans, service):
        app.include_router(resource.router)
    install(app)
    app.add_middleware(Guard)
    install_console(app)
    _tell_media_types(app)
    return app


def _tell_media_types(app: FastAPI) -> None:
    """Have the OpenAPI document say that problems are problem documents; FastAPI takes all models for plain JSON."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None) if "4XX" in operation["responses"] else None
                for status, response in operation["responses"].items():
                    content: dict[str, Any] | None = response.get("content")
                    if content and status in _PROBLEM and "application/json" in content:
                        content[MEDIA_TYPE] = content.pop("application/json")
        return document

    app.openapi = openapi
