"""`refold query`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from rich.text import Text

from ...compose import WorkflowEngine
from ...core.canonical import canonical_json
from ...core.errors import CallError, Problem
from ...core.ids import check_run_id, check_tenant
from ...projections.querying import query
from ..settings import store_patience
from .faults import OK
from .output import console, plain, stdout_for_json_only, write_json
from .reading import existing_store, read_arguments, read_skills
from .signals import run_until_stopped


def query_run(
    run_id: str,
    name: str,
    arguments: str | None,
    timeout_seconds: float,
    modules: Sequence[str],
    tenant: str,
    database: str | None,
    json: bool,
) -> int:
    """Write what the run's function answers, by the code in `modules` or else by a worker's; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    given = read_arguments(arguments)
    if given is not None and not isinstance(given, dict):
        raise CallError(Problem("/arguments", "the arguments must be an object", "give names with values"))
    named = cast("dict[str, Any]", given or {})
    patience = store_patience()

    async def work() -> Any:
        async with WorkflowEngine(store, skills, patience=patience, parks=True) as engine:
            return await query(engine, store, run_id, name, named, tenant=tenant, seconds=timeout_seconds)

    with stdout_for_json_only(json):
        skills = read_skills(modules)
        with existing_store(database) as store:
            said = run_until_stopped(work)
        if json:
            write_json({"run_id": run_id, "query": name, "answer": said})
        else:
            console().print(
                Text(plain(said if isinstance(said, str) else canonical_json(said).decode())), soft_wrap=True
            )
    return OK
