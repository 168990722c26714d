"""A worker that is pinned to versions of a workflow leaves runs of other versions alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from refold import SkillRegistry, Worker, Workflow, WorkflowEngine, workflow
from refold.tests.support.workflows import soon, topics_of, until


def flow(version: str) -> Workflow[[], str]:
    """The workflow in a version, which it returns."""

    @workflow("flow", version=version)
    async def flow() -> str:
        return version

    return flow


async def test_a_pinned_worker_takes_runs_of_its_versions_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/refold.db"
    skills = SkillRegistry()
    skills.add_workflow(flow("2"))
    async with WorkflowEngine(url) as client:
        await client.start(flow("1"), "old")
        await client.start(flow("2"), "new")
        worker = Worker(url, skills, pins={"flow": ["2"]})
        work = asyncio.create_task(worker.run())
        await until(lambda: "run.completed" in topics_of(client.store, "new"))
        worker.drain()
        await soon(work)
        assert topics_of(client.store, "old") == ["run.started"]
        unpinned = Worker(url, skills)
        work = asyncio.create_task(unpinned.run())
        await until(lambda: "run.completed" in topics_of(client.store, "old"))
        unpinned.drain()
        await soon(work)
