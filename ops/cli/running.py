"""`refold run` and `refold resume`."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson
import uuid_utils
from rich.text import Text

from ...compose import WorkflowEngine
from ...core.canonical import canonical_json
from ...core.errors import OwnershipLostError, RunNotFoundError, RunOwnedError
from ...core.ids import check_run_id, check_tenant
from ...core.results import WorkflowResult
from ...core.run_state import RunState
from ...core.runtime.registry import SkillRegistry
from ...core.spec import WorkflowSpec
from ...eventstore.store import Store
from ..settings import store_patience
from .faults import FAILED, OK, REFUSED, secrets_of
from .live import Watch, json_line, progress
from .origins import Origin
from .output import STATUS_STYLES, cents, console, excerpt, plain, stdout_for_json_only, write_json
from .reading import (
    check_call,
    existing_store,
    read_inputs,
    read_policy_of,
    read_skills,
    read_spec_or_name,
    resolved,
    store_for,
)
from .signals import CutOffError, StoppedError, run_until_stopped
from .streams import ReaderGoneError, UnwritableError, note

Work = Callable[[WorkflowEngine], Awaitable[WorkflowResult]]
"""What an engine is asked to do."""


def run_spec(
    source: tuple[str, str | None],
    inputs: str | None,
    seed: int,
    run_id: str | None,
    origin: Origin,
    modules: Sequence[str],
    tenant: str,
    database: str | None,
    json: bool,
) -> int:
    """Check everything, then run what `source`, a file or name and a version, stands for; returns the exit code."""
    spec = read_spec_or_name(*source)
    given = read_inputs(inputs)
    policy = read_policy_of(origin)
    # Named here, so that whoever stops the run at any moment can be told its name.
    name = str(uuid_utils.uuid7()) if run_id is None else run_id
    run = Run(name, modules, tenant, database)
    with stdout_for_json_only(json):
        skills = read_skills(modules)
        if isinstance(spec, WorkflowSpec):
            check_call(spec, given, name, seed, tenant, origin, None if origin.source == "planner" else skills)

        async def work(engine: WorkflowEngine) -> WorkflowResult:
            what = await resolved(spec, engine, tenant)
            return await engine.run(
                what,
                name,
                seed,
                given,
                agent_id=origin.agent,
                tenant=tenant,
                source=origin.source,
                policy=policy,
                subject=origin.subject,
            )

        with store_for(spec, database, skills) as store:
            return drive(work, run, store, skills, json)


def resume_run(run_id: str, modules: Sequence[str], tenant: str, database: str | None, json: bool) -> int:
    """Go on with the run; returns the exit code."""
    run = Run(check_run_id(run_id), modules, check_tenant(tenant), database)

    async def work(engine: WorkflowEngine) -> WorkflowResult:
        return await engine.resume(run_id, tenant)

    with stdout_for_json_only(json):
        skills = read_skills(modules)
        with existing_store(database, migrate=True) as store:
            return drive(work, run, store, skills, json)


class Run:
    """The run that a command is about, and how to name it in the next command."""

    def __init__(self, run_id: str, modules: Sequence[str], tenant: str, database: str | None):
        self.run_id = run_id
        self.tenant = tenant
        self.database = database
        self.patience = store_patience()
        self.known: RunState | None = None
        self._modules = modules

    def command(self, verb: str) -> str:
        """`refold VERB RUN` with the options that this run needs; a database whose URL holds a password is left out."""
        words = ["refold", verb, self.run_id]
        if verb == "resume":
            words += [word for module in self._modules for word in ("--skills", module)]
        if self.tenant != "default":
            words += ["--tenant", self.tenant]
        if self.database is not None and not secrets_of(self.database):
            words += ["--database", self.database]
        return plain(shlex.join(words))


def drive(work: Work, run: Run, store: Store, skills: SkillRegistry, json: bool) -> int:
    """Have an engine do `work` on the run while a person or a program watches; returns the exit code."""
    watch = Watch()

    async def main() -> WorkflowResult:
        async with WorkflowEngine(store, skills, observer=watch, patience=run.patience) as engine:
            engine.trace_skills()
            if json:
                watch.watcher = json_line
                return await work(engine)
            with suppress(RunNotFoundError):
                run.known = await engine.state(run.run_id, run.tenant)
            with progress(console(stderr=True), run.known) as watch.watcher:
                return await work(engine)

    try:
        result = run_until_stopped(main)
    except StoppedError as stopped:
        why = "Ctrl-C" if stopped.signal == signal.SIGINT else signal.Signals(stopped.signal).name
        again = run.command("resume")
        note(f"stopped by {why}; all that was recorded is kept. Go on with: {again}")
        raise
    except CutOffError as error:
        raise CutOffError(f"the run was cut off; go on with: {run.command('resume')}") from error
    except OwnershipLostError as error:
        told = f"{error}. Fix: another process goes on with it: {run.command('show')}"
        raise OwnershipLostError(told) from error
    except RunOwnedError as error:
        raise RunOwnedError(_readable(str(error))) from error
    try:
        if json:
            write_json(result.to_json())
        else:
            _summarise(result, run)
    except ReaderGoneError:
        pass  # the exit code is still to tell how the run ended
    except UnwritableError as error:
        error.args = (f"{error}; the run is {result.status}. See: {run.command('show')}",)
        raise
    return OK if result.success else REFUSED if result.status == "rejected" else FAILED


def _readable(owned: str) -> str:
    """The message with its owner, a lease's JSON, as people call it, and with what can be done."""
    found = re.search(r"(\{.*\}) for another (\d+) s", owned)
    if found is None:
        return owned
    try:
        owner: dict[str, Any] = orjson.loads(found[1])
        process = f"process {int(owner['pid'])}"
        host = str(owner["host"]).partition("/")[0]
    except (ValueError, KeyError, TypeError):
        return owned
    told = owned.replace(found[1], f"{process} on {host}")
    return f"{told}. Fix: wait {found[2]} s, or end it"


def _summarise(result: WorkflowResult, run: Run) -> None:
    screen = console()
    ended = sum(step.status in ("completed", "failed", "skipped") for step in result.steps)
    lines = [
        (result.status, f"{result.workflow_type}, run {result.run_id}"),
        ("steps", f"{ended} of {len(result.steps)} ended"),
    ]
    if result.error_code is not None:
        lines.append(("error", f"[{result.error_code}] {result.message or ''}"))
    if result.cost_cents:
        lines.append(("cost", cents(result.cost_cents)))
    if result.workflow_hash is not None:
        lines.append(("hash", result.workflow_hash))
    if result.success:
        lines.append(("output", excerpt(canonical_json(result.output), 400)))
    follow = ["resume", "show"] if result.status in ("paused", "parked", "running") else ["show", "verify"]
    lines += [("next" if at == 0 else "", run.command(verb)) for at, verb in enumerate(follow)]
    for at, (name, text) in enumerate(lines):
        line = Text(f"{name:<11}", STATUS_STYLES.get(name, "bold") if at == 0 else "dim")
        screen.print(line.append(plain(text), "not dim"), soft_wrap=True)
