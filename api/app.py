"""The application: routes, problems and guard, put together from what it is handed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from ..core.runtime.engine import Engine
from ..eventstore.store import Store
from .access.access import Access
from .access.uses import NotedUses
from .admission import Admission, PlaceLimits
from .answers import ProblemDocument
from .console.site import install_console
from .guard import Guard
from .heads import Heads
from .live import LiveLog
from .metrics import http_metrics
from .openapi import complete, operation_id
from .places import NOWHERE, Places
from .ports import Ports
from .problems import install
from .rates import Rate, Rates
from .readiness import Readiness, ReadyLimits
from .resources import RESOURCES
from .routes import approvals, keys, messages, plans, run_events, run_forks, run_lists, run_views, runs, service
from .tracing import Traced
from .traffic import Turnstile
from .watch import EndWatch

_DESCRIPTION = "Durable execution that can be proved. Errors are RFC 9457 problem documents with a failure code."

_PROBLEM: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemDocument, "description": "The request is refused."},
    "5XX": {"model": ProblemDocument, "description": "The server cannot answer."},
}


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What the API takes on at once, from one caller, and when it calls itself ready."""

    places: PlaceLimits = field(default_factory=PlaceLimits)
    rate: Rate = field(default_factory=Rate)
    ready: ReadyLimits = field(default_factory=ReadyLimits)


def create_app(
    engine: Engine,
    store: Store,
    build: str,
    access: Access | None = None,
    public_url: str | None = None,
    *,
    places: Places = NOWHERE,
    limits: ApiLimits | None = None,
) -> FastAPI:
    """The API over `engine` and its `store`. The engine must know no skills: the API starts runs and executes none.

    `access` says who may ask (None: whoever has a key of the engine's), and `public_url` where people reach it.
    `places` says where the files lie that some resources need. Close `app.state.ports` when the server is to stop, so
    that nobody waits any more, and `end` them when it has stopped.
    """
    limits = limits or ApiLimits()
    admission, rates = Admission(limits.places), Rates(limits.rate)
    app = FastAPI(
        title="Refold",
        version="1",
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # It would load scripts from elsewhere.
        redoc_url=None,
        redirect_slashes=False,
        responses=_PROBLEM,
        generate_unique_id_function=operation_id,
    )
    app.state.access = access or Access(engine.access, uses=NotedUses(store.key_uses, engine.access.now))
    app.state.public_url = public_url
    readiness = Readiness(store, limits.ready)
    ports = app.state.ports = Ports(engine, store, build, EndWatch(store), LiveLog(store), places, readiness, admission)
    ports.metrics.sources.append(http_metrics(ports.traffic, admission, rates))
    of_runs = (run_lists, run_views, runs, run_events, run_forks)
    for resource in (*of_runs, messages, approvals, plans, keys, service, *RESOURCES):
        app.include_router(resource.router)
    install(app)
    app.add_middleware(Guard, access=app.state.access, public_url=public_url)
    install_console(app)
    complete(app)
    app.add_middleware(Heads)
    if engine.tracer is not None:
        app.add_middleware(Traced, tracer=engine.tracer)
    app.add_middleware(Turnstile, traffic=ports.traffic, admission=admission, rates=rates)  # The outermost: added last.
    return app
