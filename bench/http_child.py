"""The API over the store at a URL, with one bare route of FastAPI beside it as the limit; prints its port."""

from __future__ import annotations

import asyncio
import signal
import sys

from fastapi import Response

from refold.api.app import ApiLimits
from refold.api.rates import Rate
from refold.compose import WorkflowEngine, open_store, tune_process
from refold.ops.loopback import loopback_socket
from refold.ops.serve import HttpServer, Serving


async def main(url: str) -> None:
    """Serve until told to stop."""
    store = open_store(url)
    with loopback_socket("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        unlimited = Serving(api=ApiLimits(rate=Rate(0)))
        engine = WorkflowEngine(store, parks=True)
        server = HttpServer(engine, bound, lambda: print(port, flush=True), serving=unlimited)

        @server.app.get("/bare")
        async def bare() -> Response:  # pyright: ignore[reportUnusedFunction]
            return Response(b"{}", media_type="application/json")

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        tune_process()
        async with server.engine:
            await server.run()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
