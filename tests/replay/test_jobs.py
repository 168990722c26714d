"""Jobs over many runs: the same result whoever works on them, resumable after any end, and no false alarm."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from refold import CallError, SkillRegistry, StoreRefusedError, WorkflowEngine, open_store
from refold.compose import BUILD
from refold.eventstore.store import Store
from refold.ops.fleet_pool import ProcessCrew
from refold.ops.fleet_worker import Setup, prover_of
from refold.replay.certificate import body_of
from refold.replay.fleet import ChunkProof, Order, Query, chunks_of, pinned, prove_chunk
from refold.replay.job_files import JobFile
from refold.replay.jobs import JobEnd, LocalCrew, run_job
from refold.replay.today import code_of
from refold.replay.verdicts import PROOFS
from refold.tests.support.projected import fill

RUNS = int(os.environ.get("REFOLD_FLEET_RUNS", "250"))
"""How many mixed runs are proved; children come on top."""

MODULE = "refold.tests.support.fleet_skills"
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of mixed runs: specs, functions, children, failures, and some that wait."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fleet')}/fleet.db"
    with closing(open_store(url)) as store:
        asyncio.run(fill(store, RUNS, 7))
    return url


@pytest.fixture
def store(filled: str) -> Iterator[Store]:
    with closing(open_store(filled, migrate=False)) as opened:
        yield opened


def skills() -> SkillRegistry:
    registry = SkillRegistry()
    registry.load_module(MODULE)
    return registry


def order_of(store: Store, query: Query | None = None, **options: Any) -> Order:
    return Order(query or Query(), PROOFS, None, *pinned(store), code_of(skills(), BUILD, None), **options)


def alone(store: Store, order: Order, file: JobFile | None = None, told: Any = lambda proof: None) -> JobEnd:
    with LocalCrew(store, prover_of(store, skills(), order), order) as crew:
        return run_job(store, order, crew, file, told)


def test_no_sound_run_raises_an_alarm(store: Store) -> None:
    end = alone(store, order_of(store))
    verdicts = end.tally.verdicts
    assert (verdicts["diverged"], verdicts["broken"], verdicts["not_verifiable"]) == (0, 0, 0), end.first
    assert end.tally.runs == len(store.streams("default")) > RUNS
    assert verdicts["not_comparable"] == end.tally.types["patient"]["not_comparable"] == RUNS // 5
    assert end.tally.executed > RUNS and end.tally.served > 0


def test_the_result_is_the_same_whatever_the_number_of_workers(store: Store, filled: str) -> None:
    order = order_of(store)
    with ProcessCrew(Setup(filled, [MODULE], order.to_json()), 2) as crew:
        two = run_job(store, order, crew)
    assert body_of(two, "sqlite") == body_of(alone(store, order), "sqlite")


def test_a_job_that_was_cut_goes_on_and_comes_to_the_same(store: Store, tmp_path: Path) -> None:
    order, path = order_of(store), tmp_path / "job"
    with JobFile(path) as file:
        whole = alone(store, file.begin(order, store), file)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == whole.chunks + 1 > 2
    for kept in (lines[0], lines[0][:-9], b"".join(lines[:2]), b"".join(lines[:2]) + lines[2][:-5], b"".join(lines)):
        path.write_bytes(kept)
        done: list[ChunkProof] = []
        with JobFile(path) as file:
            again = alone(store, file.begin(order_of(store), store), file, done.append)
        assert body_of(again, "sqlite") == body_of(whole, "sqlite")
        assert [proof.number for proof in done] == list(range(whole.chunks))
        assert path.read_bytes().splitlines()[1:] == [line.rstrip(b"\n") for line in lines[1:]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda order: {**order, "query": {**order["query"], "status": "failed"}}, "query's status is 'failed'"),
        (lambda order: {**order, "proofs": ["chain", "fold"]}, "proofs is"),
        (lambda order: {**order, "head": "0" * 64}, "is of another log"),
        (lambda order: {**order, "code": {**order["code"], "build": "b7"}}, "build b7"),
        (lambda order: {**order, "code": {**order["code"], "skills": {}}}, "skill async_work"),
        (lambda order: {"query": 7}, "is no job file"),
    ],
)
def test_a_job_file_of_something_else_is_refused(
    store: Store, tmp_path: Path, change: Callable[[Any], Any], reason: str
) -> None:
    path = tmp_path / "job"
    path.write_bytes(orjson.dumps({"refold_job": 1, "order": change(order_of(store).to_json())}) + b"\n")
    with JobFile(path) as file, pytest.raises(CallError, match=reason):
        file.begin(order_of(store), store)


def test_an_altered_line_of_a_job_file_is_named(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "job"
    with JobFile(path) as file:
        alone(store, file.begin(order_of(store), store), file)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"x" + lines[1])
    with JobFile(path) as file, pytest.raises(CallError, match="line 2 of the job file"):
        alone(store, file.begin(order_of(store), store), file)


def test_two_processes_do_not_work_on_one_job_file(tmp_path: Path) -> None:
    with JobFile(tmp_path / "job"), pytest.raises(StoreRefusedError, match="another process"):
        JobFile(tmp_path / "job")


def test_a_killed_worker_is_replaced_and_its_chunk_done_again(store: Store, filled: str) -> None:
    order = order_of(store)
    killed: list[int] = []
    with ProcessCrew(Setup(filled, [MODULE], order.to_json()), 2) as crew:

        def kill_one(proof: ChunkProof) -> None:
            if not killed:
                killed.append(crew.pids[0])
                os.kill(killed[0], signal.SIGKILL)

        end = run_job(store, order, crew, None, kill_one)
    assert killed
    assert body_of(end, "sqlite") == body_of(alone(store, order), "sqlite")


def test_processes_that_cannot_work_end_the_job_with_their_reason(store: Store, filled: str) -> None:
    order = order_of(store)
    with (
        ProcessCrew(Setup(filled, [], order.to_json()), 2) as crew,
        pytest.raises(CallError, match="the code where a part of the job is to be proved is another"),
    ):
        run_job(store, order, crew)


def test_the_workers_end_with_a_parent_that_is_killed(filled: str, tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from refold import open_store\n"
        "from refold.ops.fleet_pool import ProcessCrew\n"
        "from refold.ops.fleet_worker import Setup\n"
        "from refold.tests.replay.test_jobs import *\n"
        "store = open_store(sys.argv[1], migrate=False)\n"
        "order = order_of(store)\n"
        "crew = ProcessCrew(Setup(sys.argv[1], [MODULE], order.to_json()), 2)\n"
        "crew.submit(next(chunks_of(store, order.query, order.until))).result()\n"
        "print(*crew.pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-P", "-c", program, filled], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert children
    gone, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert not alive and len(gone) == len(children)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query(workflow_type="tripled"), lambda told: told["workflow_type"] == "tripled"),
        (Query(status="failed"), lambda told: told["status"] == "failed"),
        (Query(status="waiting", workflow_type="patient"), lambda told: told["workflow_type"] == "patient"),
    ],
)
def test_a_query_takes_those_runs_and_no_others(store: Store, query: Query, wanted: Callable[[Any], bool]) -> None:
    def told_of(query: Query) -> list[Any]:
        told: list[Any] = []
        alone(store, order_of(store, query, each=True), None, lambda proof: told.extend(proof.told))
        return told

    every, some = told_of(Query()), told_of(query)
    assert some == [each for each in every if wanted(each)] != []


def test_runs_begun_before_are_left_out(store: Store) -> None:
    page = store.sweep.begun("default", 0, 2**62, 10**6)
    at = orjson.loads(page[len(page) // 2].record.state)["at"]
    later = [each for each in page if orjson.loads(each.record.state)["at"] >= at]
    streams = [stream for chunk in chunks_of(store, Query(since=at), 2**62) for stream in chunk.streams]
    assert streams == [each.record.stream for each in later]


def test_a_sample_is_drawn_by_its_seed(store: Store) -> None:
    def drawn(**options: Any) -> list[str]:
        return [stream for chunk in chunks_of(store, Query(**options), 2**62) for stream in chunk.streams]

    every = drawn()
    some = drawn(sample=40, seed=1)
    assert len(some) == 40 and some == drawn(sample=40, seed=1) != drawn(sample=40, seed=2)
    assert [stream for stream in every if stream in some] == some
    share = drawn(sample=30.0, percent=True, seed=1)
    assert 0.15 * len(every) < len(share) < 0.45 * len(every)


async def test_what_happens_after_the_job_began_is_not_looked_at(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/log.db")) as store:
        await fill(store, 20, 1)
        order = order_of(store, each=True)
        before = await _told(store, order)
        await fill(store, 20, 2, prefix="later")
        async with WorkflowEngine(store, skills()) as engine:
            await engine.signal("m4", "never", {"n": 1})
            await engine.resume("m4")
        after = await _told(store, order)
    assert after == before
    assert {each["run_id"] for each in before} >= {"m0", "m4"}


async def _told(store: Store, order: Order) -> list[Any]:
    told: list[Any] = []
    for chunk in chunks_of(store, order.query, order.until):
        told += (await prove_chunk(store, prover_of(store, skills(), order), order, chunk)).told
    return told


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("DELETE FROM stored_events WHERE originator_id = 'default/m0' AND originator_version = 1", {"m0"}),
        ("DELETE FROM stored_events WHERE originator_id = 'default/m0'", {"m0"}),
        ("DELETE FROM stream_heads WHERE stream = 'default/m1'", {"m1"}),
        ("UPDATE stored_events SET topic = 'run.begun' WHERE originator_id = 'default/m0' AND topic = 'run.started'",
         {"m0"}),
        ("UPDATE stored_events SET originator_id = 'default/m1/more' WHERE originator_id = 'default/m1' "
         "AND originator_version = 2", {"m1", "m1/more"}),
        ("INSERT INTO stored_events (originator_id, originator_version, topic, state) "
         "VALUES (CAST(x'64656661756c742fff' AS TEXT), 1, 'run.started', x'00')", {"\\xff"}),
        ("INSERT INTO stored_events (originator_id, originator_version, topic, state) "
         "VALUES ('default/lost/inbox', 1, 'message.sent', x'00')", {"lost"}),
    ],
    ids=["first event", "all events", "head", "topic", "moved away", "no text", "an inbox alone"],
)  # fmt: skip
async def test_what_is_missing_or_foreign_is_found_among_all_runs(
    tmp_path: Path, statement: str, names: set[str]
) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/log.db")) as store:
        await fill(store, 10, 1)
    with closing(sqlite3.connect(tmp_path / "log.db")) as database, database:
        assert database.execute(statement).rowcount >= 1
    with closing(open_store(f"sqlite:///{tmp_path}/log.db")) as store:
        told = await _told(store, order_of(store))
    assert {each["run_id"] for each in told if each["verdict"] == "broken"} == names


async def test_without_its_code_a_run_is_not_verifiable_and_says_why(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/log.db")) as store:
        await fill(store, 10, 1)
        order = Order(Query(), PROOFS, None, *pinned(store), code_of(SkillRegistry(), BUILD, None))
        prover = prover_of(store, SkillRegistry(), order)
        proofs = [await prove_chunk(store, prover, order, chunk) for chunk in chunks_of(store, Query(), order.until)]
    (proof,) = proofs
    assert proof.tally.verdicts["not_verifiable"] and not proof.tally.verdicts["diverged"]
    assert any("tripled" in reason for reason in proof.tally.reasons), proof.tally.reasons
