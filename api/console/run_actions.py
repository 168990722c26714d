"""What is done to a run from its page. A form that is sent twice does it once: it carries a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import uuid_utils
from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.changes import read_changes
from ...core.documents import parse_json
from ...core.errors import CallError, InvalidError, Problem, RefoldError, RunNotFoundError
from ...core.ids import check_run_id, check_signal
from ...core.runtime.admission import MAX_REASON
from ..callers import Caller, Runner
from ..ports import Given, Ports
from ..problems import problem_of
from .forms import Form, form_of
from .pages import page
from .run_model import run_model
from .words import segment

router = APIRouter(prefix="/runs/{run_id}", include_in_schema=False)
"""The forms of a run's page."""

_Key = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]


class ActionForm(Form):
    """`key` makes a repeated form the same one."""

    key: _Key


class SignalForm(ActionForm):
    """A signal, its payload as JSON."""

    name: str = ""
    payload: str | None = None


class ReasonForm(ActionForm):
    """Why."""

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class CancelForm(ReasonForm):
    """With `force` at once."""

    force: str | None = None


class ForkForm(ActionForm):
    """Where, and with which changes: a line each, POINTER = JSON."""

    from_step: str | None = None
    changes: str = ""


@router.post("/signal")
async def signal(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Send a signal."""
    form = await form_of(request, caller, SignalForm)

    async def send() -> None:
        payload = None if form.payload is None else parse_json(form.payload.encode("utf-8", "surrogatepass"))
        await ports.engine.signal(run_id, check_signal(form.name), payload, key=form.key, tenant=caller.tenant)

    return await _done(request, run_id, ports, caller, "signal", send)


@router.post("/pause")
async def pause(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Pause."""
    form = await form_of(request, caller, ReasonForm)

    async def send() -> None:
        await ports.engine.pause(run_id, form.reason, key=form.key, tenant=caller.tenant)

    return await _done(request, run_id, ports, caller, "pause", send)


@router.post("/resume")
async def resume(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Resume."""
    form = await form_of(request, caller, ActionForm)

    async def send() -> None:
        await ports.engine.unpause(run_id, key=form.key, tenant=caller.tenant)

    return await _done(request, run_id, ports, caller, "resume", send)


@router.post("/cancel")
async def cancel(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Cancel."""
    form = await form_of(request, caller, CancelForm)

    async def send() -> None:
        force = form.force is not None
        await ports.engine.cancel(run_id, form.reason, force=force, key=form.key, tenant=caller.tenant)

    return await _done(request, run_id, ports, caller, "cancel", send)


@router.post("/fork")
async def fork(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Fork, as the form's key."""
    form = await form_of(request, caller, ForkForm)

    async def make() -> str:
        changes = _changes(form.changes)
        return (
            await ports.engine.fork(
                run_id,
                from_step=form.from_step,
                changes=changes,
                new_id=check_run_id(form.key),
                by=caller.name,
                tenant=caller.tenant,
            )
        ).run_id

    return await _done(request, run_id, ports, caller, "fork", make)


@router.post("/retry")
async def retry(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Retry, as the form's key."""
    form = await form_of(request, caller, ActionForm)

    async def make() -> str:
        new_id = check_run_id(form.key)
        return (await ports.engine.retry(run_id, new_id=new_id, by=caller.name, tenant=caller.tenant)).run_id

    return await _done(request, run_id, ports, caller, "retry", make)


def fresh_key() -> str:
    """A key for a form, which is also the id of the run that it makes."""
    return str(uuid_utils.uuid7())


async def _done(
    request: Request, run_id: str, ports: Ports, caller: Caller, what: str, act: Callable[[], Awaitable[str | None]]
) -> Response:
    """Do it and lead to the run that shows it; what is refused is told on the page that the form was on."""
    try:
        shown = await act() or run_id
    except RunNotFoundError:
        raise
    except RefoldError as error:
        answered = problem_of(error)
        if answered.status_code >= 500:
            raise
        model = await ports.ask(run_model, ports.store, run_id, caller, 0, 0)
        model |= {"notice": {"kind": "refused", "text": str(error)}, "form_key": fresh_key()}
        return await page(request, ports, caller, "run.html", model, answered.status_code)
    return Response(status_code=303, headers={"location": f"/runs/{segment(shown)}?done={what}"})


def _changes(text: str) -> dict[str, Any]:
    """The values by pointer. Raises InvalidError."""
    changes: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        pointer, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise CallError(Problem("", f"the change {line[:60]!a} gives no value", "write /inputs/x = 1"))
        if pointer in changes:
            raise CallError(Problem(pointer, "it is given twice", "give it once"))
        try:
            changes[pointer] = parse_json(value.encode("utf-8", "surrogatepass"))
        except InvalidError as error:
            raise InvalidError([p._replace(pointer=f"{pointer}{p.pointer}") for p in error.problems]) from None
    read_changes(changes)
    return changes
