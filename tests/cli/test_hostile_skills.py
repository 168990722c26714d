"""Skills that will not end, or that end what is not theirs: the command ends, in time and with its meaning."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold, Write, start

PATIENCE_SECONDS = 30

HOSTILE = '''
import asyncio, sys, time
from refold import skill

@skill
async def stubborn() -> dict:
    """Does not end when it is cancelled."""
    open("waiting", "w").close()
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

@skill
async def sleepy() -> dict:
    """Blocks a thread of the loop's own pool."""
    await asyncio.to_thread(time.sleep, 1000)
    return {}

@skill
async def canceller() -> dict:
    """Cancels all that there is."""
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
    return {}

@skill
async def interrupter() -> dict:
    """Says that the user has stopped us."""
    raise KeyboardInterrupt

@skill
async def leaver() -> dict:
    """Wants to end the process, as if all were well."""
    sys.exit(0)
'''


@pytest.fixture(autouse=True)
def hostile(folder: Path) -> None:
    (folder / "hostile.py").write_text(HOSTILE)


@pytest.mark.parametrize("skill", ["stubborn", "sleepy"])
def test_what_does_not_end_after_its_time_is_left_behind(refold: Refold, write: Write, skill: str) -> None:
    spec = write({"step_id": "a", "skill_id": skill, "timeout_seconds": 0.2})
    with start("run", spec, "--run-id", "a", "--skills", "hostile.py", "--json") as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1, err
    assert json.loads(out.splitlines()[-1])["error_code"] == "STEP_TIMEOUT"
    assert "still alive, and left behind: " in err and "Traceback" not in err
    assert skill in err or "refold-io" in err
    assert refold("verify", "a").code == 0


def test_a_stopped_run_does_not_wait_for_a_skill_that_does_not_end(write: Write, folder: Path) -> None:
    spec = write({"step_id": "a", "skill_id": "stubborn"})
    with start("run", spec, "--run-id", "a", "--skills", "hostile.py") as process:
        wait_for(folder / "waiting")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143, err
    assert "refold resume a" in err and "left behind" in err


def test_a_drained_worker_does_not_wait_for_a_skill_that_does_not_end(
    refold: Refold, write: Write, folder: Path
) -> None:
    spec = write({"step_id": "a", "skill_id": "stubborn", "timeout_seconds": 0.2})
    assert refold("start", spec, "--run-id", "a").code == 0
    with start("worker", "--skills", "hostile.py") as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while refold("show", "a", "--json").lines[0]["status"] != "failed":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert "left behind: " in err and "is drained" in err


@pytest.mark.parametrize("skill", ["canceller", "interrupter", "leaver"])
def test_a_skill_that_ends_what_is_not_its_own_does_not_end_us_silently(
    refold: Refold, write: Write, skill: str
) -> None:
    spec = write({"step_id": "a", "skill_id": skill})
    with start("run", spec, "--run-id", "a", "--skills", "hostile.py", "--json") as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    last = json.loads(out.splitlines()[-1])
    # Either the step has failed, or the run was cut off and can be resumed.
    cut = "error" in last
    assert ("the run was cut off; go on with: refold resume a" in err) if cut else last["error_code"] is not None
    assert refold("verify", "a").code == 0
    assert refold("show", "a", "--json").lines[0]["status"] != "completed"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)
