"""What only the HTTP API refuses, by the code that the problem must carry."""

from __future__ import annotations

import httpx2

from refold.api import live
from refold.api.app import create_app
from refold.api.problems import Refusal
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke, code_of
from .workflows import spec, step


async def no_place(bench: Bench) -> str | None:
    """As many listen on behalf of one caller as may."""
    log = live.LiveLog(bench.store)
    places = [log.listening(("default", ""), "default/", exact=False) for _ in range(live.MAX_STREAMS_OF_A_CALLER)]
    for place in places:
        place.__enter__()
    try:
        with log.listening(("default", ""), "default/", exact=False):
            return None
    except Refusal as refusal:
        return refusal.failure
    finally:
        for place in places:
            place.__exit__(None, None, None)


async def another_request(bench: Bench) -> str | None:
    """A key that stands for something else already."""
    assert await bench.engine.request_keys.claim("key", b"one") is True
    assert await bench.engine.request_keys.claim("key", b"one") is False
    return await code_of(bench.engine.request_keys.claim("key", b"other"))


async def not_ended(bench: Bench) -> str | None:
    """The golden of a run that goes on."""
    await bench.engine.start(spec(step("a")), "r")
    transport = httpx2.ASGITransport(create_app(bench.engine, bench.store, "test"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/v1/runs/r/golden")).json()["code"]


HTTP: dict[str, Provoke] = {
    "IDEMPOTENCY_CONFLICT": another_request,
    "RUN_OPEN": not_ended,
    "STREAMS_EXHAUSTED": no_place,
}
"""How each code is brought about."""
