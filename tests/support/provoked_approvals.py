"""What goes wrong with approvals, each for real, by the code that must be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from refold import WorkflowResult
from refold.core.events import StepFailed
from refold.core.run_ends import RunRejected
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke, code_of, of_server
from .workflows import events_of, spec, step, topics_of, until


def asking(**inputs: Any) -> dict[str, Any]:
    """A step that asks two people."""
    return step("ask", "approval", inputs={"reason": "ship it", "approvers": ["ada", "bob"], **inputs})


@asynccontextmanager
async def asked(bench: Bench, **inputs: Any) -> AsyncIterator[asyncio.Task[WorkflowResult]]:
    """The bench's run, which waits for people."""
    run = asyncio.create_task(bench.engine.run(spec(asking(**inputs)), bench.run_id))
    await until(lambda: "approval.requested" in topics_of(bench.store, bench.run_id))
    yield run
    if not run.done():
        await bench.engine.cancel(bench.run_id)
        await run


def _recorded(bench: Bench, result: WorkflowResult) -> str | None:
    """The code with which a run was rejected, which all that is recorded has."""
    told = [each for each in events_of(bench.store, bench.run_id) if isinstance(each, StepFailed | RunRejected)]
    assert result.status == "rejected" and [each.error_code for each in told] == [result.error_code] * 2
    return result.error_code


async def rejected(bench: Bench) -> str | None:
    """Somebody says no."""
    async with asked(bench) as run:
        await bench.engine.approvals.decide(bench.run_id, "ask", "reject", "ada", "not yet")
        return _recorded(bench, await run)


async def expired(bench: Bench) -> str | None:
    """Nobody says anything in time."""
    return _recorded(bench, await bench.engine.run(spec(asking(timeout_seconds=0.1)), bench.run_id))


async def _refused(bench: Bench, step_id: str, action: str, by: str, to: str | None = None) -> str | None:
    """The code with which a decision is refused, in this process and over HTTP."""
    here = await code_of(bench.engine.approvals.decide(bench.run_id, step_id, action, by, to=to))
    body = {"step_id": step_id, "action": action, "by": by, **({} if to is None else {"to": to})}
    assert await of_server(bench, "POST", f"/v1/runs/{bench.run_id}/approvals", body) == here
    return here


async def stranger(bench: Bench) -> str | None:
    """Somebody decides who was not asked."""
    async with asked(bench):
        return await _refused(bench, "ask", "grant", "mallory")


async def twice(bench: Bench) -> str | None:
    """Somebody decides who has decided, and the approval is not granted by that."""
    async with asked(bench, quorum=2) as run:
        await bench.engine.approvals.decide(bench.run_id, "ask", "grant", "ada")
        code = await _refused(bench, "ask", "grant", "ada")
        assert not run.done()
        return code


async def unasked(bench: Bench) -> str | None:
    """A decision about a step that asks nobody."""
    async with asked(bench):
        return await _refused(bench, "other", "grant", "ada")


async def passed_on(bench: Bench) -> str | None:
    """One of the two would have both places."""
    async with asked(bench, quorum=2):
        return await _refused(bench, "ask", "delegate", "ada", to="bob")


APPROVALS: dict[str, Provoke] = {
    "APPROVAL_REJECTED": rejected,
    "APPROVAL_EXPIRED": expired,
    "APPROVER_UNKNOWN": stranger,
    "APPROVAL_DECIDED": twice,
    "APPROVAL_NOT_FOUND": unasked,
    "DELEGATION_REFUSED": passed_on,
}
"""By the code that must be told."""
