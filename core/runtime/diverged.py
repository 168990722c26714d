"""A step that was executed again and came out otherwise: what differs, of which class it is, and where to look."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..canonical import Payload
from ..differences import Place, places, told
from ..divergence import VOLATILE_FIELDS, DivergenceKind, only_volatile
from ..errors import ReplayDivergenceError
from ..events import StepCompleted, StepFailed
from .skill import Skill

_MOST = 20
_YEAR = 366 * 86_400

_CAUSES: dict[DivergenceKind, str] = {
    "VOLATILE_LEAK": "the time of day, a duration or the place where it ran has found its way into the output",
    "UNSEEDED_RANDOMNESS": "the skill draws random numbers that do not come from `ctx.seed`, or depends on the order "
    "of a set or of threads: run twice, it gave two answers",
    "CODE_CHANGE": "the skill's code, or what it reads, was changed since: run twice, it gave the same new answer",
}
_ADVICE: dict[DivergenceKind, str] = {
    "VOLATILE_LEAK": "leave it out of the output, or declare the skill deterministic=False: its outputs are then "
    "recorded, and served in a replay",
    "UNSEEDED_RANDOMNESS": "seed the generator with `ctx.seed`, or declare the skill deterministic=False",
    "CODE_CHANGE": "bring the old behaviour back, or give the changed skill another name and let open runs end first",
}


class Came(NamedTuple):
    """What came of a step: its output, or None and the code that it failed with."""

    output: Payload | None
    error_code: str | None
    step_hash: str | None

    @property
    def text(self) -> str:
        """In short."""
        if self.output is None:
            return f"failed {self.error_code}" if self.error_code else "no outcome"
        text = self.output.data.decode()
        return text if len(text) <= 200 else text[:197] + "..."

    @property
    def hashed(self) -> str:
        """In short, with the hash."""
        return self.text if self.output is None else f"{self.text} (hash {(self.step_hash or '')[:16]})"


def step_diverged(
    number: int, event: StepCompleted | StepFailed, skill: Skill[..., Any] | None, now: Came, again: Came
) -> ReplayDivergenceError:
    """The error for a step whose recorded outcome is event `number`, and that gave `now`, and run once more `again`."""
    then = Came(getattr(event, "output", None), getattr(event, "error_code", None), event.step_hash)
    found = _found(then, now)
    kind = _kind(then, now, again, found, event.at)
    shown = [told(place) for place in found]
    message = (
        f"step {event.step_id!r} (index {event.index}, skill {event.skill_id!r}) recorded {then.hashed} "
        f"and now gives {now.hashed}"
    )
    details = {
        "event": number,
        "topic": event.topic,
        "index": event.index,
        "step_id": event.step_id,
        "skill_id": event.skill_id,
        "recorded": then.text,
        "now": now.text,
        "recorded_hash": then.step_hash,
        "now_hash": now.step_hash,
        "differences": [{"pointer": each.pointer, "recorded": each.left, "now": each.right} for each in shown],
        "place": None if skill is None else _place(skill),
        "kind": kind,
        "cause": _CAUSES[kind],
        "fix": _ADVICE[kind],
    }
    return ReplayDivergenceError(message, details)


def _found(then: Came, now: Came) -> list[Place]:
    if then.output is None or now.output is None:
        return [Place((), then.text, now.text)]
    return list(islice(places(then.output.value, now.output.value), _MOST))


def _kind(then: Came, now: Came, again: Came, found: Sequence[Place], at: int) -> DivergenceKind:
    """What gives the same new answer twice was changed; what does not is moved by the clock or by chance."""
    if again == now:
        return "CODE_CHANGE"
    if then.output is None or now.output is None:
        return "UNSEEDED_RANDOMNESS"
    volatile = _is_clock(found, at) or only_volatile(then.output.value, now.output.value, VOLATILE_FIELDS)
    return "VOLATILE_LEAK" if volatile else "UNSEEDED_RANDOMNESS"


def _is_clock(found: Sequence[Place], at: int) -> bool:
    """Whether all that differs are numbers that grow and may be the time when they were recorded, in seconds to
    nanoseconds since the epoch, within a year."""
    seconds = at / 1_000_000
    return bool(found) and all(
        isinstance(one, int | float)
        and isinstance(other, int | float)
        and one < other
        and any(abs(one / unit - seconds) < _YEAR for unit in (1, 1e3, 1e6, 1e9))
        for _, one, other in found
    )


def _place(skill: Skill[..., Any]) -> str | None:
    code = getattr(inspect.unwrap(skill.function), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"
