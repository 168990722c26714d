"""Skills for workers whose traces are looked at: `refold worker --skills refold.tests.support.traced_skills`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from refold import StepContext, skill


@skill
def held(folder: str) -> int:
    """Leave the number of this process in a file of the folder; end when there is a file `go` in it."""
    place = Path(folder)
    (place / f"at-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while not (place / "go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return 1


@skill
def inside(ctx: StepContext) -> str:
    """Do something in a span of one's own, and tell where that is."""
    from opentelemetry import trace

    with trace.get_tracer("mine").start_as_current_span("my own work"):
        return ctx.traceparent or ""
