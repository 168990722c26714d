"""Plans of planners that are not trusted: judged by the sandbox before anything of them runs."""

from __future__ import annotations

import asyncio

from ..decision import run_failed
from ..events import RunFailed, RunStarted
from ..sandbox.planner import PlannerSandbox
from ..state import start

REJECTED = "SANDBOX_REJECTED"
"""The failure code of a plan that the sandbox refuses."""

_TOLD = 5


class Judge:
    """Has plans judged. A function's own code is nobody's plan."""

    def __init__(self, sandbox: PlannerSandbox | None = None):
        self.sandbox = sandbox or PlannerSandbox()

    async def refusal(self, started: RunStarted) -> RunFailed | None:
        """The event that ends the run at once, None if it may run."""
        if started.spec is None:
            return None
        spec = started.spec.value
        if started.inputs.value:
            # What is laid over the spec's inputs may come from the planner too.
            spec = {**spec, "inputs": started.inputs.value}
        report = await asyncio.to_thread(self.sandbox.validate, spec)
        if report.valid:
            return None
        told = [f"{found.rule} at {found.pointer or '/'}: {found.why}" for found in report.violations[:_TOLD]]
        more = len(report.violations) - len(told)
        reason = "; ".join(told) + (f"; and {more} more" if more > 0 else "")
        return run_failed(start(started), started.at, None, REJECTED, reason)
