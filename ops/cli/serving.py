"""`refold serve`."""

from __future__ import annotations

from contextlib import closing

from ...compose import WorkflowEngine, database_url, open_store
from ...core.ids import ACCESS
from ..loopback import loopback_socket, url_of
from ..settings import public_url, store_patience, token_issuer
from .faults import OK, Hidden
from .logs import log_to_stderr
from .output import console, write_json
from .reading import existing_store
from .signals import run_until_drained


def serve_api(host: str, port: int, public: str | None, database: str | None, json: bool) -> int:
    """Serve the API until a signal asks for an end; returns the exit code."""
    patience, issuer, people = store_patience(), token_issuer(), public_url(public)
    url = database_url(database)
    log_to_stderr(Hidden([url]))

    def keyed() -> bool:
        with existing_store(database) as store:
            return issuer is not None or ACCESS in store.heads([ACCESS])

    with closing(loopback_socket(host, port, keyed)) as bound, closing(open_store(url)) as store:
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
        server = HttpServer(engine, bound, begun, places=places(), issuer=issuer, public_url=people)

        async def work() -> None:
            async with engine:
                await server.run()

        with JobKeeper(store, url):
            run_until_drained(work, server.stop, lambda: None)
    return OK
