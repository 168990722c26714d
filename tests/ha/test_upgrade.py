"""Workers with old code and workers with new code side by side: every run ends, on code that can go on with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from refold import WorkflowEngine
from refold.core.results import result_of
from refold.core.state import fold
from refold.replay.verify import verify_run
from refold.tests.support.replicated import refold
from refold.tests.support.workflows import events_of

PATIENCE_SECONDS = 90

OLD = """
from refold import call, wait_signal, workflow

@workflow("order", version="1")
async def order(item: str = "lamp") -> dict:
    taken = await call("echo", item=item)
    return {"taken": taken, "paid": await wait_signal("paid"), "by": "old code"}
"""

NEW = """
from refold import call, patched, wait_signal, workflow

@workflow("order", version="2")
async def order(item: str = "lamp") -> dict:
    taken = await call("echo", item=item)
    if patched("checked"):
        await call("hash", of=item)
    return {"taken": taken, "paid": await wait_signal("paid"), "by": "new code"}
"""


async def test_old_and_new_workers_side_by_side_end_every_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    for name, code in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shop.py").write_text(code)
    async with WorkflowEngine(url) as client:

        async def ended(run_id: str) -> str:
            """Which code ended it."""
            await client.signal(run_id, "paid", {})
            await wait(lambda: events_of(client.store, run_id)[-1].topic == "run.completed")
            return result_of(fold(events_of(client.store, run_id))).output["by"]

        async def begun(run_id: str, version: str) -> None:
            await client.start(f"order#{version}", run_id)
            await wait(lambda: len(events_of(client.store, run_id)) > 1)

        # Each worker is pinned to the versions that its code knows: so nothing new comes to old code.
        with worker(url, tmp_path / "old", "order=1") as old:
            await begun("a", "1")
            checked = refold(url, "deploy-check", "--skills", "shop.py", folder=tmp_path / "new")
            assert checked.returncode == 0, checked.stdout
            with worker(url, tmp_path / "new", "order=1", "order=2"):
                await begun("b", "2")
                assert await ended("b") == "new code", "old code never goes on with what new code began"
                old.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(old.wait, PATIENCE_SECONDS) == 0
                assert await ended("a") == "new code", "new code goes on with what old code began"
        assert all(verify_run(client.store, run_id).ok for run_id in "ab")


@contextmanager
def worker(url: str, code: Path, *pins: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process with the code of a folder."""
    pinned = [word for pin in pins for word in ("--pin", pin)]
    command = [sys.executable, "-P", "-m", "refold", "worker", "--skills", "shop.py", *pinned]
    environment = {**os.environ, "REFOLD_DATABASE_URL": url}
    with subprocess.Popen(command, cwd=code, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def wait(holds: Callable[[], bool]) -> None:
    """Until it holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.05)
