"""`Client` on SQLite, on PostgreSQL and over HTTP is one client; a worker in a process of its own does the work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, assert_type

import pytest

from refold import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ApproverUnknownError,
    CallError,
    Client,
    DelegationRefusedError,
    QueryUnansweredError,
    RunConflictError,
    RunEndedError,
    RunFailedError,
    RunHandle,
    RunNotFoundError,
    SpecError,
    StoreUnreachableError,
    SyncClient,
    SyncRunHandle,
    open_store,
)
from refold.tests.support import shop
from refold.tests.support.served import served
from refold.tests.support.shop import Receipt, countdown, order
from refold.tests.support.workflows import soon, spec, step

ECHO = spec(step("a", text="${inputs.text}"), output="${a.text}")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the schema."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    return url


@pytest.fixture(params=["store", "http"])
def url(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """What a client is given."""
    if request.param == "store":
        yield database
        return
    with closing(open_store(database)) as store, served(store) as base:
        yield base


@pytest.fixture
def worker(database: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with the code, in a process of its own."""
    command = [sys.executable, "-P", "-m", "refold", "worker", "--app", shop.__file__, "--database", database]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        yield process
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client(url, patience=2) as client:
        yield client


async def comes_to(handle: RunHandle[Any], status: str) -> None:
    while await soon(handle.status()) != status:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("worker")
async def test_a_workflow_is_executed_and_its_output_has_the_annotated_type(client: Client) -> None:
    receipt = await soon(client.execute(order, "lamp"))
    assert_type(receipt, Receipt)
    assert receipt == Receipt("one lamp", "nobody")


@pytest.mark.usefixtures("worker")
async def test_a_run_is_started_asked_signalled_and_awaited(client: Client) -> None:
    handle = await client.start(order, "lamp", approvals=2, run_id="order-1")
    assert_type(handle, RunHandle[Receipt])
    await comes_to(handle, "waiting")
    assert await handle.query("approvals", plus=5) == {"seen": 0, "of": 2, "sum": 5}
    await handle.signal("approved", "Ada", key="one")
    await handle.signal("approved", "Ada", key="one")
    while (await soon(client.query("order-1", "approvals")))["seen"] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError, match=r"order-1 is .* after 0\.1 s"):
        await handle.result(timeout=0.1)
    await client.signal("order-1", "approved", "Bob")
    again = client.get_handle("order-1", order)
    assert await soon(again.result()) == Receipt("one lamp", "Bob")
    assert [step.skill_id for step in await again.steps()] == ["reserve", "wait_signal", "wait_signal"]
    with pytest.raises(RunEndedError):
        await again.signal("approved")
    assert await again.query("approvals") == {"seen": 2, "of": 2, "sum": 2}, "queries outlive the run"


@pytest.mark.usefixtures("worker")
async def test_an_approval_is_looked_at_and_decided(client: Client) -> None:
    document = spec(step("ask", "approval", inputs={"reason": "?", "approvers": ["ada", "bob"], "quorum": 2}))
    handle = await client.start(document, run_id="asked")
    while not await soon(client.approvals("asked")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    told = await soon(client.decide("asked", None, "grant", "ada", "fine", key="k"))
    assert (told["status"], told["granted"], told["approvers"]) == ("open", ["ada"], ["bob"])
    assert (await soon(client.decide("asked", None, "grant", "ada", "fine", key="k"))) == told
    with pytest.raises(ApproverUnknownError, match="mallory is none of its approvers: bob"):
        await soon(client.decide("asked", "ask", "grant", "mallory"))
    with pytest.raises(ApprovalNotFoundError):
        await soon(client.decide("asked", "other", "grant", "bob"))
    with pytest.raises(DelegationRefusedError):
        await soon(client.decide("asked", "ask", "delegate", "bob", to="ada"))
    assert (await soon(client.decide("asked", "ask", "grant", "bob")))["status"] == "granted"
    with pytest.raises(ApprovalDecidedError):
        await soon(client.decide("asked", "ask", "reject", "bob"))
    assert (await soon(handle.result()))["ask"]["by"] == ["ada", "bob"]


@pytest.mark.usefixtures("worker")
async def test_a_spec_is_executed_with_inputs_by_name(client: Client) -> None:
    assert await soon(client.execute(ECHO, text="hello")) == "hello"
    assert await soon(client.execute(ECHO, inputs={"text": [1, 2.5, None, "ü"]})) == [1, 2.5, None, "ü"]


@pytest.mark.usefixtures("worker")
async def test_a_workflow_is_started_by_its_name_alone(client: Client) -> None:
    assert await soon(client.execute("shop_order#3", item="lamp")) == {"item": "one lamp", "by": "nobody"}


@pytest.mark.usefixtures("worker")
async def test_the_result_is_that_of_the_run_that_continues_the_run(client: Client) -> None:
    handle = await client.start(countdown, 3, run_id="count")
    assert await soon(handle.result()) == 0
    assert (await handle.describe()).continued_as is not None


@pytest.mark.usefixtures("worker")
async def test_a_run_that_fails_says_why(client: Client) -> None:
    with pytest.raises(RunFailedError, match=r"is failed: \[SKILL_ERROR\] .*there are none") as failed:
        await soon(client.execute(order, "unicorn", run_id="u"))
    assert (failed.value.run_id, failed.value.status, failed.value.error_code) == ("u", "failed", "SKILL_ERROR")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("force", [False, True])
async def test_a_cancelled_run_has_no_result(client: Client, force: bool) -> None:
    handle = await client.start(order, "lamp", 1, run_id="c")
    await comes_to(handle, "waiting")
    await handle.cancel("changed my mind", force=force)
    with pytest.raises(RunFailedError) as failed:
        await soon(handle.result())
    assert (failed.value.status, failed.value.message) == ("cancelled", "changed my mind")


@pytest.mark.usefixtures("worker")
async def test_a_run_is_paused_and_resumed(client: Client) -> None:
    handle = await client.start(order, "lamp", 1)
    await comes_to(handle, "waiting")
    await handle.pause("lunch")
    await comes_to(handle, "paused")
    await handle.signal("approved", "Ada")
    await handle.resume()
    assert (await soon(handle.result())).by == "Ada"


async def test_starting_again_is_the_same_run_and_another_one_is_refused(client: Client) -> None:
    for _ in range(2):
        assert (await client.start(ECHO, text="a", run_id="r")).run_id == "r"
    assert await client.get_handle("r").status() == "queued"
    with pytest.raises(RunConflictError):
        await client.start(ECHO, text="b", run_id="r")


async def test_what_cannot_be_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        await client.start(order, "lamp", colour="red")
    with pytest.raises(CallError, match="item"):
        await client.start(order, 5)
    with pytest.raises(CallError, match="no positional arguments"):
        await client.start("shop_order", "lamp")  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(SpecError):
        await client.start({"workflow_type": "w", "steps": []})
    with pytest.raises(CallError):
        await client.signal("../other", "go")
    with pytest.raises(CallError):
        await client.list(cursor="next")
    for ask in (client.get_handle("none").status(), client.signal("none", "go"), client.query("none", "q")):
        with pytest.raises(RunNotFoundError):
            await ask


async def test_without_a_worker_a_query_says_that_there_is_none(client: Client) -> None:
    await client.start(order, "lamp", run_id="r")
    with pytest.raises(QueryUnansweredError, match=r"within 0\.2 s: no worker serves workflow shop_order in version 3"):
        await client.query("r", "approvals", timeout=0.2)


@pytest.mark.usefixtures("worker")
async def test_runs_are_listed_by_status_and_attribute(client: Client) -> None:
    for item in ("lamp", "desk", "unicorn"):
        handle = await client.start(order, item, run_id=item)
        while not (await soon(handle.describe())).ended:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [run.run_id for run in (await client.list()).runs] == ["unicorn", "desk", "lamp"]
    assert [run.run_id for run in (await client.list(status="failed")).runs] == ["unicorn"]
    assert [run.run_id for run in (await client.list(attributes={"item": "desk"})).runs] == ["desk"]
    first = await client.list(limit=2)
    rest = await client.list(limit=2, cursor=first.next_cursor)
    assert [run.run_id for run in rest.runs] == ["lamp"]


@pytest.mark.usefixtures("worker")
async def test_a_hundred_results_are_awaited_at_once(client: Client) -> None:
    handles = await asyncio.gather(*(client.start(ECHO, text=number) for number in range(100)))
    assert await soon(asyncio.gather(*(handle.result() for handle in handles))) == list(range(100))


@pytest.mark.usefixtures("worker")
def test_a_program_without_an_event_loop_does_the_same(url: str) -> None:
    with SyncClient(url) as client:
        assert_type(client.execute(order, "lamp"), Receipt)
        handle = client.start(order, "lamp", approvals=1)
        assert_type(handle, SyncRunHandle[Receipt])
        handle.signal("approved", "Ada")
        assert handle.result(timeout=20) == Receipt("one lamp", "Ada")
        assert handle.query("approvals") == {"seen": 1, "of": 1, "sum": 1}
        assert client.get_handle(handle.run_id, order).result() == Receipt("one lamp", "Ada")
        assert [run.status for run in client.list().runs] == ["completed"] * 2


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memory:", "nobody else could see"),
        ("mysql://x:secret@y/z", "neither a server's nor a database's"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_at_once(url: str, why: str) -> None:
    with pytest.raises(CallError, match=why) as refused:
        Client(url)
    assert "secret" not in str(refused.value)


async def test_a_server_that_is_away_is_asked_again_and_then_an_error() -> None:
    async with Client("http://127.0.0.1:9", patience=0.2) as client:
        with pytest.raises(StoreUnreachableError, match="does not answer"):
            await client.list()


async def test_a_closed_client_says_so(database: str) -> None:
    client = Client(database)
    await client.list()
    await client.close()
    await client.close()
    with pytest.raises(CallError, match="closed"):
        await client.list()
