"""What goes wrong with runs, specs, calls, stores and proofs, each for real, by the code that must be told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from typing import Any

import httpx2
import pytest

from refold import Client, RefoldError, RunFailedError, SkillRegistry, WorkflowEngine, call, open_store, workflow
from refold.api.places import NOWHERE, Places
from refold.core.canonical import Payload
from refold.core.events import MessageSent
from refold.core.ports import EMPTY, Append, Unit
from refold.eventstore.journal import Journal
from refold.eventstore.sealing import Sealer
from refold.ops.certify_faults import Bench

from .audited import signed, tree_of
from .served import served
from .workflows import spec, step, until

WAITS = spec(step("wait", "wait_signal", name="go"))
"""A run that waits for ever."""

Provoke = Callable[[Bench], Awaitable[str | None]]
"""Makes something go wrong; the code that came of it."""


async def code_of(work: Awaitable[Any]) -> str | None:
    """The code of the error that `work` raises."""
    try:
        await work
    except RunFailedError as error:
        return error.code
    except RefoldError as error:
        return error.code
    return None


async def child_too_slow(bench: Bench) -> str | None:
    """A child waits longer than its parent does for it."""
    return await bench.run(step("faulty", "run_workflow", inputs={"spec": WAITS, "timeout_seconds": 0.1}))


async def no_output(bench: Bench) -> str | None:
    """A function returns what has no JSON."""

    @workflow("gives-nonsense")
    async def gives_nonsense() -> Any:
        return float("nan")

    bench.skills.add_workflow(gives_nonsense)
    return (await bench.engine.run(gives_nonsense, bench.run_id)).error_code


async def foreign_await(bench: Bench) -> str | None:
    """A function awaits something of asyncio's."""

    @workflow("awaits")
    async def awaits() -> None:
        await asyncio.sleep(0)

    bench.skills.add_workflow(awaits)
    return (await bench.engine.run(awaits, bench.run_id)).error_code


async def unknown_skill(bench: Bench) -> str | None:
    """A function calls a skill that is not registered."""

    @workflow("calls")
    async def calls() -> Any:
        return await call("nobody_has_it")

    bench.skills.add_workflow(calls)
    return (await bench.engine.run(calls, bench.run_id)).error_code


async def changed_code(bench: Bench) -> str | None:
    """A function calls something else than it did when its run began."""

    @workflow("changes")
    async def before() -> Any:
        return [await call("echo", x=1), await call("wait_signal", name="go")]

    @workflow("changes")
    async def after() -> Any:
        return [await call("hash", x=1), await call("wait_signal", name="go")]

    old, new = SkillRegistry(), SkillRegistry()
    old.add_workflow(before)
    new.add_workflow(after)
    async with WorkflowEngine(bench.store, old) as engine:
        run = asyncio.create_task(engine.run(before, bench.run_id))
        await until(lambda: len(bench.store.read(f"default/{bench.run_id}")) > 2)
    await asyncio.gather(run, return_exceptions=True)
    async with WorkflowEngine(bench.store, new) as engine:
        return (await engine.resume(bench.run_id)).error_code


async def unknown_workflow(bench: Bench) -> str | None:
    """A run is resumed where nobody has its function."""

    @workflow("elsewhere")
    async def elsewhere() -> Any:
        return await call("wait_signal", name="go")

    skills = SkillRegistry()
    skills.add_workflow(elsewhere)
    async with WorkflowEngine(bench.store, skills, parks=True) as engine:
        await engine.start(elsewhere, bench.run_id)
    return await code_of(bench.engine.resume(bench.run_id))


async def cancelled_run(bench: Bench) -> str | None:
    """A run that waits is cancelled."""
    run = asyncio.create_task(bench.engine.run(WAITS, bench.run_id))
    await until(lambda: bench.engine.lives(bench.run_id))
    await bench.engine.cancel(bench.run_id, "no longer wanted")
    return (await run).error_code


async def owned_run(bench: Bench) -> str | None:
    """Another engine wants a run on which this one works."""
    run = asyncio.create_task(bench.engine.run(WAITS, bench.run_id))
    await until(lambda: bench.engine.lives(bench.run_id))
    async with WorkflowEngine(bench.store) as other:
        code = await code_of(other.run(WAITS, bench.run_id))
    await bench.engine.cancel(bench.run_id)
    await run
    return code


async def ended_run(bench: Bench) -> str | None:
    """A message to a run that has ended."""
    await bench.run(step("a"))
    return await code_of(bench.engine.signal(bench.run_id, "go"))


async def failed_run(bench: Bench) -> str | None:
    """The result of a run that failed is asked for."""
    await bench.run(step("a", "fault_raises"))
    async with Client(bench.store) as client:
        return await code_of(client.get_handle(bench.run_id).result())


async def taken_id(bench: Bench) -> str | None:
    """A run id is used again with another seed."""
    await bench.engine.run(spec(step("a")), bench.run_id, seed=1)
    return await code_of(bench.engine.run(spec(step("a")), bench.run_id, seed=2))


async def unanswered(bench: Bench) -> str | None:
    """A run is asked something, and nobody works who could answer."""

    @workflow("asked")
    async def asked() -> Any:
        return await call("wait_signal", name="go")

    skills = SkillRegistry()
    skills.add_workflow(asked)
    async with WorkflowEngine(bench.store, skills, parks=True) as engine:
        await engine.start(asked, bench.run_id)
    async with WorkflowEngine(bench.store, parks=True) as engine:
        return await code_of(engine.query(bench.run_id, "seen", timeout_seconds=0.1))


async def taken_version(bench: Bench) -> str | None:
    """A registered version gets another content."""
    await bench.engine.specs.put(spec(step("a")))
    return await code_of(bench.engine.specs.put(spec(step("b"))))


async def lost_ownership(bench: Bench) -> str | None:
    """Two append to the same head of a stream."""
    journal = Journal(bench.store, Sealer("test"), "test", patience=1.0)
    unit = Unit((Append("default/x/inbox", EMPTY, (MessageSent(0, "signal", "k", "", "go", Payload.of(None)),)),))
    try:
        await journal.commit(unit)
        return await code_of(journal.commit(unit))
    finally:
        journal.close()


async def no_schema(bench: Bench) -> str | None:
    """A database that was never migrated is used."""
    with closing(open_store(f"sqlite:///{bench.folder / 'empty.db'}", migrate=False)) as store:
        async with WorkflowEngine(store, patience=0.5) as engine:
            return await code_of(engine.run(spec(step("a")), bench.run_id))


async def altered(bench: Bench) -> str | None:
    """A stored event is no longer what was written."""
    await bench.run(step("a"))
    with closing(sqlite3.connect(bench.database, isolation_level=None)) as database:
        database.execute("UPDATE stored_events SET state = X'7b' WHERE originator_version = 2")
    return await code_of(bench.engine.state(bench.run_id))


async def diverged(bench: Bench) -> str | None:
    """A skill that says it is deterministic is not."""
    values = iter(range(10))

    @bench.skills.skill("drifts", deterministic=True)
    def drifts() -> int:
        return next(values)

    await bench.run(step("a", "drifts"))
    return await code_of(bench.engine.replay(bench.run_id))


async def of_server(bench: Bench, method: str, path: str, body: Any = None, places: Places = NOWHERE) -> str | None:
    """The code of what the HTTP server answers."""
    with served(bench.store, places) as base:
        async with httpx2.AsyncClient(base_url=base, timeout=60) as client:
            answer = await client.request(method, path, json=body)
    document = json.loads(answer.content)
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    return str(document["code"])


async def behind_tree(bench: Bench) -> str | None:
    """A run is newer than the signed head of the tree."""
    folder = bench.folder / "tree"
    tree_of(bench.store, folder).write("checkpoint", signed(tree_of(bench.store, folder)).data)
    await bench.run(step("late", "echo"))
    return await of_server(bench, "GET", f"/v1/runs/{bench.run_id}/bundle", places=Places(tree=folder))


async def broken_server(bench: Bench) -> str | None:
    """The server meets an exception that nobody has foreseen."""

    def broken(*_: object) -> None:
        raise RuntimeError("nobody has foreseen this")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("heads", "read"):
            patch.setattr(bench.store, name, broken)
        return await of_server(bench, "GET", "/v1/runs/r")


def _raised(work: Callable[[Bench], Coroutine[Any, Any, Any]]) -> Provoke:
    return lambda bench: code_of(work(bench))


RUNS: dict[str, Provoke] = {
    "CHILD_TIMEOUT": child_too_slow,
    "OUTPUT_INVALID": no_output,
    "FOREIGN_AWAIT": foreign_await,
    "SKILL_UNKNOWN": unknown_skill,
    "NONDETERMINISM": changed_code,
    "WORKFLOW_UNKNOWN": unknown_workflow,
    "RUN_CANCELLED": cancelled_run,
    "RUN_OWNED": owned_run,
    "RUN_ENDED": ended_run,
    "RUN_FAILED": failed_run,
    "RUN_CONFLICT": taken_id,
    "RUN_NOT_FOUND": _raised(lambda bench: bench.engine.state("nobody")),
    "QUERY_UNANSWERED": unanswered,
    "SPEC_CONFLICT": taken_version,
    "SPEC_NOT_FOUND": _raised(lambda bench: bench.engine.run("nobody", bench.run_id)),
    "INPUT_INVALID": _raised(lambda bench: bench.engine.run(spec(step("a")), "r/x")),
    "ROUTE_UNKNOWN": lambda bench: of_server(bench, "GET", "/nowhere"),
    "RESOURCE_NOT_FOUND": lambda bench: of_server(bench, "GET", "/v1/failure-codes/NOBODY"),
    "PROJECTION_NOT_BUILT": lambda bench: of_server(bench, "GET", "/v1/failures"),
    "NOT_CONFIGURED": lambda bench: of_server(bench, "GET", "/v1/audit/tree"),
    "TREE_BEHIND": behind_tree,
    "OWNERSHIP_LOST": lost_ownership,
    "STORE_REFUSED": no_schema,
    "INTEGRITY_BROKEN": altered,
    "REPLAY_DIVERGED": diverged,
    "INTERNAL_ERROR": broken_server,
}
"""By the code that must be told."""
