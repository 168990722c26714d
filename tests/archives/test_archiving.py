"""Whatever can be read before runs are archived reads the same afterwards, and when they are back."""

from __future__ import annotations

import asyncio
import gzip
import threading
from uuid import uuid4

import orjson
import pytest

from refold import WorkflowEngine
from refold.core.canonical import Payload
from refold.core.errors import IntegrityError, RefoldError, RunConflictError, RunEndedError, StoreRefusedError
from refold.core.events import RunCompleted
from refold.core.hashing import sha256_hex
from refold.core.ids import ARCHIVES
from refold.core.store_events import StoreArchived
from refold.eventstore.archive_cache import ArchiveCache
from refold.eventstore.archiving import RECORDED, Archiving
from refold.eventstore.codec import references
from refold.eventstore.dispatch import DispatchRow
from refold.eventstore.log import EventLog
from refold.eventstore.owner import this_process
from refold.eventstore.rebuild import Rebuild as DispatchRebuild
from refold.eventstore.sealing import Sealer
from refold.eventstore.tiered import TieredStore
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.model import Projection
from refold.projections.rebuild import Rebuild
from refold.projections.runs import RunsProjection
from refold.replay.verify import verify_run
from refold.tests.support.archived import archive, bring_back, ended_streams, hot_streams, opened, paged, readable
from refold.tests.support.projected import caught_up, fill, rows_of
from refold.tests.support.units import Writer, said, started

END = RunCompleted(1_700_000_000_000_009, Payload.of(None), "0", "0", 0.0)


async def test_all_reads_the_same_after_archiving_and_after_coming_back(filled: TieredStore, url: str) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    assert len(ended) > 15
    work, made = archive(filled)
    assert work.left == [] and [each.runs for each in made] == [len(ended)]
    assert not set(ended) & hot_streams(filled), "nothing of them is left in the tables"
    assert hot_streams(filled), "open runs stay"
    assert readable(filled, until) == before
    other = opened(url)
    assert readable(other, until, size=500) == before, "as another process sees it"
    other.close()
    assert bring_back(filled, *ended) == len(ended)
    assert set(ended) <= hot_streams(filled)
    assert filled.index.in_use() == []
    assert readable(filled, until) == before


async def test_a_second_start_of_an_archived_run_gives_its_result_or_is_refused(store: TieredStore) -> None:
    spec = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "random"}]}
    async with WorkflowEngine(store) as engine:
        result = await engine.run(spec, "once", seed=3)
        archive(store)
        assert "default/once" not in hot_streams(store)
        again = await engine.run(spec, "once", seed=3)
        assert again.to_json() == result.to_json()
        assert (await engine.run(spec, "once", seed=3, replay=True)).workflow_hash == result.workflow_hash
        with pytest.raises(RunConflictError):
            await engine.run(spec, "once", seed=4)
        with pytest.raises(RunEndedError):
            await engine.cancel("once", "too late")


async def test_a_late_message_to_an_archived_run_is_read_after_what_is_archived(filled: TieredStore) -> None:
    inbox = "default/cancelled/inbox"
    before = filled.read(inbox)
    assert before
    archive(filled)
    writer = Writer()
    writer.heads = filled.heads([inbox])
    assert filled.commit([writer.one(inbox, "late")], "me") == [True]
    late = filled.read(inbox, len(before))
    assert filled.read(inbox) == [*before, *late] and len(late) == 1
    assert filled.read(inbox, 1, 3) == [*before, *late][1:4]
    assert filled.follow(filled.last_position() - 1, 5)[0].record == late[0]
    assert verify_run(filled, "cancelled").chain == ()
    stale = Writer("stale")
    assert filled.commit([stale.one(inbox)], "me") == [False], "the head is still the lock"
    bring_back(filled, "default/cancelled")
    assert filled.read(inbox) == [*before, *late]
    work, _ = archive(filled)
    assert work.left == [] and filled.read(inbox) == [*before, *late]


async def test_runs_that_projections_have_not_seen_to_their_end_stay(filled: TieredStore) -> None:
    caught_up(filled, RunsProjection())
    async with WorkflowEngine(filled) as engine:
        await engine.run({"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}, "unseen")
    assert "default/unseen" not in ended_streams(filled)
    assert "default/linear" in ended_streams(filled)
    filled.tables.create("runs", 99, ())
    assert ended_streams(filled) == [], "a generation that is being built has seen nothing yet"


async def test_runs_with_a_dispatch_row_and_younger_ones_stay(store: TieredStore) -> None:
    spec = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}
    async with WorkflowEngine(store) as engine:
        for name in ("a", "b"):
            await engine.run(spec, name)
    store.dispatch.replace([DispatchRow("default/a", "default", 0, "[]", 0.0)])
    assert ended_streams(store) == ["default/b"]
    ended_at = EventLog(store, "").events("default/b")[-1].at
    work = Archiving(store, Sealer("b"), "", "")
    assert work.due(ended_at, None) == [] and [each.stream for each in work.due(ended_at + 1, None)] == ["default/b"]


async def test_a_run_that_was_altered_is_left_where_it_is(filled: TieredStore) -> None:
    access = filled.hot.access
    with access.appending() as change:
        where = "originator_id = 'default/linear' AND originator_version = 2"
        assert change.run(f"UPDATE stored_events SET topic = 'step.failed' WHERE {where}", ()) == 1
    work, made = archive(filled)
    assert [(each.stream, each.intact) for each in work.left] == [("default/linear", False)]
    assert "does not follow" in work.left[0].reason
    assert made[0].runs > 10 and "default/linear" in hot_streams(filled)


async def test_a_run_to_which_something_comes_while_it_is_packed_is_left(store: TieredStore) -> None:
    async with WorkflowEngine(store) as engine:
        await engine.run({"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}, "a")

    def reached(point: str) -> None:
        if point == RECORDED:
            assert store.commit([Writer().one("default/a/inbox")], "me") == [True]

    work, _ = archive(store, reached=reached)
    assert [(each.stream, each.intact) for each in work.left] == [("default/a", True)]
    assert "default/a" in hot_streams(store) and store.index.in_use() == []


async def test_large_payloads_go_with_their_run_unless_something_hot_points_to_them(store: TieredStore) -> None:
    text = "x" * 100_000
    spec = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "hash", "inputs": {"t": "${inputs.t}"}}]}
    waits = {
        "workflow_type": "t",
        "steps": [{"step_id": "w", "skill_id": "wait_signal", "inputs": {"name": "go"}}],
    }
    async with WorkflowEngine(store) as engine:
        await engine.run(spec, "one", inputs={"t": text})
        await engine.run(spec, "two", inputs={"t": text + "y"})
        await engine.start(waits, "open", inputs={"t": text})
        records = {name: store.read(f"default/{name}") for name in ("one", "two", "open")}
        (shared,), (alone,) = references(records["open"]), references(records["two"]) - references(records["one"])
        archive(store)
        assert set(store.hot.large([shared, alone])) == {shared}
        assert len(store.large([shared, alone])) == 2
        # An append that comes upon a payload which is archived brings a row of its own.
        await engine.start(waits, "again", inputs={"t": text + "y"})
        assert set(store.hot.large([shared, alone])) == {shared, alone}
        for name in ("open", "again"):
            await engine.signal(name, "go", 1)
            await engine.resume(name)
    archive(store)
    assert store.hot.large([shared, alone]) == {} and len(store.large([shared, alone])) == 2
    assert all(verify_run(store, name).ok for name in ("one", "two", "open", "again"))
    bring_back(store, "default/one")
    assert set(store.hot.large([shared, alone])) == {shared}
    bring_back(store, "default/two", "default/open", "default/again")
    assert set(store.hot.large([shared, alone])) == {shared, alone} and store.index.payloads([shared, alone]) == {}


@pytest.mark.parametrize("projection", [RunsProjection(), CheckpointsProjection()], ids=lambda each: each.name)
async def test_a_rebuild_after_archiving_gives_the_same_bytes(filled: TieredStore, projection: Projection) -> None:
    caught_up(filled, projection)
    rows = rows_of(filled, projection.name)
    archive(filled)
    caught_up(filled, projection)
    done = Rebuild(filled, projection, this_process(uuid4().hex), batch=23).run(compare=True)
    assert done.compared and done.switched
    assert rows_of(filled, projection.name) == rows


async def test_the_dispatch_table_computed_anew_is_the_same(filled: TieredStore) -> None:
    open_runs = DispatchRebuild(filled)
    open_runs.catch_up()
    archive(filled)
    again = DispatchRebuild(filled)
    again.catch_up()
    assert again.rows == open_runs.rows and len(again.rows) == len(filled.dispatch.rows()) >= 3


async def test_a_follower_decompresses_each_run_once_however_many_pages_it_spans(store: TieredStore) -> None:
    writer = Writer()
    store.commit([writer.unit(("default/long", [started("long"), *[said(str(n)) for n in range(400)]]))], "me")
    for number in range(40):
        run = f"r{number}"
        store.commit([writer.unit((f"default/{run}", [started(run), said()]))], "me")
    for stream in ["default/long", *(f"default/r{number}" for number in range(40))]:
        store.commit([writer.unit((stream, [END]))], "me")
    expected = store.follow(0, 10_000)
    archive(store)
    assert len(hot_streams(store)) == 1
    follower = TieredStore(store.hot, store.folder)
    assert paged(follower, 7, len(expected)) == expected
    assert follower.cache.loads == 41
    for start in (0, 13, 100, 399, 405, 480, len(expected)):
        assert follower.follow(start, 20) == store.follow(start, 20) and follower.follow(start, 20)[0].position > start


async def test_little_memory_only_costs_time(filled: TieredStore) -> None:
    until = filled.last_position()
    expected = paged(filled, 500, until)
    archive(filled)
    follower = TieredStore(filled.hot, filled.folder)
    follower.cache = follower._sweep._cache = ArchiveCache(filled.folder, 1)  # pyright: ignore[reportPrivateUsage]
    assert paged(follower, 11, until) == expected


async def test_followers_and_readers_see_everything_while_runs_go_and_come_back(filled: TieredStore, url: str) -> None:
    until = filled.last_position()
    expected = paged(filled, 500, until)
    ended = ended_streams(filled)
    done = threading.Event()

    def move() -> None:
        mover = opened(url)
        try:
            for _ in range(2):
                archive(mover)
                bring_back(mover, *ended)
        finally:
            done.set()
            mover.close()

    moving = asyncio.create_task(asyncio.to_thread(move))
    looks = 0
    while not done.is_set():
        seen = await asyncio.to_thread(paged, filled, 17, until)
        assert seen == expected
        for stream in ended[:: max(1, len(ended) // 5)]:
            records = await asyncio.to_thread(filled.read, stream)
            assert records == [each.record for each in expected if each.record.stream == stream]
            assert (await asyncio.to_thread(filled.starts, [stream]))[stream] > 0
        looks += 1
    await moving
    assert looks > 3


async def test_what_was_archived_is_recorded_with_its_hash(filled: TieredStore) -> None:
    _, (made,) = archive(filled)
    (event,) = EventLog(filled, "").events(ARCHIVES)
    assert isinstance(event, StoreArchived)
    assert (event.archive, event.sha256, event.runs, event.by, event.reason) == (*made[:2], made.runs, "Ada", "a test")
    path = filled.folder.path
    assert path is not None
    data = (path / made.archive).read_bytes()
    assert sha256_hex(data) == event.sha256 and len(data) == made.bytes
    lines = gzip.decompress(data).splitlines()
    assert all(orjson.loads(line) for line in lines), "a person and jq can read it"
    assert sum(line.startswith(b'{"position"') for line in lines) == event.events


async def test_without_its_folder_a_store_says_what_is_missing(
    filled: TieredStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(filled)
    monkeypatch.delenv("REFOLD_ARCHIVE")
    lost = opened(url)
    try:
        with pytest.raises(StoreRefusedError if url.startswith("postgres") else IntegrityError, match="archive-"):
            lost.read("default/linear")
        with pytest.raises(RefoldError, match="archive-"):
            lost.follow(0, 10)
        assert lost.heads(["default/linear"]), "heads are in the database"
        if url.startswith("postgres"):
            with pytest.raises(StoreRefusedError, match="REFOLD_ARCHIVE"):
                lost.folder.writer()
    finally:
        lost.close()


async def test_a_generation_that_was_replaced_holds_nothing_up(filled: TieredStore) -> None:
    projection = RunsProjection()
    caught_up(filled, projection)
    Rebuild(filled, projection, this_process(uuid4().hex)).run()
    await fill(filled, 5, 4, prefix="later")
    caught_up(filled, projection)
    old, new = filled.tables.generations("runs")
    assert old.position < new.position == filled.last_position()
    archive(filled)
    assert not set(ended_streams(filled)) & hot_streams(filled), "those that only the new one has seen are gone, too"
