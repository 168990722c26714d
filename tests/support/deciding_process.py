"""A process that decides: `python -P -m refold.tests.support.deciding_process URL RUN NAME…`.

It says that it is ready, waits for a line, decides once in each name, one after the other, and prints for each what
came of it: how the approval stands, or the code of the refusal.
"""

from __future__ import annotations

import asyncio
import json
import sys

from refold import RefoldError, WorkflowEngine


async def main(url: str, run_id: str, names: list[str]) -> None:
    """Decide as told."""
    async with WorkflowEngine(url) as engine:
        await engine.approvals.list(run_id)  # so that all that takes time the first time has been done
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        told: list[str] = []
        for name in names:
            try:
                told.append((await engine.approvals.decide(run_id, "ask", "grant", name)).standing)
            except RefoldError as error:
                told.append(error.code)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
