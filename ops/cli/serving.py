"""`refold serve`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TypedDict, Unpack

from ...compose import WorkflowEngine, database_url, open_store, tune_process
from ...core.ids import ACCESS
from ..loopback import loopback_socket, url_of
from ..settings import golden_folder, public_url, store_patience, token_issuer
from .faults import OK, Hidden
from .logs import log_to_stderr
from .output import console, write_json
from .reading import existing_store
from .serving_options import check_forwarded, check_tls, serving_of
from .signals import run_until_drained


class Options(TypedDict):
    """See `serving_options`."""

    certificate: Path | None
    key: Path | None
    forwarded: Sequence[str]
    drain: float
    access_log: bool
    rate: float
    at_once: int
    connections: int
    max_lag: float
    min_free: int


def serve_api(
    host: str, port: int, public: str | None, database: str | None, json: bool, **options: Unpack[Options]
) -> int:
    """Serve the API until a signal asks for an end; returns the exit code."""
    patience, issuer, people = store_patience(), token_issuer(), public_url(public)
    url = database_url(database)
    check_tls(options["certificate"], options["key"])
    check_forwarded(options["forwarded"])
    log_to_stderr(Hidden([url]))
    if options["access_log"]:
        logging.getLogger("refold.access").setLevel(logging.INFO)

    def keyed() -> bool:
        with existing_store(database) as store:
            return issuer is not None or ACCESS in store.heads([ACCESS])

    with closing(loopback_socket(host, port, keyed)) as bound, closing(open_store(url)) as store:
        # What can be refused is refused before a second goes into loading the web framework.
        from ..job_keeper import JobKeeper
        from ..metrics.telling import telling
        from ..places import places
        from ..serve import HttpServer

        tune_process()

        def begun() -> None:
            here = url_of(bound, tls=options["certificate"] is not None)
            if json:
                write_json({"listening": here})
            else:
                console().print(f"listening on {here}", soft_wrap=True)

        engine = WorkflowEngine(store, patience=patience, parks=True)
        serving = serving_of(url, golden_folder(None), **options)
        server = HttpServer(engine, bound, begun, places=places(), issuer=issuer, public_url=people, serving=serving)

        async def work() -> None:
            async with engine:
                await server.run()

        with (
            telling(server.metrics, store, serving.api.ready.folders, appends=engine.append_seconds),
            JobKeeper(store, url),
        ):
            run_until_drained(work, server.stop, lambda: None)
    return OK
