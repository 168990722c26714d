"""Starting runs: what a request asks for is checked in full, on a thread, before the engine hears of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field

from ..core.catalog import parse_name
from ..core.errors import CallError, InvalidError, Problem, SpecError
from ..core.events import RunStarted
from ..core.ids import check_queue, check_run_id, check_seed
from ..core.limits import Limits
from ..core.policy.document import Policy
from ..core.results import WorkflowResult
from ..core.runtime.admission import DEFAULT_QUEUE, Target, first_event
from ..core.spec import WorkflowSpec
from ..core.spec_problems import first_in_order
from .bodies import Body
from .names import Name, Queue, RunId, Seed
from .ports import Ports

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class StartBody(Body):
    """A run to be started: either `spec`, or the name of a registered `workflow` with its `version` (else the latest).

    The plan of an untrusted planner (`source`) must pass the sandbox; `policy` holds for this run besides the worker's.
    Without `run_id` one is made: from the Idempotency-Key header, if there is one. `inputs` are laid over the spec's.
    """

    spec: dict[str, Any] | None = None
    workflow: Name | None = None
    version: Name | None = None
    run_id: RunId | None = None
    inputs: dict[str, Any] | None = None
    seed: Seed = 0
    queue: Queue = DEFAULT_QUEUE
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    agent_id: Annotated[str, Field(max_length=200)] | None = None
    source: Literal["", "planner"] = ""
    policy: dict[str, Any] | None = None


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, taken as they stand. Raises InvalidError."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        reason = "the header Idempotency-Key must be given once, with 1 to 255 printable ASCII characters"
        raise InvalidError(Problem("", reason, "send another key"))
    return keys[0]


def run_id_of(key: str) -> str:
    """The id of the run that is started with an idempotency key: the same for the same key."""
    return f"key-{sha256(key.encode()).hexdigest()[:40]}"


async def start(ports: Ports, tenant: str, body: StartBody, key: str | None) -> tuple[WorkflowResult, bool]:
    """Record the run; says too whether it is new. Raises InvalidError (SpecNotFoundError for a version there is not),
    and what `Engine.record` raises."""
    _check(body)
    target = await _target(ports, tenant, body)
    run_id = body.run_id if body.run_id is not None or key is None else run_id_of(key)
    call = await ports.ask(_checked, target, tenant, run_id, body)
    return await ports.engine.record(
        target,
        call.run_id,
        body.seed,
        body.inputs,
        tenant=tenant,
        queue=body.queue,
        priority=body.priority,
        agent_id=body.agent_id,
        source=body.source,
        policy=body.policy,
    )


def _check(body: StartBody) -> None:
    problems: list[Problem] = []
    if body.run_id is not None:
        problems += _problems("/run_id", check_run_id, body.run_id)
    problems += _problems("/seed", check_seed, body.seed)
    problems += _problems("/queue", check_queue, body.queue)
    if body.policy is not None:
        problems += _problems("/policy", Policy.parse, body.policy)
    if (body.spec is None) == (body.workflow is None):
        problems.append(Problem("", "either spec or workflow must be given, and not both", "give one of them"))
    elif body.version is not None and body.workflow is None:
        problems.append(Problem("/version", "version goes with workflow; a spec has its own", "remove it"))
    if body.workflow is not None:
        name = body.workflow if body.version is None else f"{body.workflow}#{body.version}"
        problems += _problems("/workflow", parse_name, name)
    if problems:
        raise InvalidError(first_in_order(problems, body.model_dump(exclude_unset=True)))


async def _target(ports: Ports, tenant: str, body: StartBody) -> Target:
    if body.workflow is not None:
        name = body.workflow if body.version is None else f"{body.workflow}#{body.version}"
        return await ports.engine.named(name, tenant)
    try:
        return await ports.ask(WorkflowSpec.parse, body.spec)
    except SpecError as error:
        raise SpecError([p._replace(pointer=f"/spec{p.pointer}") for p in error.problems]) from None


def _checked(target: Target, tenant: str, run_id: str | None, body: StartBody) -> RunStarted:
    """The run's first event, as the engine will make it: what is refused is refused here, off the event loop."""
    try:
        return first_event(
            target,
            run_id,
            body.seed,
            body.inputs,
            body.agent_id,
            tenant,
            queue=body.queue,
            priority=body.priority,
            source=body.source,
            skills=None,
            limits=Limits(),
            at=0,
        )
    except CallError as error:  # All else is checked above: it speaks of the inputs.
        raise CallError([p if p.pointer else p._replace(pointer="/inputs") for p in error.problems]) from None


def _problems(pointer: str, check: Callable[[Any], object], value: object) -> list[Problem]:
    try:
        check(value)
    except InvalidError as error:
        return [problem._replace(pointer=pointer + problem.pointer) for problem in error.problems]
    return []
