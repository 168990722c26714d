"""Questions to workers: asked once, claimed by one, answered once, gone after a minute; on every store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from refold import (
    CallError,
    QueryUnansweredError,
    SkillRegistry,
    Worker,
    WorkflowEngine,
    set_query,
    wait_signal,
    workflow,
)
from refold.core.ports import Question
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.tests.contract.conftest import Place
from refold.tests.support.workflows import soon, spec, step


def question(name: str) -> Question:
    return Question(name, "default/r", '["workflow ask 1"]', "state", '{"part":"x"}')


def later(place: Place, seconds: float) -> None:
    """Have all rows be older by so many seconds."""
    if isinstance(store := place.open(), MemoryStore):
        clock: Callable[[], float] = store.queries._seconds
        store.queries._seconds = lambda: clock() + seconds
        return
    sql = f"UPDATE queries SET asked_at = asked_at - {seconds}, claimed_until = claimed_until - {seconds}"
    if place.kind == "sqlite":
        with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(sql)
    else:
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute(sql.encode())


def test_a_question_is_seen_by_other_processes_as_it_was_asked(place: Place) -> None:
    asker, worker = place.open().queries, place.open().queries
    for name in ("a", "b"):
        asker.ask(question(name))
    assert worker.pending() == [question("a"), question("b")]


def test_one_worker_only_claims_a_question(place: Place) -> None:
    first, second = place.open().queries, place.open().queries
    first.ask(question("a"))
    assert first.claim("a")
    assert not second.claim("a")
    assert second.pending() == []
    assert not second.claim("unknown")


def test_a_question_whose_claimer_died_is_claimed_by_another(place: Place) -> None:
    queries = place.open().queries
    queries.ask(question("a"))
    assert queries.claim("a")
    later(place, 5.5)
    assert queries.pending() == [question("a")]
    assert queries.claim("a")


def test_the_first_answer_counts_and_ends_the_question(place: Place) -> None:
    asker, worker = place.open().queries, place.open().queries
    asker.ask(question("a"))
    assert asker.answered("a") is None
    worker.answer("a", '{"value":"é"}')
    worker.answer("a", '{"value":2}')
    assert asker.answered("a") == '{"value":"é"}'
    assert (worker.pending(), worker.claim("a")) == ([], False)


def test_a_question_withdrawn_is_gone_and_its_late_answer_too(store: Store) -> None:
    store.queries.ask(question("a"))
    store.queries.withdraw("a")
    store.queries.answer("a", "{}")
    assert (store.queries.pending(), store.queries.answered("a")) == ([], None)


def test_a_minute_later_a_question_is_nobodys_and_then_removed(place: Place) -> None:
    queries = place.open().queries
    queries.ask(question("a"))
    queries.answer("a", "{}")
    queries.ask(question("b"))
    later(place, 60.5)
    assert queries.pending() == []
    queries.ask(question("c"))
    assert queries.answered("a") is None
    assert queries.pending() == [question("c")]


@workflow("ask")
async def ask() -> str:
    seen: list[str] = []

    def broken() -> str:
        raise ValueError("mended tomorrow")

    set_query("seen", lambda last=0: {"seen": seen[-last:]})
    set_query("broken", broken)
    while len(seen) < 2:
        seen.append(await wait_signal("go"))
    return "done"


@pytest.fixture
def skills() -> SkillRegistry:
    registry = SkillRegistry()
    registry.add_workflow(ask)
    return registry


@pytest.fixture
async def client(place: Place, skills: SkillRegistry) -> AsyncIterator[WorkflowEngine]:
    """An engine without code, beside two workers that have it."""
    workers = [Worker(place.open(), skills) for _ in range(2)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    async with WorkflowEngine(place.open(), parks=True) as engine:
        yield engine
    for worker in workers:
        worker.drain()
    await soon(asyncio.gather(*tasks))


async def test_who_has_no_code_is_answered_by_a_worker_that_has_it(client: WorkflowEngine) -> None:
    await client.start("ask", "r")
    assert await client.query("r", "seen") == {"seen": []}
    for payload in ("one", "two"):
        await client.signal("r", "go", payload)
    while (await soon(client.state("r"))).end is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await client.query("r", "seen") == {"seen": ["one", "two"]}, "also of a run that has ended"
    assert await client.query("r", "seen", {"last": 1}) == {"seen": ["two"]}
    assert client.store.queries.pending() == []


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("unseen", {}, "answers no query 'unseen'.*broken, seen"),
        ("broken", {}, "mended tomorrow"),
        ("seen", {"wrong": 1}, "unexpected keyword argument"),
        ("seen", {"last": {1, 2}}, "at /arguments/last"),
    ],
)
async def test_what_a_worker_cannot_answer_is_refused_with_its_reason(
    client: WorkflowEngine, name: str, arguments: dict[str, Any], why: str
) -> None:
    await client.start("ask", "r")
    with pytest.raises(CallError, match=why):
        await client.query("r", name, arguments)


async def test_many_ask_at_once_and_each_gets_its_own_answer(client: WorkflowEngine) -> None:
    await client.start("ask", "r")
    await client.signal("r", "go", "x")
    while not (await soon(client.query("r", "seen", {"last": 1})))["seen"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    asked = [client.query("r", "seen", {"last": number % 2}) for number in range(20)]
    told = await soon(asyncio.gather(*asked))
    assert [each["seen"] for each in told] == [["x"] for _ in range(20)]


async def test_nobody_who_could_answer_is_an_error_and_the_question_does_not_stay(place: Place) -> None:
    async with WorkflowEngine(place.open(), parks=True) as engine:
        await engine.start("ask", "r")
        with pytest.raises(QueryUnansweredError, match=r"'seen' within 0\.1 s"):
            await engine.query("r", "seen", timeout_seconds=0.1)
        assert engine.store.queries.pending() == []


async def test_a_worker_pinned_to_another_version_does_not_answer(place: Place, skills: SkillRegistry) -> None:
    async with WorkflowEngine(place.open(), parks=True) as engine:
        await engine.start("ask#1", "r")
        worker = Worker(place.open(), skills, pins={"ask": ["2"]})
        work = asyncio.create_task(worker.run())
        with pytest.raises(QueryUnansweredError):
            await engine.query("r", "seen", timeout_seconds=0.8)
        worker.drain()
        await soon(work)


async def test_a_specs_run_answers_no_queries(place: Place) -> None:
    async with WorkflowEngine(place.open(), parks=True) as engine:
        await engine.start(spec(step("a")), "r")
        with pytest.raises(CallError, match="is a spec's, and answers no queries"):
            await engine.query("r", "seen")
