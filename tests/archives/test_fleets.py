"""A job over many runs reads those in archives, too, and names those whose archive is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from refold import SkillRegistry
from refold.eventstore.tiered import TieredStore
from refold.ops.fleet_worker import prover_of
from refold.replay.fleet import Order, Query, chunks_of, pinned
from refold.replay.jobs import JobEnd, LocalCrew, run_job
from refold.tests.support.archived import archive, ended_streams


async def verified(store: TieredStore, order: Order) -> JobEnd:
    def work() -> JobEnd:
        with LocalCrew(store, prover_of(store, SkillRegistry(), order), order) as crew:
            return run_job(store, order, crew)

    return await asyncio.to_thread(work)


def streams_of(store: TieredStore, **query: Any) -> list[str]:
    until = store.last_position()
    return [stream for chunk in chunks_of(store, Query(**query), until) for stream in chunk.streams]


async def test_a_job_comes_to_the_same_when_runs_have_gone_into_archives(filled: TieredStore) -> None:
    order = Order(Query(), ("chain", "fold"), None, *pinned(filled))
    before, streams, tripled = await verified(filled, order), streams_of(filled), streams_of(filled, workflow_type="x")
    assert before.tally.verdicts["equal"] == before.tally.runs == len(streams)
    archive(filled)
    assert streams_of(filled) == streams
    assert streams_of(filled, workflow_type="x") == tripled
    after = await verified(filled, order)
    assert (after.digest, after.tally) == (before.digest, before.tally)
    assert after.archives is not None and after.archives.ok and not after.broken


async def test_runs_whose_archive_is_gone_are_broken_and_the_others_are_not(filled: TieredStore) -> None:
    gone = {stream.partition("/")[2] for stream in ended_streams(filled)}
    archive(filled)
    assert filled.folder.path is not None
    for path in filled.folder.path.glob("archive-*"):
        path.unlink()
    end = await verified(filled, Order(Query(), ("chain", "fold"), None, *pinned(filled)))
    assert {run["run_id"] for run in end.first} == gone
    assert end.tally.verdicts["equal"] == end.tally.runs - len(gone) > 0
    assert end.archives is not None and not end.archives.ok
