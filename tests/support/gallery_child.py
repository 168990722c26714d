"""A process that runs an example of the gallery until its log holds so many events, and then kills itself.

python -m refold.tests.support.gallery_child URL FILE WORKFLOW RUN_ID INPUTS EVENTS
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from refold import SkillRegistry, WorkflowEngine
from refold.core.events import Event


async def run(url: str, file: str, workflow: str, run_id: str, inputs: str, events: int) -> None:
    """Run the workflow; event number `events` of the run is the last thing that this process sees."""

    def observe(stream: str, version: int, event: Event) -> None:
        if stream == f"default/{run_id}" and version >= events:
            os.kill(os.getpid(), signal.SIGKILL)

    skills = SkillRegistry()
    skills.load_module(file)
    async with WorkflowEngine(url, skills, observer=observe) as engine:
        await engine.run(workflow, run_id, inputs=json.loads(inputs))


if __name__ == "__main__":
    _, *words, last = sys.argv
    url, file, workflow, run_id, inputs = words
    asyncio.run(run(url, file, workflow, run_id, inputs, int(last)))
