"""`refold fork` and `refold retry`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import uuid_utils

from ...compose import WorkflowEngine
from ...core.changes import read_changes
from ...core.errors import CallError, Problem
from ...core.ids import check_queue, check_run_id, check_tenant, stream_of
from ...core.results import WorkflowResult
from ...projections.standing import result_json
from .faults import OK
from .output import console, stdout_for_json_only, write_json
from .reading import existing_store, read_change, read_skills
from .running import Run, drive
from .signals import run_until_stopped
from .specs import login


class Forking(NamedTuple):
    """What both commands are given: the parent, the fork's id, the queue it goes to (None: it runs here), and who."""

    run_id: str
    new_id: str | None
    queue: str | None
    by: str | None
    modules: Sequence[str]
    tenant: str
    database: str | None
    json: bool


Begin = Callable[[WorkflowEngine, str, str, bool], Awaitable[WorkflowResult]]
"""Makes the fork of this id, by somebody, and runs it or not."""


def fork_run(how: Forking, from_step: str | None, changes: Sequence[str]) -> int:
    """Fork the run at a step and with changes; returns the exit code."""
    given = _changes(changes)

    async def begin(engine: WorkflowEngine, name: str, by: str, here: bool) -> WorkflowResult:
        return await engine.fork(
            how.run_id,
            from_step=from_step,
            changes=given,
            new_id=name,
            queue=how.queue,
            by=by,
            here=here,
            tenant=how.tenant,
        )

    return _made(how, begin)


def retry_run(how: Forking) -> int:
    """Fork a failed run where it failed; returns the exit code."""

    async def begin(engine: WorkflowEngine, name: str, by: str, here: bool) -> WorkflowResult:
        return await engine.retry(how.run_id, new_id=name, queue=how.queue, by=by, here=here, tenant=how.tenant)

    return _made(how, begin)


def _made(how: Forking, begin: Begin) -> int:
    check_run_id(how.run_id)
    check_tenant(how.tenant)
    name = str(uuid_utils.uuid7()) if how.new_id is None else check_run_id(how.new_id)
    by = login() if how.by is None else how.by
    run = Run(name, how.modules, how.tenant, how.database)
    with stdout_for_json_only(how.json):
        skills = read_skills(how.modules)
        with existing_store(how.database, migrate=True) as store:
            if how.queue is None:
                return drive(lambda engine: begin(engine, name, by, True), run, store, skills, how.json)
            check_queue(how.queue)

            async def record() -> WorkflowResult:
                async with WorkflowEngine(store, skills, patience=run.patience) as engine:
                    return await begin(engine, name, by, False)

            result = run_until_stopped(record)
            if how.json:
                write_json(result_json(store, stream_of(how.tenant, name), result))
            else:
                console().print(result.run_id, soft_wrap=True)
    return OK


def _changes(given: Sequence[str]) -> dict[str, Any]:
    """The values by pointer of what `--set` was given. Raises InvalidError."""
    changes: dict[str, Any] = {}
    for each in given:
        pointer, equals, text = each.partition("=")
        if not equals:
            reason = f"--set {each[:60]!a} gives no value"
            raise CallError(Problem("", reason, "write POINTER=JSON, such as /inputs/x=1"))
        if pointer in changes:
            raise CallError(Problem(pointer, "it is given twice", "give it once"))
        changes[pointer] = read_change(text, pointer)
    read_changes(changes)
    return changes
