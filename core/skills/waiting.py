"""Skills that let time pass or wait for the world. They run nothing meanwhile: see `Wait`."""

from __future__ import annotations

import re

from ..errors import StepError
from ..runtime.skill import skill
from ..runtime.wait import Wait

MAX_SECONDS = 10 * 366 * 86_400
"""The longest wait: ten years."""

_NAME = re.compile(r"[A-Za-z0-9._:@~-]{1,200}")


@skill(inline=True)
def sleep(seconds: float) -> Wait:
    """Wait `seconds`, 0 to ten years; the step outputs `{"slept_seconds": seconds}`."""
    return Wait(seconds=_checked("sleep", "seconds", seconds), output={"slept_seconds": seconds})


@skill(inline=True)
def wait_signal(name: str, timeout_seconds: float | None = None) -> Wait:
    """Wait for the signal `name` and output its payload; after `timeout_seconds` fail with SIGNAL_TIMEOUT."""
    if not _NAME.fullmatch(name):
        message = "skill 'wait_signal': input 'name' must be 1 to 200 letters, digits and . _ : @ ~ -"
        raise StepError("SKILL_INPUT_INVALID", message, retryable=False)
    if timeout_seconds is not None:
        _checked("wait_signal", "timeout_seconds", timeout_seconds)
    return Wait(seconds=timeout_seconds, signal=name)


def _checked(skill_id: str, name: str, seconds: float) -> float:
    if not 0 <= seconds <= MAX_SECONDS:
        message = f"skill {skill_id!r}: input {name!r} is {seconds:g}, wanted 0 to {MAX_SECONDS}"
        raise StepError("SKILL_INPUT_INVALID", message, retryable=False)
    return seconds
