"""Registering versions of a spec in a process of its own (which must be able to import this)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Barrier

from refold import SpecConflictError, WorkflowEngine

PATIENCE_SECONDS = 60
"""Far longer than the other process takes to come."""


def register_elsewhere(url: str, number: int, versions: Sequence[str], meeting: Barrier) -> list[str]:
    """Register each of `versions` of one workflow, at the same time as another does; what it was told of each.

    `number` is all that the specs of the two processes may differ in.
    """
    return asyncio.run(_register(url, number, versions, meeting))


async def _register(url: str, number: int, versions: Sequence[str], meeting: Barrier) -> list[str]:
    told: list[str] = []
    step = {"step_id": "a", "skill_id": "echo", "inputs": {"x": number}}
    async with WorkflowEngine(url) as engine:
        for version in versions:
            await asyncio.to_thread(meeting.wait, PATIENCE_SECONDS)
            try:
                put = await engine.specs.put({"workflow_type": "order", "version": version, "steps": [step]})
                told.append("registered" if put.new else "unchanged")
            except SpecConflictError as error:
                taken = error.problems[0].reason.startswith(f"version {version!r} of 'order' is registered")
                told.append("version '…' is taken" if taken else str(error))
    return told
