"""`refold start` and `refold signal`: what is recorded for workers to take up."""

from __future__ import annotations

from contextlib import closing

import uuid_utils

from ...compose import WorkflowEngine, open_store
from ...core.ids import check_run_id, check_tenant, stream_of
from ...core.limits import Limits
from ...core.results import WorkflowResult
from ...core.runtime.admission import MAX_LABEL, MAX_REASON, check_text, first_event
from ...projections.standing import result_json
from ..settings import store_patience
from .faults import OK
from .output import console, write_json
from .reading import existing_store, read_inputs, read_payload, read_spec
from .signals import run_until_stopped


def start_run(
    source: str,
    inputs: str | None,
    seed: int,
    run_id: str | None,
    tenant: str,
    queue: str,
    priority: int,
    database: str | None,
    json: bool,
) -> int:
    """Check everything, then record the run; returns the exit code."""
    spec = read_spec(source)
    given = read_inputs(inputs)
    name = str(uuid_utils.uuid7()) if run_id is None else run_id
    limits, patience = Limits(), store_patience()
    # All that the engine will check, before the database is so much as opened.
    first_event(spec, name, seed, given, None, tenant, queue=queue, priority=priority, skills=None, limits=limits, at=0)

    async def work() -> WorkflowResult:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await engine.start(spec, name, seed, given, tenant=tenant, queue=queue, priority=priority)

    with closing(open_store(database)) as store:
        result = run_until_stopped(work)
        if json:
            write_json(result_json(store, stream_of(tenant, name), result))
        else:
            console().print(result.run_id, soft_wrap=True)
    return OK


def send_signal(
    run_id: str, name: str, payload: str | None, key: str | None, tenant: str, database: str | None, json: bool
) -> int:
    """Send the signal and tell how the run stands then; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    check_text("the signal's name", name, MAX_LABEL)
    if key is not None:
        check_text("--key", key, MAX_REASON)
    body = read_payload(payload)
    patience = store_patience()

    async def work() -> WorkflowResult:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await engine.signal(run_id, name, body, key=key, tenant=tenant)

    with existing_store(database, migrate=True) as store:
        result = run_until_stopped(work)
        if json:
            write_json(result_json(store, stream_of(tenant, run_id), result))
        else:
            console().print(f"signal {name} sent to {run_id}", soft_wrap=True)
    return OK
