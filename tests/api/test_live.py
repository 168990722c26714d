"""Live events: none missed, none twice, whatever happens to the connections, the server and the clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from random import Random
from typing import Any, cast

import httpx2
import pytest

from refold.api.event_stream import run_blocks, tenant_blocks
from refold.api.live import LiveLog, topics_of
from refold.api.ports import Ports
from refold.core.events import END_TOPICS, RunPaused, RunResumed
from refold.eventstore.memory import MemoryStore
from refold.tests.api.client import ECHO, WAIT, Api, problem
from refold.tests.support.served import served, working
from refold.tests.support.units import Writer

ME = ("default", "")


class Here:
    """A store's live log and what streams ask of a server; a restart makes both anew."""

    def __init__(self, store: MemoryStore):
        self.store = store
        self.restart()

    def restart(self) -> None:
        self.live = LiveLog(self.store)

    async def ask(self, call: Any, *args: Any) -> Any:
        return call(*args)

    @property
    def ports(self) -> Ports:
        return cast("Ports", self)


def data_of(block: bytes) -> list[dict[str, Any]]:
    lines = block.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith('data: {"')]


def id_of(block: bytes) -> int | None:
    ids = [int(line[4:]) for line in block.decode().splitlines() if line.startswith("id: ")]
    return ids[-1] if ids else None


async def received(blocks: AsyncIterator[bytes], most: int, got: list[int], last: int | None) -> int | None:
    """Take at most `most` blocks; the last id then. What is got is the ids of events."""
    async with aclosing(cast("Any", blocks)):
        async for block in blocks:
            got += [event["position"] for event in data_of(block)]
            last = id_of(block) or last
            most -= 1
            if not most:
                break
    return last


async def test_of_a_thousand_disconnects_none_loses_an_event_or_brings_one_twice() -> None:
    seed = Random().randrange(10**6)
    random = Random(seed)
    store, writer = MemoryStore(), Writer()
    here = Here(store)
    got: list[int] = []
    last: int | None = 0
    begun = 0

    def write() -> None:
        nonlocal begun
        for _ in range(random.randint(0, 3)):
            begun += 1
            store.commit([writer.run(f"r{begun}", random.choice(["default", "other"]))], "w")
            if random.random() < 0.3:
                store.hint()

    for _ in range(1_000):
        write()
        with here.live.listening(ME, "default/", exact=False) as listener:
            blocks = tenant_blocks(here.ports, here.live, listener, last, topics_of([]), 0.001)
            last = await received(blocks, random.randint(1, 4), got, last)
        if random.random() < 0.02:
            here.live.close()
            here.restart()
    expected = [each.position for each in store.follow(0, 10**6) if each.record.stream.startswith("default/")]
    with here.live.listening(ME, "default/", exact=False) as listener:
        async with asyncio.timeout(30):
            while len(got) < len(expected):  # Of what a stream sends, the first block is no event.
                blocks = tenant_blocks(here.ports, here.live, listener, last, topics_of([]), 5)
                last = await received(blocks, 2, got, last)
    assert len(expected) > 300 and got == expected, f"seed {seed}"


async def test_who_keeps_up_and_who_does_not_see_the_same() -> None:
    store, writer = MemoryStore(), Writer()
    here = Here(store)

    async def listen(slow: bool) -> list[int]:
        got: list[int] = []
        with here.live.listening(ME, "default/", exact=False) as listener:
            async for block in tenant_blocks(here.ports, here.live, listener, 0, topics_of(["run.*"]), 0.01):
                got += [event["position"] for event in data_of(block)]
                if len(got) >= 6_000:
                    return got
                if slow:
                    await asyncio.sleep(0.001)
        return got

    async with asyncio.timeout(60):
        listening = [asyncio.create_task(listen(slow)) for slow in (False, True, False)]
        for number in range(60):
            store.commit([writer.run(f"r{number}-{each}") for each in range(100)], "w")
            await asyncio.sleep(0)
        assert [await each for each in listening] == [list(range(1, 6_001))] * 3


async def test_a_first_event_comes_with_the_next_look(memory_api: Api) -> None:
    asked = {"accept": "text/event-stream"}
    async with (
        httpx2.AsyncClient(base_url=memory_api.url, timeout=30) as client,
        client.stream("GET", "/v1/events", headers=asked) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        memory_api.start()
        async for line in lines:
            if line.startswith("data: "):
                event = json.loads(line[6:])
                assert (event["run_id"], event["topic"], event["position"]) == ("r", "run.started", 1)
                break


def streamed(api: Api, path: str, **headers: str) -> str:
    """All of a stream that ends."""
    asked = {"accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return api.client.get(path, headers=asked).text


def test_the_stream_of_a_run_ends_with_it_and_goes_on_behind_any_event(memory_api: Api) -> None:
    memory_api.start(ECHO, inputs={"text": "hi"})
    with working(memory_api.store):
        whole = streamed(memory_api, "/v1/runs/r/events")
    assert data_of(whole.encode()) == memory_api.get("/v1/runs/r/events").json()["events"]
    assert whole.endswith("\n\nevent: end\ndata: {}\n\n")
    for after in range(4):
        rest = streamed(memory_api, "/v1/runs/r/events", Last_Event_ID=str(after))
        assert [event["version"] for event in data_of(rest.encode())] == [1, 2, 3][after:]
        assert rest.endswith("event: end\ndata: {}\n\n")
    assert "run.completed" in END_TOPICS


async def test_a_stream_that_is_quiet_sends_heartbeats_and_never_a_foreign_event() -> None:
    store, writer = MemoryStore(), Writer()
    here = Here(store)
    store.commit([writer.run("r"), writer.run("r", "other")], "w")
    with here.live.listening(ME, "default/r", exact=True) as listener:
        blocks = run_blocks(here.ports, here.live, listener, "default/r", 0, 0.01)
        first, second, third = [await anext(blocks) for _ in range(3)]
        assert first == b"retry: 1000\n\n" and id_of(second) == 1 and third.startswith(b":")
        store.commit(
            [writer.unit(("default/r", [RunPaused(2, 1, "x")])), writer.unit(("other/r", [RunResumed(2, 0)]))], "w"
        )
        async with asyncio.timeout(10):
            while (block := await anext(blocks)).startswith(b":"):
                pass
        assert [event["topic"] for event in data_of(block)] == ["run.paused"]


async def test_places_are_limited_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from refold.api import live as module
    from refold.api.problems import Refusal

    monkeypatch.setattr(module, "MAX_STREAMS_OF_A_CALLER", 2)
    log = LiveLog(MemoryStore())
    with log.listening(ME, "default/", exact=False), log.listening(ME, "default/", exact=False):
        with pytest.raises(Refusal) as refused, log.listening(ME, "default/", exact=False):
            pass
        assert refused.value.failure == "STREAMS_EXHAUSTED" and refused.value.headers["retry-after"]
        with log.listening(("other", ""), "other/", exact=False):
            pass
    with log.listening(ME, "default/", exact=False):
        pass
    log.close()
    with pytest.raises(Refusal), log.listening(ME, "default/", exact=False):
        pass


def test_a_server_that_stops_sends_its_listeners_away() -> None:
    with ExitStack() as stack:
        client = stack.enter_context(httpx2.Client(timeout=30))
        with served(MemoryStore()) as base:
            asked = client.stream("GET", f"{base}/v1/events", headers={"accept": "text/event-stream"})
            lines = stack.enter_context(asked).iter_lines()
            assert next(lines) == "retry: 1000"
        assert not any(line.startswith("data:") for line in lines)


def test_the_log_of_all_runs_can_be_paged_through_by_topic(memory_api: Api) -> None:
    for number in range(3):
        memory_api.start(WAIT, f"r{number}")
    memory_api.post("/v1/runs/r1/pause")
    first = memory_api.get("/v1/events", limit=2).json()
    assert [event["run_id"] for event in first["events"]] == ["r0", "r1"]
    second = memory_api.get("/v1/events", after=first["next_after"]).json()
    assert [(event["run_id"], event["topic"]) for event in second["events"]] == [
        ("r2", "run.started"),
        ("r1", "run.paused"),
    ]
    assert second["next_after"] is None
    paused = memory_api.get("/v1/events", topic=["run.paused", "step.*"]).json()["events"]
    assert [event["topic"] for event in paused] == ["run.paused"]


@pytest.mark.parametrize("path", ["/v1/runs/nobody/events", "/v1/runs/%00/events"])
def test_there_is_no_stream_of_no_run(memory_api: Api, path: str) -> None:
    answered = memory_api.client.get(path, headers={"accept": "text/event-stream"})
    problem(answered, *((404, "RUN_NOT_FOUND") if "nobody" in path else (422, "INPUT_INVALID")))


@pytest.mark.parametrize("last", ["x", "-1", "9" * 20])
def test_an_id_that_no_event_has_is_refused(memory_api: Api, last: str) -> None:
    memory_api.start()
    headers = {"accept": "text/event-stream", "last-event-id": last}
    answered = memory_api.client.get("/v1/runs/r/events", headers=headers)
    problem(answered, 422, "INPUT_INVALID")
