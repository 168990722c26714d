"""`refold dev`: the API, a worker and a projector in one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from typing import TypedDict

from ...compose import Worker, WorkflowEngine, check_process_policy, database_url, open_store
from ...core.runtime.registry import SkillRegistry
from ...projections.golden_patrol import ROUND_SECONDS
from ...projections.metrics import MetricsProjection
from ...projections.projector import Projector, known_projections
from ..loopback import loopback_socket, url_of
from ..settings import golden_folder, store_patience, webhook_key_file
from .faults import OK, Hidden
from .goldens import golden_place
from .logs import log_to_stderr
from .measuring import folders_kept
from .output import console, plain, stdout_for_json_only, write_json
from .projecting import patrol_of
from .reading import read_skills
from .signals import run_until_drained
from .streams import note
from .working import check_queues


def develop(
    modules: Sequence[str],
    host: str,
    port: int,
    queues: Sequence[str],
    folder: str | None,
    keys: str | None,
    database: str | None,
    json: bool,
) -> int:
    """Serve, work and keep projections until a signal asks for an end; returns the exit code."""
    check_queues(queues)
    check_process_policy()
    patience = store_patience()
    webhooks = None
    if webhook_key_file(None) is not None:
        from .webhook_deliveries import prepared

        webhooks = prepared(None)
    url = database_url(database)
    hide = Hidden([url])
    log_to_stderr(hide)
    with stdout_for_json_only(json), closing(loopback_socket(host, port)) as bound, closing(open_store(url)) as store:
        skills = read_skills(modules)
        projections = known_projections(golden_place(store, folder, keys))
        # What can be refused is refused before a second goes into loading the web framework.
        from ..job_keeper import JobKeeper
        from ..metrics.telling import Counting, telling
        from ..places import places
        from ..serve import HttpServer

        def begun() -> None:
            told = _told(skills, url_of(bound), plain(hide(url)), queues, projections)
            if json:
                write_json(told)
            else:
                _print(told)

        # It knows the functions too: what is started is checked against them, and carries their version and time limit.
        engine = WorkflowEngine(store, skills, patience=patience, parks=True)
        server = HttpServer(engine, bound, begun, places=places(folder, keys))
        worker = Worker(store, skills, queues=queues, patience=patience)
        worker.trace_skills()
        counting = Counting.begun()
        kept = [*projections.values(), MetricsProjection(counting.counts)]
        projector = Projector(store, kept, watch=counting.watch, tracer=engine.tracer)
        patrol = patrol_of(store, kept, ROUND_SECONDS, counting)
        sender = None if webhooks is None else webhooks(store, engine)

        async def work() -> None:
            async with engine, asyncio.TaskGroup() as tasks:
                tasks.create_task(server.run())
                tasks.create_task(worker.run())
                tasks.create_task(projector.run())
                if sender is not None:
                    tasks.create_task(sender.run())

        def drain() -> None:
            server.stop()
            worker.drain()
            projector.drain()
            if sender is not None:
                sender.drain()

        folders = folders_kept(url, golden_folder(folder) if patrol else None)
        told = telling(server.metrics, store, folders, appends=worker.append_seconds, counting=counting, patrol=patrol)
        with told, nullcontext() if patrol is None else patrol, JobKeeper(store, url):
            run_until_drained(work, drain, lambda: None)
    note("drained")
    return OK


class _Told(TypedDict):
    listening: str
    database: str
    queues: list[str]
    workflows: list[str]
    skills: list[str]
    projections: list[str]
    pid: int


def _told(
    skills: SkillRegistry, listening: str, database: str, queues: Sequence[str], projections: Iterable[str]
) -> _Told:
    registry = SkillRegistry()
    ready = {*registry.names(), *registry.workflows()}
    return {
        "listening": listening,
        "database": database,
        "queues": list(queues),
        "workflows": [f"{each.workflow_type}#{each.version}" for each in skills.workflows() if each not in ready],
        "skills": [name for name in skills.names() if name not in ready],
        "projections": list(projections),
        "pid": os.getpid(),
    }


def _print(told: _Told) -> None:
    lines = {
        "database": told["database"],
        "queues": ", ".join(told["queues"]),
        "workflows": ", ".join(told["workflows"]) or "no functions; name their module by --app",
        "skills": ", ".join([*told["skills"], "and the ready ones (refold skills)"]),
        "projected": ", ".join(told["projections"]),
    }
    screen = console()
    screen.print(f"listening on {told['listening']}", soft_wrap=True)
    for name, text in lines.items():
        screen.print(f"{name:<11}{plain(text)}", soft_wrap=True)
    screen.print("Ctrl-C ends it: running steps end first", soft_wrap=True)
