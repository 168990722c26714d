"""What a client is told of runs, and makes of them, is the same on a store and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import refold
from refold import (
    CallError,
    Client,
    CredentialsRefusedError,
    RefoldError,
    RunConflictError,
    RunHandle,
    RunNotFoundError,
    ScopeMissingError,
    SkillRegistry,
    StoreUnreachableError,
    SyncClient,
    WorkflowEngine,
    open_store,
)
from refold.api.client.patience import MOST_TIMES
from refold.api.client.problems import ERRORS
from refold.api.client.sse import Block, blocks_of
from refold.eventstore.store import Store
from refold.tests.support.scripted import scripted, told
from refold.tests.support.served import served, working
from refold.tests.support.workflows import soon, spec, step

ASK = spec(
    step("a", text="${inputs.text}"), step("ask", "wait_signal", depends_on=["a"], inputs={"name": "go"}), output="${a}"
)
FAILS = spec(step("a", x=1), step("b", "fail", depends_on=["a"]))


@pytest.fixture
def store() -> Iterator[Store]:
    skills = SkillRegistry()

    @skills.skill("fail")
    def fail() -> None:
        raise ValueError("no")

    with closing(open_store("memory:")) as store, working(store, skills):
        yield store


@pytest.fixture(params=["store", "http"])
def where(request: pytest.FixtureRequest, store: Store) -> Iterator[Store | str]:
    """What a client is given."""
    if request.param == "store":
        yield store
        return
    with served(store) as base:
        yield base


@pytest.fixture
async def client(where: Store | str) -> AsyncIterator[Client]:
    async with Client(where, patience=2) as client:
        yield client


async def waits(client: Client, run_id: str, **inputs: Any) -> RunHandle[Any]:
    handle = await client.start(ASK, run_id=run_id, inputs={"text": "hi", **inputs})
    while await soon(handle.status()) != "waiting":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return handle


async def test_events_come_as_they_are_recorded_none_missing_and_none_twice(client: Client) -> None:
    handle = await waits(client, "r")
    before = [event async for event in handle.events()]
    seen: list[Any] = []

    async def follow() -> None:
        async for event in handle.events(1, follow=True):
            seen.append(event)

    following = asyncio.create_task(follow())
    while len(seen) < len(before) - 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not following.done()
    await handle.signal("go")
    await soon(following)
    every = [event async for event in client.events("r")]
    assert seen == every[1:] and before == every[: len(before)]
    assert [event["version"] for event in every] == list(range(1, len(every) + 1))
    assert every[-1]["topic"] == "run.completed" and {"at", "data", "hash", "predecessor"} <= every[0].keys()
    assert [event async for event in client.events("r", len(every), follow=True)] == [], "it has ended"


async def test_who_stops_listening_leaves_the_client_as_it_is(client: Client) -> None:
    handle = await waits(client, "r")
    async with aclosing(handle.events(follow=True)) as events:
        assert (await soon(anext(events)))["version"] == 1
    assert await handle.status() == "waiting"


async def test_a_run_is_forked_compared_and_proved(client: Client) -> None:
    await waits(client, "r")
    fork = await client.fork("r", changes={"/inputs/text": "ho"}, new_id="f")
    assert fork.run_id == "f" and (await client.fork("r", "ask")).run_id not in ("r", "f", "")
    assert {run.run_id for run in (await client.list(forked_from="r", prefix="f")).runs} == {"f"}
    with pytest.raises(RunConflictError):
        await client.fork("r", changes={"/inputs/text": "other"}, new_id="f")
    await fork.signal("go")
    assert await soon(fork.result()) == {"text": "ho"}
    found = await client.diff("r", "f")
    assert found["equal"] is False and found["first"] == found["differences"][0]
    assert (await client.diff("f", "f"))["kinds"] == {}
    verdict = await client.verify("f")
    assert verdict["ok"] is True and verdict["chain"] == {"ok": True, "findings": []}


async def test_a_failed_run_is_tried_again_from_where_it_failed(client: Client) -> None:
    failed = await client.start(FAILS, run_id="r")
    while not (await soon(failed.describe())).ended:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    again = await failed.retry(new_id="again")
    assert [each.step_id for each in (await again.steps())[:1]] == ["a"]
    await waits(client, "w")
    with pytest.raises(CallError, match="only a failed run"):
        await client.retry("w")


async def test_runs_are_filtered_and_counted(client: Client) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    for name in ("order-1", "order-2", "other"):
        await waits(client, name)
    await client.signal("order-2", "go")
    while (await soon(client.counts())).get("completed") != 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await client.counts() == {"completed": 1, "waiting": 2}
    assert await client.counts(prefix="order", status=["waiting", "failed"]) == {"waiting": 1}

    async def listed(**wanted: Any) -> list[str]:
        return [run.run_id for run in (await client.list(**wanted)).runs]

    assert await listed(prefix="order") == ["order-2", "order-1"]
    assert await listed(status=("completed", "failed")) == ["order-2"]
    assert await listed(started_after=began, workflow_type="test", queue="default", limit=1) == ["other"]
    assert await listed(started_before=began.isoformat()) == await listed(parent="order-1") == []


async def test_what_cannot_be_asked_is_refused_in_the_same_way(client: Client) -> None:
    bad: list[dict[str, Any]] = [
        {"status": "done"},
        {"version": "1"},
        {"started_after": "2026-11-20T08:00:00"},
        {"started_before": "soon"},
        {"prefix": "../"},
        {"queue": "q" * 201},
        {"attributes": {"a=b": "c"}},
        {"limit": 0},
        {"limit": 201},
    ]
    for wanted in bad:
        with pytest.raises(CallError):
            await client.list(**wanted)
    with pytest.raises(TypeError, match="no filter 'colour'"):
        await client.counts(colour="red")  # pyright: ignore[reportCallIssue]
    await client.start(ASK, run_id="r", inputs={"text": "hi"})
    with pytest.raises(CallError):
        await client.fork("r")
    with pytest.raises(CallError):
        await anext(client.events("r", -1))
    asked: list[Callable[[], Awaitable[Any]]] = [
        lambda: anext(client.events("none")),
        lambda: anext(client.events("none", follow=True)),
        lambda: client.fork("none", "a"),
        lambda: client.retry("none"),
        lambda: client.verify("none"),
        lambda: client.diff("none", "none"),
    ]
    for ask in asked:
        with pytest.raises(RunNotFoundError):
            await ask()


def test_a_program_without_an_event_loop_is_told_the_same(where: Store | str) -> None:
    with SyncClient(where) as client:
        handle = client.start(ASK, run_id="r", inputs={"text": "hi"})
        events = handle.events(follow=True)
        assert next(events)["topic"] == "run.started"
        while handle.status() != "waiting":
            pass
        fork = handle.fork("ask", new_id="f")
        handle.signal("go")
        assert [event["version"] for event in events] == list(range(2, len(list(client.events("r"))) + 1))
        left = fork.events(follow=True)
        next(left)
        assert client.verify("f")["ok"] and not client.diff("r", "f")["equal"] and sum(client.counts().values()) == 2


async def test_a_key_says_who_asks_and_a_tenant_whose_runs_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WorkflowEngine(store) as engine:
        everyone = (await engine.access.create("all", ("run", "read"), tenant=None)).text
        reader = (await engine.access.create("reader", ("read",), tenant="blue")).text
    with served(store) as base:
        async with Client(base, api_key=everyone, tenant="blue") as client:
            await client.start(ASK, run_id="r", inputs={"text": "hi"})
        monkeypatch.setenv("REFOLD_API_KEY", reader)
        async with Client(base) as client:
            assert [run.run_id for run in (await client.list()).runs] == ["r"]
            with pytest.raises(ScopeMissingError, match="the scope run"):
                await client.cancel("r")
        async with Client(base, tenant="red") as client:
            with pytest.raises(ScopeMissingError, match="not for that tenant"):
                await client.list()
        async with Client(base, api_key="rfk_x_y") as client:
            for _ in range(40):  # From the 31st on the answer is 429, which is no reason to ask again.
                with pytest.raises(CredentialsRefusedError):
                    await client.list()
            with pytest.raises(CredentialsRefusedError):
                await anext(client.events("r", follow=True))


def test_a_key_that_cannot_be_one_is_refused_and_not_shown() -> None:
    for url, key in (("http://127.0.0.1:1", "my\nsecret"), ("sqlite:///x", "mysecret")):
        with pytest.raises(CallError) as refused:
            Client(url, api_key=key)
        assert "secret" not in str(refused.value)
    with pytest.raises(CallError, match="as api_key") as refused:
        Client("http://me:secret@127.0.0.1:1")
    assert "secret" not in str(refused.value)


PUT_OFF = told("429 Too Many Requests", b'{"code": "X", "detail": "busy", "problems": []}', retry_after="0")
COUNTS = told("200 OK", b'{"counts": {"failed": 2}}')


async def test_who_is_put_off_asks_again() -> None:
    answers = [PUT_OFF, told("503 Service Unavailable", b"", retry_after="0"), COUNTS]
    async with scripted(answers) as (url, heads), Client(url) as client:
        assert await soon(client.counts()) == {"failed": 2}
        assert len(heads) == 3


async def test_who_is_put_off_for_ever_gives_up_after_so_many_times() -> None:
    async with scripted([PUT_OFF]) as (url, heads), Client(url, patience=1e9) as client:
        with pytest.raises(StoreUnreachableError, match="busy"):
            await soon(client.counts())
        assert len(heads) == MOST_TIMES + 1


async def test_who_is_put_off_for_longer_than_there_is_patience_is_told_so_at_once() -> None:
    answers = [told("503 Service Unavailable", retry_after="Fri, 01 Jan 2100 00:00:00 GMT")]
    async with scripted(answers) as (url, heads), Client(url) as client:
        with pytest.raises(StoreUnreachableError):
            await soon(client.counts())
        assert len(heads) == 1


async def test_a_stream_that_breaks_is_taken_up_again_behind_the_last_event() -> None:
    def stream(*blocks: bytes) -> bytes:
        return told("200 OK", b"retry: 0\n\n" + b"".join(blocks), content_type="text/event-stream; charset=utf-8")

    one, two, half = (b'id: %d\ndata: {"version": %d}\n\n' % (n, n) for n in (6, 7, 8))
    answers = [stream(one, two, half[:-9]), PUT_OFF, stream(two, half), stream(b"event: end\ndata: {}\n\n")]
    async with scripted(answers) as (url, heads), Client(url, api_key="k") as client:
        seen = [event["version"] async for event in client.events("r", 5, follow=True)]
    assert seen == [6, 7, 8]
    ids = [head.partition(b"last-event-id: ")[2].partition(b"\r")[0] for head in heads]
    assert ids == [b"5", b"7", b"7", b"8"]
    assert all(b"authorization: bearer k\r" in head for head in heads)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_lines_of_a_stream_end_where_the_standard_says_and_nowhere_else(size: int) -> None:
    text = 'retry: 1500\r\n\r\n: beat\nid: 1\ndata:{"a":"\u2028\x85"}\rdata: 2\n\n\nevent: end\r\rdata: cut'.encode()

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    found = [block async for block in blocks_of(chunks()) if block != Block("message", b"", None)]
    data = '{"a":"\u2028\x85"}\n2'.encode()
    assert found == [Block("message", b"", 1.5), Block("message", data, None), Block("end", b"", None)]


def test_every_public_error_of_an_operation_has_its_class_over_http() -> None:
    local = {"Failure", "StepFailedError", "StepTimeoutError", "RunFailedError", "JobError", "ApprovalError"}
    kinds = [each for name in refold.__all__ if isinstance(each := getattr(refold, name), type)]
    public = {kind for kind in kinds if issubclass(kind, RefoldError) and kind.__name__ not in local}
    bases = {kind for kind in public if kind.code in ("INPUT_INVALID", "INTERNAL_ERROR")}
    assert {kind.__name__ for kind in public - bases - set(ERRORS.values())} == set()
