"""Deciding on approvals: whoever decides judges by the same rules as the run's owner, and is told at once.

The order of the inbox is what counts. A decision is judged on the run's events and on all that its inbox holds, and
appended at exactly that head of the inbox; if somebody was faster it is read and judged again. So of several who decide
at the same time those succeed, and only those, whose decision the owner will take.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from ..approval_messages import ACTIONS, KIND, ApprovalAct, Refusal, body_fault, due_messages
from ..approvals import Approval, note
from ..errors import (
    ApprovalDecidedError,
    ApprovalError,
    ApprovalNotFoundError,
    ApproverUnknownError,
    CallError,
    DelegationRefusedError,
    OwnershipLostError,
    Problem,
    StoreError,
)
from ..events import Event, MessageSent
from ..ids import check_run_id, check_tenant, inbox_of, stream_of
from ..inbox import take, verdict_on
from ..ports import Append, Head, Unit, Wake
from ..run_state import RunState
from ..state import evolve, fold
from ..step_events import StepIndex
from .admission import MAX_REASON, check_text
from .history import History
from .host import Host
from .mailbox import Mailbox
from .services import Services

_REFUSALS: dict[str, type[ApprovalError]] = {
    each.code: each
    for each in (ApprovalNotFoundError, ApprovalDecidedError, ApproverUnknownError, DelegationRefusedError)
}


class _Past(NamedTuple):
    """A run with what its inbox holds up to `head`, taken in as its owner will; `keys` says which messages came."""

    head: Head
    state: RunState
    known: dict[StepIndex, Approval]
    keys: dict[str, int]

    def take_in(self, event: Event) -> None:
        """Apply what follows from a message."""
        evolve(self.state, event)
        note(self.known, event)


class Approvals:
    """The part of an engine by which people decide, wherever their runs live."""

    def __init__(self, services: Services, history: History, host: Host, mailbox: Mailbox):
        self._services = services
        self._history = history
        self._host = host
        self._mailbox = mailbox

    async def decide(
        self,
        run_id: str,
        step_id: str | None,
        action: str,
        by: str,
        comment: str = "",
        to: str | None = None,
        *,
        key: str | None = None,
        tenant: str = "default",
    ) -> Approval:
        """Grant, reject, delegate (`to` somebody) or comment on the approval that a step of a run waits for, and return
        how it stands then. What is returned counts, whoever else decides at the same time.

        `step_id` may be None where the run has exactly one open approval. `key` makes a repeated call the same
        decision. Raises ApprovalNotFoundError, ApproverUnknownError, ApprovalDecidedError, DelegationRefusedError,
        RunNotFoundError, and CallError for what nobody could decide.
        """
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        if key is not None:
            check_text("the key", key, MAX_REASON)
        if action not in ACTIONS:
            raise CallError(Problem("", f"{action!r} is nothing to do", f"use one of {', '.join(ACTIONS)}"))
        act = ApprovalAct(step_id or "", action, by, comment, to)
        fault = body_fault(act)
        if fault is not None:
            raise CallError(Problem("", fault, "say who decides, in a name of the approval's list"))
        return await self._send(stream, step_id, act, key)

    async def list(self, run_id: str, tenant: str = "default") -> Sequence[Approval]:
        """The approvals of a run in the order in which they were asked for, with all that its inbox holds."""
        past = await self._read(stream_of(check_tenant(tenant), check_run_id(run_id)))
        return list(past.known.values())

    async def press(self, run_id: str, tenant: str = "default") -> int:
        """Send what time has brought about for a run's open approvals: escalations, reminders, the end of a deadline.

        For runs that nobody works on; an owner does it by itself. Tells how many messages that were. Doing it again, or
        at the same time, is harmless.
        """
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        past, sent = await self._read(stream), 0
        for approval in past.known.values():
            for key, act in due_messages(approval, self._services.clock.now()):
                with suppress(ApprovalError):  # Somebody else has sent it, or a person has decided.
                    await self._send(stream, approval.step_id, act, key)
                    sent += 1
        return sent

    async def _send(self, stream: str, step_id: str | None, act: ApprovalAct, key: str | None) -> Approval:
        name = key or uuid.uuid4().hex
        while True:
            past = await self._read(stream)
            found = _chosen(past, step_id, any_state=name in past.keys)
            if name in past.keys:
                return found
            at = self._services.clock.now()
            act = act._replace(step_id=found.step_id)
            message = MessageSent(at, KIND, name, "", "", act.payload())
            if found.standing != "open":
                raise ApprovalDecidedError(f"the approval of step {found.step_id!r} is {found.standing} already")
            version = past.head.version + 1
            verdict = verdict_on(past.state, at, version, message)
            if isinstance(verdict, Refusal):
                raise _error(verdict)
            unit = Unit((Append(inbox_of(stream), past.head, (message,)),), (Wake(stream),))
            try:
                await self._services.journal.commit(unit)
            except OwnershipLostError:
                continue  # Somebody else's message came first: perhaps it decides.
            past.take_in(verdict)
            await self._have_taken(stream, version)
            return past.known[found.requested.index]

    async def _read(self, stream: str) -> _Past:
        """The run as its events and its inbox say together."""
        while True:
            head = await self._history.inbox_head(stream)
            events, _ = await self._history.whole(stream)
            messages = [each for each in await self._history.messages(stream, 0) if each[0] <= head.version]
            known: dict[StepIndex, Approval] = {}
            for event in events:
                note(known, event)
            past = _Past(head, fold(events), known, {sent.key: version for version, sent in messages})
            if past.state.taken > head.version:
                continue  # More has come, and was taken, since the head was read.
            for version, message in messages[past.state.taken :]:
                if past.state.end is None:
                    past.take_in(take(past.state, self._services.clock.now(), version, message))
            return past

    async def _have_taken(self, stream: str, version: int) -> None:
        """Have the decision recorded now, where the run lives here or nobody holds it. It counts in any case."""
        actor = self._host.actor(stream)
        with suppress(StoreError):
            if actor is None:
                await self._host.enter(stream, lambda: self._mailbox.take_for(stream))
            else:
                await self._host.deliver_inbox(actor)
                await actor.taken(version)


def _chosen(past: _Past, step_id: str | None, *, any_state: bool) -> Approval:
    """The approval of that step, or the only one that is open. Raises ApprovalNotFoundError, CallError."""
    run_id = past.state.started.run_id
    if step_id is not None:
        found = next((each for each in past.known.values() if each.step_id == step_id), None)
        if found is not None:
            return found
        known = ", ".join(each.step_id for each in list(past.known.values())[:20]) or "none"
        raise ApprovalNotFoundError(f"step {step_id!r} of run {run_id} waits for nobody; those that do or did: {known}")
    open_ = [each for each in past.known.values() if each.standing == "open"]
    if len(open_) > 1:
        names = ", ".join(each.step_id for each in open_[:20])
        raise CallError(Problem("", f"run {run_id} has {len(open_)} open approvals", f"name the step: {names}"))
    if open_:
        return open_[0]
    decided = list(past.known.values())
    if not decided:
        raise ApprovalNotFoundError(f"run {run_id} has no approval, nor had it one")
    if len(decided) > 1 and not any_state:
        raise ApprovalDecidedError(f"run {run_id} has no open approval: all {len(decided)} are decided")
    return decided[-1]


def _error(refusal: Refusal) -> Exception:
    kind = _REFUSALS.get(refusal.code)
    return CallError(Problem("", refusal.reason)) if kind is None else kind(refusal.reason)
