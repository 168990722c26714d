"""Skills that let time pass or wait for the world. They run nothing meanwhile: see `Wait`."""

from __future__ import annotations

from ..durations import MAX_SECONDS
from ..errors import CallError, Failure
from ..ids import check_signal
from ..runtime.skill import skill
from ..runtime.wait import Wait


@skill(inline=True)
def sleep(seconds: float) -> Wait:
    """Wait `seconds`, 0 to ten years; the step outputs `{"slept_seconds": seconds}`."""
    return Wait(seconds=_checked("sleep", "seconds", seconds), output={"slept_seconds": seconds})


@skill(inline=True)
def wait_signal(name: str, timeout_seconds: float | None = None) -> Wait:
    """Wait for the signal `name` and output its payload; after `timeout_seconds` fail with SIGNAL_TIMEOUT."""
    try:
        check_signal(name)
    except CallError as error:
        message = f"skill 'wait_signal': input 'name': {error}"
        raise Failure("SKILL_INPUT_INVALID", message, retryable=False) from None
    if timeout_seconds is not None:
        _checked("wait_signal", "timeout_seconds", timeout_seconds)
    return Wait(seconds=timeout_seconds, signal=name)


def _checked(skill_id: str, name: str, seconds: float) -> float:
    if not 0 <= seconds <= MAX_SECONDS:
        message = f"skill {skill_id!r}: input {name!r} is {seconds:g}, wanted 0 to {MAX_SECONDS}"
        raise Failure("SKILL_INPUT_INVALID", message, retryable=False)
    return seconds
