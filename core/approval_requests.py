"""What can be asked of people: the request that a skill makes, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from .canonical import Payload
from .durations import MAX_SECONDS
from .errors import NotCanonicalError

MAX_NAME = 200
"""Characters of a name."""

MAX_NAMES = 100
"""Names in one list."""

MAX_TEXT = 2_000
"""Characters of a reason, comment or note."""

MAX_ESCALATIONS = 20
"""Escalations of one approval."""

MIN_REMIND_SECONDS = 1.0
"""The shortest time between reminders."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """When nobody has decided after so many seconds, the people `to` may decide as well."""

    after_seconds: float
    to: Sequence[str]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As events hold it."""
        return {"after_seconds": self.after_seconds, "to": list(self.to), "note": self.note}


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What people are asked: to have `quorum` of `approvers` grant what `reason` says.

    `details` is any JSON that they are shown. Reminders are events for whoever notifies people.
    """

    reason: str
    approvers: Sequence[str]
    quorum: int = 1
    escalation: Sequence[Escalation] = ()
    remind_every_seconds: float | None = None
    details: Any = None


def fault_of(request: ApprovalRequest, seconds: float | None = None) -> str | None:
    """What is wrong with a request whose deadline comes after `seconds`, None for a good one. Skills make them, and may
    put anything in."""
    return (
        _text_fault("reason", request.reason, empty=False)
        or _names_fault("approvers", request.approvers)
        or _quorum_fault(request.quorum, len(request.approvers))
        or _escalation_fault(request.escalation, seconds)
        or _reminder_fault(request.remind_every_seconds)
        or _details_fault(request.details)
    )


def name_fault(what: str, name: object) -> str | None:
    """What is wrong with a person's name, None for a good one."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return f"{what}: a name is a text of 1 to {MAX_NAME} characters"
    if not name.isprintable() or name != name.strip():
        return f"{what}: the name {ascii(name)[:60]} has control characters, or spaces around it"
    return None


def text_fault(what: str, text: object) -> str | None:
    """What is wrong with a comment, None for a good one; it may be empty."""
    return _text_fault(what, text, empty=True)


def _text_fault(what: str, text: object, *, empty: bool) -> str | None:
    if not isinstance(text, str) or len(text) > MAX_TEXT or (not empty and not text.strip()):
        return f"{what}: wanted a text of {0 if empty else 1} to {MAX_TEXT} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{what}: the text holds what UTF-8 cannot express"
    return None


def _names_fault(what: str, names: object) -> str | None:
    listed = cast("Sequence[object]", names) if isinstance(names, list | tuple) else ()
    if not 0 < len(listed) <= MAX_NAMES:
        return f"{what}: wanted a list of 1 to {MAX_NAMES} names"
    for place, name in enumerate(listed):
        fault = name_fault(f"{what}/{place}", name)
        if fault is not None:
            return fault
    if len(set(listed)) < len(listed):
        return f"{what}: somebody is named twice"
    return None


def _quorum_fault(quorum: object, approvers: int) -> str | None:
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= approvers:
        return f"quorum: wanted 1 to {approvers}, the number of approvers"
    return None


def _escalation_fault(escalation: object, seconds: float | None) -> str | None:
    if not isinstance(escalation, list | tuple) or len(cast("Sequence[object]", escalation)) > MAX_ESCALATIONS:
        return f"escalation: wanted a list of at most {MAX_ESCALATIONS}"
    before = 0.0
    for place, each in enumerate(cast("Sequence[object]", escalation)):
        where = f"escalation/{place}"
        if not isinstance(each, Escalation):
            return f"{where}: wanted after_seconds, to and perhaps a note"
        after: object = each.after_seconds
        if not _is_number(after) or not before < each.after_seconds <= MAX_SECONDS:
            return f"{where}/after_seconds: wanted more than {before:g}, at most {MAX_SECONDS}"
        if seconds is not None and each.after_seconds >= seconds:
            return f"{where}/after_seconds: it would come after the deadline of {seconds:g} s"
        before = each.after_seconds
        fault = _names_fault(f"{where}/to", each.to) or text_fault(f"{where}/note", each.note)
        if fault is not None:
            return fault
    return None


def _reminder_fault(seconds: object) -> str | None:
    if seconds is None:
        return None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return "remind_every_seconds: wanted a number"
    if not MIN_REMIND_SECONDS <= seconds <= MAX_SECONDS:
        return f"remind_every_seconds: wanted {MIN_REMIND_SECONDS:g} to {MAX_SECONDS}"
    return None


def _details_fault(details: object) -> str | None:
    try:
        Payload.of(details)
    except NotCanonicalError as error:
        return f"details: {error}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
