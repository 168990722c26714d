"""Code and history disagree: what was recorded, what the code asks for, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ...canonical import Payload
from ...decide_code import Fault, Finish
from ...differences import differences
from ...events import (
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepStarted,
    StepWaiting,
)
from .open_call import OpenCall

CallEvent = StepStarted | StepProgressed | StepAttemptFailed | StepWaiting | StepCompleted | StepFailed | StepReused
"""An event that speaks of a call."""

FIX = (
    "run the code that wrote this history; or keep the old way for runs that have come this far with "
    "`if patched('name-of-the-change'): new way, else: old way`; then resume the run"
)
"""What to do about it."""

_SHOWN = 10
_MOST = 20


def mismatch(
    version: int, event: CallEvent, asked: OpenCall | None, open_calls: Sequence[OpenCall], finish: Finish | None
) -> Fault | None:
    """The fault if `event`, of that number in the history, is none of what the code asks for; else None.

    `asked` is what the code awaits at the event's path, `open_calls` all that it awaits.
    """
    path = str(event.index)
    if asked is None:
        wanted, cause = _elsewhere(open_calls, finish)
        return _fault(version, event, path, wanted, cause, None, [])
    if asked.skill_id != event.skill_id:
        wanted = f"{asked.skill_id} at path {path}"
        cause = "a step was added, removed or moved before this one, or calls another skill now"
        return _fault(version, event, path, wanted, cause, asked, [])
    recorded = getattr(event, "inputs", None)
    if isinstance(recorded, Payload) and recorded.sha256 != asked.inputs.sha256:
        found = [
            {"pointer": pointer, "recorded": then, "requested": now}
            for pointer, then, now in islice(differences(recorded.value, asked.inputs.value), _MOST)
        ]
        cause = (
            "its inputs are made of something that is not recorded (a clock, a random number, the environment, the "
            "order of a set), or the code that makes them was changed"
        )
        wanted = f"{asked.skill_id} at path {path} with other inputs"
        return _fault(version, event, path, wanted, cause, asked, found)
    return None


def _elsewhere(open_calls: Sequence[OpenCall], finish: Finish | None) -> tuple[str, str]:
    if finish is not None:
        return f"nothing: it {_ended(finish)}", "steps were removed, or the function ends earlier now"
    names = [f"{call.skill_id} at path {call.index} ({call.place})" for call in open_calls[:_SHOWN]]
    if len(open_calls) > _SHOWN:
        names.append(f"{len(open_calls) - _SHOWN} more")
    wanted = ", ".join(names) or "nothing"
    return wanted, "steps were added, removed or moved, or a gather has other branches now"


def _ended(finish: Finish) -> str:
    return type(finish).__name__.lower()


def _fault(
    version: int,
    event: CallEvent,
    path: str,
    wanted: str,
    cause: str,
    asked: OpenCall | None,
    found: list[dict[str, str]],
) -> Fault:
    place = None if asked is None else asked.place
    shown = "".join(
        f"; at {each['pointer'] or '(root)'} recorded {each['recorded']}, now {each['requested']}" for each in found[:3]
    )
    message = (
        f"event {version} recorded {event.skill_id} at path {path} ({event.topic}); the code asks for {wanted}"
        f"{shown}{f' at {place}' if place else ''}. Likely cause: {cause}. What to do: {FIX}"
    )
    details = {
        "event": version,
        "topic": event.topic,
        "path": path,
        "recorded": {"skill_id": event.skill_id, "step_id": event.step_id},
        "requested": wanted,
        "differences": found,
        "place": place,
        "cause": cause,
        "fix": FIX,
    }
    return Fault("NONDETERMINISM", message, Payload.of(details))
