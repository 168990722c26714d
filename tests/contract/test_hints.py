"""Hints wake workers at once, survive the database's troubles, and cost no thread or connection once they are over."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import psycopg
import pytest

from refold.core.runtime import workloop
from refold.core.runtime.emergency_watch import EmergencyWatch
from refold.eventstore import hints_postgres
from refold.eventstore.hints_postgres import CHANNEL
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.tests.contract.conftest import Place
from refold.tests.support.postgres import PostgresServer, fresh_database
from refold.tests.support.sites import Site
from refold.tests.support.workflows import SOON_SECONDS, soon, spec, step, until

ONE_STEP = spec(step("a", x=1))


@pytest.fixture(autouse=True)
def _nobody_looks_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute between looks: what is found sooner was found by a hint."""
    monkeypatch.setattr(workloop, "SHORTEST_PAUSE", 60.0)
    monkeypatch.setattr(workloop, "LONGEST_PAUSE", 60.0)
    # What the throttle swallows is found by the frequent looks after a hint, and there are none here.
    monkeypatch.setattr(hints_postgres, "NOTIFY_SECONDS", 0.0)


@pytest.fixture
def everybody_looks(_nobody_looks_unasked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks as they are: of a lease that ends, since who held it was cut off, nobody gives a hint."""
    monkeypatch.setattr(workloop, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(workloop, "LONGEST_PAUSE", 0.25)


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    place: Place = request.getfixturevalue(f"{request.param}_place")
    site = Site(place.url)
    yield site
    await site.client.close()
    site.store.close()


async def test_a_start_in_another_connection_wakes_an_idle_worker(site: Site) -> None:
    async with site.worker():
        for name in ("r", "s"):
            await site.client.start(ONE_STEP, name)
            await site.ended(name)


async def test_a_start_wakes_all_workers_and_each_run_is_worked_on_once(site: Site) -> None:
    async with site.worker(), site.worker():
        await site.client.start(ONE_STEP, "r")
        await site.ended("r")
    assert site.proved()


async def test_a_message_wakes_a_run_at_rest(site: Site) -> None:
    async with site.worker() as worker:
        await site.client.start(spec(step("ask", "wait_signal", name="go")), "r")
        await until(lambda: "step.waiting" in site.topics() and worker.running == 0)
        await soon(site.client.signal("r", "go", {"n": 1}))
        await site.ended("r")


async def test_a_run_that_is_resumed_goes_on_here_or_at_the_worker_that_its_message_wakes(site: Site) -> None:
    names = [f"r{number}" for number in range(8)]
    async with site.worker() as worker:
        for name in names:
            await site.client.start(spec(step("ask", "wait_signal", name="go")), name)
        await until(lambda: all("step.waiting" in site.topics(name) for name in names) and worker.running == 0)
        for name in names:
            await soon(site.client.pause(name))
            await until(lambda name=name: "run.paused" in site.topics(name) and worker.running == 0)
            await soon(site.client.signal(name, "go"))
            await soon(site.client.resume(name))
        await site.ended(*names)
    assert all(site.proved(name) for name in names)


def test_who_asked_before_it_was_known_what_is_stopped_is_told_when_nothing_is() -> None:
    told = threading.Event()
    watch = EmergencyWatch(EventLog(MemoryStore(), "test"))
    end = watch.keep(told.set)
    assert told.wait(SOON_SECONDS) and watch.ready
    end()
    watch.close()


async def test_nothing_listens_after_the_worker_has_drained(site: Site) -> None:
    async with site.worker():
        await until(lambda: any(thread.name == "refold-ear" for thread in threading.enumerate()))
    assert not any(thread.name == "refold-ear" for thread in threading.enumerate())


def test_a_hint_reaches_those_who_listen_to_the_same_place_until_they_stop(place: Place) -> None:
    heard = threading.Event()
    stop = place.open().on_hint(heard.set)
    deaf = threading.Event()
    place.open().on_hint(deaf.set)()
    deaf.clear()  # On PostgreSQL a listener begins with a call: it may have missed something.
    other = place.open()
    for _ in range(50):  # PostgreSQL's may come before the other side listens, and are not said again.
        other.hint()
        if heard.wait(0.1):
            break
    stop()
    stop()
    assert heard.is_set() and not deaf.is_set()


async def test_a_worker_whose_listening_connection_is_killed_listens_again(postgres_place: Place) -> None:
    site = Site(postgres_place.url)
    with psycopg.connect(postgres_place.url, autocommit=True) as operator:
        async with site.worker():
            for name in ("r", "s"):
                await until(lambda: len(_listeners(operator)) == 1)
                killed = _listeners(operator)[0]
                operator.execute("SELECT pg_terminate_backend(%s)", (killed,))
                await until(lambda killed=killed: killed not in _listeners(operator))
                await site.client.start(ONE_STEP, name)
                await site.ended(name)
        await until(lambda: not _listeners(operator))
    await site.client.close()
    site.store.close()


@pytest.mark.usefixtures("everybody_looks")
async def test_all_connections_killed_at_once_stop_no_worker_and_lose_no_run(postgres_place: Place) -> None:
    site = Site(postgres_place.url)
    names = [f"r{number}" for number in range(20)]
    with psycopg.connect(postgres_place.url, autocommit=True) as operator:
        async with site.worker():
            for number, name in enumerate(names):
                await site.client.start(spec(step("a", "gated", name="a"), step("b", depends_on=["a"], x=1)), name)
                if number % 5 == 2:
                    operator.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
            site.gates.open()
            await until(lambda: len(_listeners(operator)) == 1)
            await site.client.start(ONE_STEP, "last")
            await site.ended("last", *names)
    assert all(site.proved(name) for name in names)
    await site.client.close()
    site.store.close()


@pytest.mark.usefixtures("everybody_looks")
async def test_a_restart_of_the_database_stops_no_worker_and_loses_no_run(postgres_server: PostgresServer) -> None:
    with fresh_database(postgres_server.url) as url:
        site = Site(url)
        async with site.worker():
            await site.client.start(ONE_STEP, "before")
            await site.ended("before")
            postgres_server.kill()
            postgres_server.start()
            await site.client.start(ONE_STEP, "after")
            await site.ended("after")
        await site.client.close()
        site.store.close()


def _listeners(operator: psycopg.Connection) -> list[int]:
    sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = %s"
    return [row[0] for row in operator.execute(sql, (f"LISTEN {CHANNEL}",))]
