"""More than the server takes on: whoever asks is answered, or told when to come back; nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from refold.api.admission import Admission, PlaceLimits
from refold.api.app import ApiLimits
from refold.api.problems import Refusal
from refold.api.rates import MOST_CALLERS, Rate, Rates
from refold.compose import open_store
from refold.ops.serve import Serving
from refold.tests.api.client import ECHO, WAIT, Api, problem
from refold.tests.support.served import served

CLIENTS = 200


async def _answers(url: str, requests: list[bytes]) -> list[tuple[int, bytes]]:
    """What is answered to the requests, one after the other over one connection, which is opened again if need be."""
    parts = urlsplit(url)
    found: list[tuple[int, bytes]] = []
    for request in requests:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append((int(head[9:12]), head + await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
    return found


def _start(run_id: str) -> bytes:
    body = json.dumps({"spec": ECHO, "run_id": run_id, "inputs": {"text": "x"}}).encode()
    head = f"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.mark.parametrize("limits", [PlaceLimits(), PlaceLimits(places=4, line=8, seconds=5)])
async def test_two_hundred_clients_on_two_connections_end_in_answers(postgres_url: str, limits: PlaceLimits) -> None:
    with closing(open_store(postgres_url)) as store:
        store.hot.datastore.pool.resize(0, 2)  # type: ignore[attr-defined]
        with served(store, serving=Serving(api=ApiLimits(places=limits))) as url:
            asked = [[_start(f"r{n}"), _get(f"/v1/runs/r{n}"), _get(f"/v1/runs/r{n}/events")] for n in range(CLIENTS)]
            clients = [_answers(url, requests) for requests in asked]
            async with asyncio.timeout(90):
                answered = await asyncio.gather(*clients)
            statuses = Counter(status for client in answered for status, _ in client)
            assert statuses.keys() <= {200, 201, 404, 503} and statuses[201] >= 4, statuses
            for status, answer in (each for client in answered for each in client):
                assert status != 503 or (b"retry-after: " in answer and b"SERVER_BUSY" in answer)
            for client in answered:  # Who was told that the run is recorded finds it.
                assert client[0][0] != 201 or client[1][0] in (200, 503)


class Held:
    """Calls that hold their threads until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0

    def __call__(self) -> str:
        self.begun += 1
        self.go.wait(30)
        return "asked"


async def _visiting(places: Admission, call: Any) -> Any:
    visit = places.begin()
    try:
        return await places.ask(call)
    finally:
        places.leave(visit)


async def _until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_full_line_refuses_at_once_and_a_place_that_comes_free_goes_to_the_first() -> None:
    places, held = Admission(PlaceLimits(places=1, line=1, seconds=20, threads=2)), Held()
    with closing(places):
        inside = asyncio.create_task(_visiting(places, held))
        await _until(lambda: held.begun)
        waits = asyncio.create_task(_visiting(places, lambda: "second"))
        await _until(lambda: places.waiting)
        with pytest.raises(Refusal, match="too many requests wait") as refused:
            await _visiting(places, lambda: "third")
        assert refused.value.status == 503 and refused.value.headers == {"retry-after": "1"}
        held.go.set()
        assert [await inside, await waits] == ["asked", "second"]
        assert (places.taken, places.waiting, places.refused) == (0, 0, 1)


async def test_nobody_waits_longer_than_is_said_for_a_place_or_for_a_thread() -> None:
    places, held = Admission(PlaceLimits(places=2, line=5, seconds=0.1, threads=1)), Held()
    with closing(places):
        inside = asyncio.create_task(_visiting(places, held))
        await _until(lambda: held.begun)
        told = await asyncio.gather(*[_visiting(places, str) for _ in range(4)], return_exceptions=True)
        assert sorted(str(each) for each in told)[0].startswith("no place became free")
        assert any("the store was busy" in str(each) for each in told) and all(isinstance(x, Refusal) for x in told)
        held.go.set()
        assert await inside == "asked" and places.taken == 0


async def test_what_a_client_asked_for_that_has_gone_is_not_begun() -> None:
    places, held = Admission(PlaceLimits(places=1, line=5, seconds=20, threads=2)), Held()
    with closing(places):
        inside = asyncio.create_task(_visiting(places, held))
        await _until(lambda: held.begun)
        begun: list[str] = []
        visits = []

        async def visitor() -> None:
            visits.append(places.begin())
            await places.ask(lambda: begun.append("asked"))

        gone = asyncio.create_task(visitor())
        await _until(lambda: places.waiting)
        visits[0].leave_for_good()
        with pytest.raises(Refusal, match="gone"):
            await gone
        held.go.set()
        await inside
        assert begun == [] and (places.taken, places.waiting) == (0, 0)


def test_whoever_waits_for_a_result_holds_no_place() -> None:
    limits = ApiLimits(places=PlaceLimits(places=2, line=0, seconds=5, threads=1))
    with (
        closing(open_store("memory:")) as store,
        served(store, serving=Serving(api=limits)) as url,
        httpx2.Client(base_url=url, timeout=60) as client,
    ):
        api = Api(client, store, url)
        api.start(WAIT)
        found: list[int] = []

        def wait() -> None:
            found.append(httpx2.get(f"{url}/v1/runs/r/result", params={"wait": 30}, timeout=60).status_code)

        threads = []
        for _ in range(6):
            threads.append(threading.Thread(target=wait))
            threads[-1].start()
        for _ in range(20):
            assert api.get("/v1/runs/r").status_code in (200, 503)
        api.post("/v1/runs/r/cancel")
        for thread in threads:
            thread.join(60)
        assert len(found) == 6 and set(found) <= {200, 202, 503} and 200 in found


def test_a_caller_has_a_bucket_and_the_buckets_are_bounded() -> None:
    now = 0.0
    rates = Rates(Rate(per_second=2, burst=3), lambda: now)
    for _ in range(3):
        rates.take(b"ada")
    with pytest.raises(Refusal) as refused:
        rates.take(b"ada")
    assert refused.value.status == 429 and refused.value.headers["retry-after"] == "1"
    rates.take(b"bob")
    now = 0.5
    rates.take(b"ada")
    with pytest.raises(Refusal):
        rates.take(b"ada")
    for number in range(MOST_CALLERS + 5):
        rates.take(b"%d" % number)
    assert len(rates._buckets) == MOST_CALLERS


def test_beyond_the_rate_there_is_a_429_but_not_for_probes() -> None:
    limits = Serving(api=ApiLimits(rate=Rate(per_second=0.001, burst=1)))
    with (
        closing(open_store("memory:")) as store,
        served(store, serving=limits) as url,
        httpx2.Client(base_url=url) as client,
    ):
        assert client.get("/v1/runs").status_code == 200
        answer = client.get("/v1/runs")
        problem(answer, 429, "REQUESTS_TOO_MANY")
        assert int(answer.headers["retry-after"]) > 900 and '"caller";r=0' in answer.headers["ratelimit"]
        assert client.get("/v1/runs", headers={"authorization": "Bearer other"}).status_code != 429
        assert [client.get(path).status_code for path in ("/health", "/ready")] == [200, 200]
