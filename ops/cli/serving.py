"""`refold serve`."""

from __future__ import annotations

from contextlib import closing

from ...compose import WorkflowEngine, database_url, open_store
from ..loopback import loopback_socket, url_of
from ..settings import store_patience
from .faults import OK, Hidden
from .logs import log_to_stderr
from .output import console, write_json
from .signals import run_until_drained


def serve_api(host: str, port: int, database: str | None, json: bool) -> int:
    """Serve the API until a signal asks for an end; returns the exit code."""
    patience = store_patience()
    url = database_url(database)
    log_to_stderr(Hidden([url]))
    with closing(loopback_socket(host, port)) as bound, closing(open_store(url)) as store:
        # What can be refused is refused before a second goes into loading the web framework.
        from ..job_keeper import JobKeeper
        from ..places import places
        from ..serve import HttpServer

        def begun() -> None:
            here = url_of(bound)
            if json:
                write_json({"listening": here})
            else:
                console().print(f"listening on {here}", soft_wrap=True)

        engine = WorkflowEngine(store, patience=patience, parks=True)
        server = HttpServer(engine, bound, begun, places=places())

        async def work() -> None:
            async with engine:
                await server.run()

        with JobKeeper(store, url):
            run_until_drained(work, server.stop, lambda: None)
    return OK
