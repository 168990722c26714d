"""`refold worker`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing

from ...compose import Worker, check_process_policy, database_url, open_store, tune_process
from ...core.catalog import is_name
from ...core.errors import CallError, Problem
from ...core.events import Event, RunEnd
from ...core.ids import check_queue
from ...core.runtime.registry import SkillRegistry
from .faults import OK, Hidden
from .logs import log_to_stderr
from .measuring import bound_for, tell
from .output import plain
from .reading import read_skills
from .signals import run_until_drained
from .streams import note


def check_queues(queues: Sequence[str]) -> None:
    """Raises CallError unless they are names of queues, each once."""
    for queue in queues:
        check_queue(queue)
    if len(set(queues)) < len(queues):
        raise CallError(Problem("", "a queue is named twice", "name each queue once"))


def work(
    modules: Sequence[str],
    queues: Sequence[str],
    concurrency: int,
    pins: Sequence[str],
    database: str | None,
    metrics: str | None = None,
) -> int:
    """Work on runs until a signal asks for an end; returns the exit code."""
    check_queues(queues)
    pinned = _pinned(pins)
    skills = read_skills(modules)
    check_process_policy()
    url = database_url(database)
    hide = Hidden([url])
    log_to_stderr(hide)
    tune_process()
    done: Counter[str] = Counter()

    def count(_stream: str, _version: int, event: Event) -> None:
        done["events"] += 1
        done["runs"] += isinstance(event, RunEnd)

    with bound_for(metrics) as bound, closing(open_store(url)) as store, ExitStack() as told:
        worker = Worker(store, skills, queues=queues, concurrency=concurrency, observer=count, pins=pinned)
        worker.trace_skills()
        me = f"worker {os.getpid()}"
        functions = len(skills.workflows()) - len(SkillRegistry().workflows())
        some = f" and {functions} workflow{'s' if functions > 1 else ''}" if functions else ""
        many = f"{len(skills.names())} skills{some}, at most {concurrency} runs at a time"
        place = "queue" if len(queues) == 1 else "queues"
        hello = f"{me} serves {place} {', '.join(queues)} of {plain(hide(url))} with {many}"
        if bound is not None:
            hello += f"; metrics: {tell(told, bound, store, url, appends=worker.append_seconds)}"
        run_until_drained(worker.run, worker.drain, lambda: note(hello))
    note(f"{me} is drained: {done['runs']} runs ended here, {done['events']} events written")
    return OK


def _pinned(pins: Sequence[str]) -> dict[str, list[str]]:
    """The versions by workflow type of what `--pin` was given. Raises CallError."""
    found: dict[str, list[str]] = {}
    for pin in pins:
        workflow_type, _, version = pin.partition("=")
        if not is_name(f"{workflow_type}#{version}"):
            raise CallError(Problem("", f"--pin {pin[:60]!a} names no version of a workflow", "give TYPE=VERSION"))
        found.setdefault(workflow_type, []).append(version)
    return found
