"""What workflow functions call: steps by name, waits, children, branches, and everything else that must replay.

Each works inside a function decorated with `@workflow` only, and raises CallError elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, NoReturn, TypeVar, cast
from uuid import UUID

from ...canonical import Payload
from ...durations import Duration, seconds_of
from ...errors import CallError, NotCanonicalError, Problem
from ...hashing import sha256_hex
from ...ids import check_run_id, check_signal
from ...retry import Retry
from ...seeds import unit_interval
from ...skills import approval as approving
from ...skills import children, waiting
from ..payloads import payload_of, sealed_payload_of
from ..skill import Skill
from .command import Command, Gather, as_branch
from .workflow import Workflow
from .workspace import ContinueAsNew, workspace

T = TypeVar("T")


def call(
    skill: Skill[..., Any] | str,
    /,
    *,
    timeout: Duration | None = None,
    retry: Retry | None = None,
    **inputs: Any,
) -> Command[Any]:
    """A step of a skill, also one that is known by name only, with inputs by name.

    `timeout` and `retry` stand in the place of what the skill declares. Raises CallError for what is no JSON. A name
    that is not registered here parks the run.
    """
    here = workspace("call()")
    found = here.find(skill) if isinstance(skill, str) else skill
    try:
        payload, marks = sealed_payload_of(inputs)
    except NotCanonicalError as error:
        raise _refused(f"skill {found.skill_id!r}, input ", error) from error
    command: Command[Any] = here.command(found, payload, marks)
    limit = None if timeout is None else seconds_of(timeout)
    return replace(command, timeout_seconds=limit, retry=retry)


def sleep(duration: Duration) -> Command[None]:
    """Wait durably, without occupying anything: `await sleep("2d")`. Ten years at most."""
    here = workspace("sleep()")
    command = here.command(waiting.sleep, _payload("", {"seconds": seconds_of(duration)}))
    return replace(command, reader=_nothing)


def wait_signal(name: str, timeout: Duration | None = None) -> Command[Any]:
    """Wait for the signal `name` and return its payload; after `timeout` raise StepTimeoutError (a TimeoutError)."""
    here = workspace("wait_signal()")
    inputs: dict[str, Any] = {"name": check_signal(name)}
    if timeout is not None:
        inputs["timeout_seconds"] = seconds_of(timeout)
    return here.command(waiting.wait_signal, _payload("", inputs))


def approval(
    reason: str,
    approvers: Sequence[str],
    *,
    quorum: int = 1,
    timeout: Duration | None = None,
    escalation: Sequence[Mapping[str, Any]] = (),
    remind_every: Duration | None = None,
    details: Any = None,
) -> Command[dict[str, Any]]:
    """Wait until `quorum` of `approvers` have granted what `reason` says, and return `approved`, `by` and `comments`.

    A rejection raises StepFailedError APPROVAL_REJECTED; after `timeout` StepTimeoutError APPROVAL_EXPIRED is raised.
    Each of `escalation` (`{"after_seconds": 3600, "to": ["boss"], "note": "…"}`) adds approvers when nobody has
    decided by then. `details` is any JSON that they are shown.
    """
    here = workspace("approval()")
    wanted: dict[str, Any] = {"reason": reason, "approvers": list(approvers), "quorum": quorum}
    if timeout is not None:
        wanted["timeout_seconds"] = seconds_of(timeout)
    if escalation:
        wanted["escalation"] = [dict(each) for each in escalation]
    if remind_every is not None:
        wanted["remind_every_seconds"] = seconds_of(remind_every)
    if details is not None:
        wanted["details"] = details
    return here.command(approving.approval, _payload("approval(), ", wanted))


def run_workflow(
    target: Workflow[..., Any] | Mapping[str, Any] | str,
    inputs: Mapping[str, Any] | None = None,
    *,
    run_id: str | None = None,
    version: str | None = None,
    detached: bool = False,
    timeout: Duration | None = None,
    queue: str | None = None,
) -> Command[Any]:
    """Start a child run of a workflow, a spec, or either by name, and return its output when it has ended.

    Its id follows from this run's unless `run_id` is given; one that is taken fails the step. A child that does not
    complete raises StepFailedError CHILD_FAILED; after `timeout` it is cancelled and StepTimeoutError raised.
    Cancelling this run cancels it. With `detached` it goes its own way, and its run id is returned at once.
    """
    here = workspace("run_workflow()")
    wanted: dict[str, Any] = {"inputs": dict(inputs or {})}
    if isinstance(target, Workflow):
        wanted.update(workflow=target.workflow_type, version=target.version)
    elif isinstance(target, str):
        wanted.update(workflow=target, version=version)
    else:
        wanted["spec"] = dict(target)
    options = {
        "run_id": None if run_id is None else check_run_id(run_id),
        "timeout_seconds": None if timeout is None else seconds_of(timeout),
        "queue": queue,
        "detached": detached or None,
    }
    wanted.update({name: value for name, value in options.items() if value is not None})
    if wanted.get("version", "") is None:
        del wanted["version"]
    command = here.command(children.run_workflow, _payload("run_workflow, ", wanted))
    if detached:
        return replace(command, reader=_run_id_of)
    return replace(command, reader=target.reader) if isinstance(target, Workflow) else command


def gather(*awaitables: Awaitable[T]) -> Awaitable[list[T]]:
    """Await steps and coroutines side by side; their values come in the order of the arguments.

    Waits for all of them, then raises the error of the first that failed, if any did.
    """
    workspace("gather()").check_asked()
    return Gather(tuple(as_branch(awaitable) for awaitable in awaitables))


def now() -> datetime:
    """The time of the event that is being processed, in UTC: it replays, and never goes back."""
    at = workspace("now()").now
    return datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000)


def random() -> float:
    """A number in [0, 1) that follows from the run's seed and the place of the call: it replays."""
    return unit_interval(workspace("random()").draw())


def uuid() -> UUID:
    """A UUID (RFC 9562, version 8) that follows from the run and the place of the call: it replays."""
    here = workspace("uuid()")
    digest = bytearray.fromhex(sha256_hex(f"{here.run_id}:{here.draw()}".encode())[:32])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))


def patched(patch: str) -> bool:
    """Whether to take a new way through changed code: True for runs that come here first with it.

    Runs that passed this place under older code take the old way for good.
    """
    if not isinstance(cast(object, patch), str) or not 0 < len(patch) <= 200:
        raise CallError(Problem("", "a patch is named by a text of 1 to 200 characters", "name it after the change"))
    return workspace("patched()").patched(patch)


def set_attribute(name: str, value: str | int | float | bool | None) -> None:
    """Give the run an attribute by which it can be found; None takes it away."""
    check_signal(name)
    if not isinstance(cast(object, value), str | int | float | bool | None):
        reason = f"the attribute {name!r} is of type {type(value).__name__}"
        raise CallError(Problem("", reason, "use text, a number, true, false or None"))
    workspace("set_attribute()").set_attributes({name: value})


def set_query(name: str, handler: Callable[..., Any]) -> None:
    """Answer the query `name` with what `handler` returns; it may look at the function's variables, and change none."""
    if iscoroutinefunction(handler):
        raise CallError(Problem("", f"the query {name!r} is answered by an async function", "write it with def"))
    workspace("set_query()").answer(check_signal(name), handler)


def continue_as_new(**inputs: Any) -> NoReturn:
    """End this run by having its work continued by a new run of the same workflow with these inputs.

    For functions that go on for ever: the new run begins with an empty history. Signals that nothing has used go along.
    Raises CallError for inputs that the function does not take.
    """
    raise ContinueAsNew(workspace("continue_as_new()").continuing(inputs))


def _payload(what: str, value: Mapping[str, Any]) -> Payload:
    try:
        return payload_of(dict(value))
    except NotCanonicalError as error:
        raise _refused(what, error) from error


def _refused(what: str, error: NotCanonicalError) -> CallError:
    return CallError([p._replace(reason=what + p.reason) for p in error.problems])


def _nothing(payload: Payload) -> None:
    return None


def _run_id_of(payload: Payload) -> str:
    return payload.value["run_id"]
