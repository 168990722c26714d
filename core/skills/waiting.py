"""Skills that let time pass."""

from __future__ import annotations

import asyncio

from ..errors import StepError
from ..runtime.skill import skill

MAX_SECONDS = 86_400
"""The longest sleep: a day. It occupies a running step; what waits longer should wait for a signal or a timer."""


@skill
async def sleep(seconds: float) -> dict[str, float]:
    """Wait `seconds`, 0 to 86,400."""
    if not 0 <= seconds <= MAX_SECONDS:
        message = f"skill 'sleep': input 'seconds' is {seconds:g}, wanted 0 to {MAX_SECONDS}"
        raise StepError("SKILL_INPUT_INVALID", message, retryable=False)
    await asyncio.sleep(seconds)
    return {"slept_seconds": seconds}
