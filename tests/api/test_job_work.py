"""Jobs being worked on: stopped and gone on with, taken up after a crash, and what their logs can hold."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from refold.api.jobs import bulk as bulk_module
from refold.api.jobs import means as means_module
from refold.api.jobs import working
from refold.api.jobs.working import JobWorker
from refold.compose import WorkflowEngine, open_store
from refold.core.canonical import Payload
from refold.core.errors import IntegrityError, OwnershipLostError, StoreUnreachableError
from refold.core.job_events import JobAsked, JobEnded, JobTaken
from refold.core.job_log import LANES, job_of
from refold.eventstore.rebuild import Differences
from refold.eventstore.rebuild import Rebuild as DispatchRebuild
from refold.replay.fleet import Chunk, ChunkProof, Order, Query
from refold.replay.job_control import verify_jobs
from refold.replay.jobs import Crew
from refold.tests.support.job_driven import WAITS, bulk, means, memory_engine, messages, waiting_runs
from refold.tests.support.workflows import until

PATIENCE_SECONDS = 120
RUNS = 300


async def test_a_job_that_is_stopped_goes_on_where_it_was_and_every_run_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk_module, "SIDE_BY_SIDE", 8)
    async with memory_engine() as engine:
        names = await waiting_runs(engine, 40)
        job = await bulk(engine, "pause", names)
        job_id = job.asked.job_id
        taken, pause = engine.jobs.take, engine.pause
        held: list[Any] = []

        async def take(lane: str, by: str) -> Any:
            held.append(await taken(lane, by))
            return held[-1]

        async def stop_at_the_tenth(run_id: str, *args: Any, **others: Any) -> Any:
            if run_id == "run-10" and len(held) == 1:
                await engine.jobs.stop(job_id, "wait", by="Bob")
                await until(lambda: held[0].job.status == "stopping")
            return await pause(run_id, *args, **others)

        engine.jobs.take, engine.pause = take, stop_at_the_tenth  # pyright: ignore[reportAttributeAccessIssue]
        worker = JobWorker(means(engine))
        await worker.once()
        stopped = await engine.jobs.get(job_id)
        assert (stopped.status, stopped.reason) == ("stopped", "wait")
        assert 10 < stopped.done < 40
        await worker.once()
        assert (await engine.jobs.get(job_id)).status == "stopped", "it is left alone"
        await engine.jobs.resume(job_id, by="Bob")
        await worker.once()
        ended = await engine.jobs.get(job_id)
        assert (ended.status, ended.done, ended.failed, ended.taken) == ("completed", 40, 0, 2)
        assert [messages(engine.store, name) for name in names] == [1] * 40
        assert all(each.ok for each in verify_jobs(engine.store))


async def test_a_replay_that_was_cut_off_proves_no_chunk_twice_and_comes_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(means_module, "TELL_SECONDS", 0)
    monkeypatch.setattr(working, "_PAUSE_SECONDS", 0)
    async with memory_engine() as engine:
        await waiting_runs(engine, 230)
        proved: list[int] = []
        local = means(engine)

        class Failing:
            """Loses the database as the third chunk is asked for."""

            size = 1

            def __init__(self, inner: Crew):
                self._inner = inner

            def submit(self, chunk: Chunk) -> Future[ChunkProof]:
                proved.append(chunk.number)
                if proved == [0, 1, 2]:
                    raise StoreUnreachableError("gone")
                return self._inner.submit(chunk)

            def close(self) -> None:
                self._inner.close()

        @contextmanager
        def crew(order: Order) -> Generator[Crew]:
            with local.crew(order) as inner:
                yield Failing(inner)

        what = {"order": Order(Query()).to_json(), "everywhere": True}
        last = engine.store.last_position()
        cut = (await engine.jobs.ask("replay", what, last))[0].asked.job_id
        await JobWorker(means(engine, crew=crew)).once()
        assert proved == [0, 1, 2, 2]
        whole = (await engine.jobs.ask("replay", what, last))[0].asked.job_id
        await JobWorker(local).once()
        ended = [await engine.jobs.get(job_id) for job_id in (cut, whole)]
        assert [each.status for each in ended] == ["completed", "completed"]
        bodies = [json.loads(str((each.result or {})["certificate"]))["body"] for each in ended]
        assert bodies[0] == bodies[1] and bodies[0]["tally"]["runs"] == 230


async def test_whoever_has_lost_a_job_cannot_say_anything_more_about_it() -> None:
    async with memory_engine() as engine, WorkflowEngine(engine.store, parks=True) as other:
        await bulk(engine, "pause", ["a"])
        held = await engine.jobs.take(LANES[0], "one")
        assert held is not None
        await engine.jobs.release(held.stream)
        assert await other.jobs.take(LANES[0], "two") is not None
        with pytest.raises(OwnershipLostError):
            await held.select(1, {"runs": ["a"]})
        assert (await engine.jobs.get(held.id)).selected is None


async def test_the_row_of_an_open_job_is_what_the_log_says() -> None:
    async with memory_engine() as engine:
        job = await bulk(engine, "pause", ["a"])
        done = await bulk(engine, "pause", ["b"])
        await engine.jobs.stop(done.asked.job_id)
        rows = DispatchRebuild(engine.store)
        assert rows.differences() == Differences()
        rows.replace()
        held = await engine.jobs.take(LANES[0], "me")
        assert held is not None and held.id == job.asked.job_id


def test_a_log_that_cannot_be_is_told_as_broken() -> None:
    asked = JobAsked(1, "default", "job-1", "bulk", Payload.of({}), 0, "")
    ended = JobEnded(3, "completed", Payload.of({}), None, "")
    assert job_of([asked, JobTaken(2, "me"), ended], "default", "job-1").status == "completed"
    for events in ([ended], [asked, asked], [asked, ended, ended], [asked, ended, JobTaken(4, "me")]):
        with pytest.raises(IntegrityError):
            job_of(events, "default", "job-1")
    with pytest.raises(IntegrityError, match="another job"):
        job_of([asked], "other", "job-1")


def test_a_server_that_is_killed_in_the_middle_of_a_job_leaves_it_to_another_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    _started(url)
    with _server(url, tmp_path / "one") as (one, base):
        location = httpx2.post(f"{base}/v1/runs:pause", json={"filter": {}}, timeout=60).headers["location"]
        job = _job(base, location, lambda job: job["status"] != "queued")  # All is done within a second.
        worker = psutil.Process(one.pid).children()
        assert job["progress"]["done"] < RUNS, "it is to be killed in the middle"
        os.kill(one.pid, signal.SIGKILL)
        assert psutil.wait_procs(worker, timeout=PATIENCE_SECONDS)[1] == [], "its process outlives it"
    with _server(url, tmp_path / "two") as (_, base):
        job = _job(base, location, lambda job: job["status"] == "completed")
    assert job["taken"] >= 2
    assert (job["progress"]["done"], job["result"]) == (RUNS, {"told": RUNS, "failed": 0})
    with closing(open_store(url)) as store:
        assert {messages(store, f"run-{number}") for number in range(RUNS)} == {1}


def _started(url: str) -> None:
    async def start() -> None:
        async with WorkflowEngine(url, parks=True) as engine, asyncio.TaskGroup() as group:
            for number in range(RUNS):
                group.create_task(engine.start(WAITS, f"run-{number}"))

    asyncio.run(start())


@contextmanager
def _server(url: str, told: Path) -> Generator[tuple[subprocess.Popen[bytes], str]]:
    command = [sys.executable, "-P", "-m", "refold", "serve", "--port", "0"]
    with told.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env={**os.environ, "REFOLD_DATABASE_URL": url})
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (text := told.read_text()).endswith("\n"):
            assert time.monotonic() < deadline and process.poll() is None, "the server does not begin"
            time.sleep(0.02)
        yield process, text.split()[-1]
    finally:
        process.kill()
        process.wait()


def _job(base: str, location: str, wanted: Any) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted(job := httpx2.get(base + location, timeout=60).json()):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job
