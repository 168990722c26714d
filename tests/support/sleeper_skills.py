"""Skills of the sleepers' worker: `refold worker --skills refold.tests.support.sleeper_skills`."""

from __future__ import annotations

import time

from refold import skill
from refold.core.runtime.wait import Wait


@skill(inline=True)
def sleep_until(at: float) -> Wait:
    """Wait until `at`, in seconds since the epoch, so that many runs wake at one moment whenever they were taken up."""
    return Wait(seconds=max(0.0, at - time.time()), output=at)
