"""Telling a run something: the message is sent, and taken on the spot where nobody else would soon."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..canonical import Payload
from ..errors import CallError, EmergencyStopError, NotCanonicalError, Problem, RunEndedError, RunOwnedError
from ..events import RunContinued
from ..ids import check_signal
from ..limits import Limits
from ..run_state import RunState
from .admission import MAX_REASON, check_text
from .history import History
from .host import Host
from .mailbox import Mailbox
from .services import Services


async def tell(
    services: Services,
    history: History,
    mailbox: Mailbox,
    host: Host,
    stream: str,
    kind: str,
    reason: str,
    key: str | None,
    name: str,
    body: Payload,
) -> RunState:
    """Send a message to the run of `stream`, or to the one that continues it, and return how it stands then.

    Raises RunNotFoundError, RunEndedError, CallError for a reason or key too long.
    """
    check_text("the reason", reason, MAX_REASON)
    if key is not None:
        check_text("the key", key, MAX_REASON)
    state, _ = await history.load(await mailbox.latest(stream))
    if state.end is not None and not isinstance(state.end, RunContinued):
        if key is not None and await mailbox.sent(stream, key):
            return state  # Asked for before, and done.
        raise RunEndedError(f"run {state.started.run_id} has ended ({state.status}) and takes no more messages")
    stream, version = await mailbox.send(stream, kind, reason, key, name, body)
    actor = host.actor(stream)
    if actor is None and kind == "signal":
        return state  # Whoever works on the run takes it; with nobody there, it waits in the inbox.
    if actor is None:
        state = await host.enter(stream, lambda: mailbox.take_for(stream))
        # A function that is to clean up is driven to its end here where there are no workers to do it.
        here = not services.parks and services.skills.workflow(state.started.workflow_type) is not None
        if state.cancelling is not None and state.end is None and here:
            # It cleans up when it is resumed, or a worker that has taken it up meanwhile sees to that.
            with suppress(EmergencyStopError, RunOwnedError):
                state = await host.enter(stream, lambda: host.go_on(stream))
        return state
    await host.deliver_inbox(actor)
    await actor.taken(version)
    return (await history.load(stream))[0]


def signal_body(name: str, payload: Any, limits: Limits) -> Payload:
    """What a signal of this name carries. Raises CallError for an impossible name, and for what is no JSON."""
    check_signal(name)
    try:
        body = Payload.of(payload)
    except NotCanonicalError as error:
        raise CallError([p._replace(pointer=f"/payload{p.pointer}") for p in error.problems]) from error
    if len(body) > limits.payload_bytes:
        raise CallError(Problem("/payload", "the payload is too large", "store it elsewhere, send where"))
    return body
