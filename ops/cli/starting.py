"""`refold start` and `refold signal`: what is recorded for workers to take up."""

from __future__ import annotations

import uuid_utils

from ...compose import WorkflowEngine
from ...core.ids import check_run_id, check_tenant, stream_of
from ...core.limits import Limits
from ...core.results import WorkflowResult
from ...core.runtime.admission import MAX_LABEL, MAX_REASON, check_text, first_event
from ...core.spec import WorkflowSpec
from ...projections.standing import result_json
from ..settings import store_patience
from .faults import OK, REFUSED
from .origins import Origin
from .output import console, plain, write_json
from .reading import existing_store, read_inputs, read_payload, read_policy_of, read_spec_or_name, store_for
from .signals import run_until_stopped
from .streams import note


def start_run(
    source: tuple[str, str | None],
    inputs: str | None,
    seed: int,
    run_id: str | None,
    tenant: str,
    queue: str,
    priority: int,
    origin: Origin,
    database: str | None,
    json: bool,
) -> int:
    """Check everything, then record a run of what `source`, a file or name and a version, stands for; returns the exit
    code."""
    spec = read_spec_or_name(*source)
    given = read_inputs(inputs)
    policy = read_policy_of(origin)
    name = str(uuid_utils.uuid7()) if run_id is None else run_id
    patience = store_patience()
    if isinstance(spec, WorkflowSpec):
        # All that the engine will check, before the database is so much as opened.
        first_event(
            spec, name, seed, given, None, tenant, queue=queue, priority=priority, skills=None, limits=Limits(), at=0
        )

    async def work() -> WorkflowResult:
        async with WorkflowEngine(store, patience=patience) as engine:
            return await engine.start(
                spec,
                name,
                seed,
                given,
                agent_id=origin.agent,
                tenant=tenant,
                queue=queue,
                priority=priority,
                source=origin.source,
                policy=policy,
                subject=origin.subject,
            )

    with store_for(spec, database) as store:
        result = run_until_stopped(work)
        if json:
            write_json(result_json(store, stream_of(tenant, name), result))
        else:
            console().print(result.run_id, soft_wrap=True)
            if result.status == "rejected":
                note(f"rejected: [{result.error_code}] {plain(result.message or '')}")
    return REFUSED if result.status == "rejected" else OK


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
