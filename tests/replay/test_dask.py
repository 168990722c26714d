"""A job on a `dask.distributed` cluster of two processes comes to what the processes of one machine come to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from refold import open_store
from refold.tests.cli.driver import COMMAND
from refold.tests.support.projected import fill

MODULE = "refold.tests.support.fleet_skills"

_PYTHON = [sys.executable, "-P", "-m"]
_ENVIRONMENT = {**os.environ, "DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two worker processes, all of them real."""
    log = tmp_path / "scheduler.log"
    with log.open("wb") as told:
        words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        scheduler = subprocess.Popen([*_PYTHON, *words], stdout=subprocess.PIPE, stderr=told, env=_ENVIRONMENT)
    processes = [scheduler]
    try:
        address = _address(log, scheduler)
        for number in range(2):
            words = ["distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "2"]
            words += ["--local-directory", str(tmp_path / f"worker-{number}")]
            worker = subprocess.Popen([*_PYTHON, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            processes.append(worker)
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _address(log: Path, scheduler: subprocess.Popen[bytes]) -> str:
    while scheduler.poll() is None:
        found = re.search(r"tcp://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.02)
    pytest.fail(f"the scheduler has ended: {log.read_text()}")


def replayed(folder: Path, name: str, *words: str) -> dict[str, object]:
    """The body of the certificate of a job over all runs."""
    command = [*COMMAND, "replay", "--all", "--skills", MODULE, "--database", f"sqlite:///{folder}/fleet.db"]
    done = subprocess.run([*command, "--certificate", name, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / name).read_text())["body"]


async def test_a_cluster_gives_the_same_certificate_as_the_processes_of_one_machine(
    cluster: str, tmp_path: Path
) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/fleet.db")) as store:
        await fill(store, 220, 3)
    there = replayed(tmp_path, "there.json", "--on", cluster)
    assert there == replayed(tmp_path, "here.json", "--workers", "2")
    assert there["chunks"] == 3


def test_a_cluster_that_does_not_answer_is_said_to_be_unreachable(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/fleet.db")):
        pass
    impatient = "from refold.ops import cli, fleet_dask; fleet_dask.CONNECT_SECONDS = 1; cli.main()"
    words = ["verify", "--all", "--database", f"sqlite:///{tmp_path}/fleet.db", "--on", "tcp://127.0.0.1:9"]
    command = [sys.executable, "-P", "-c", impatient, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 5 and "no cluster answers at tcp://127.0.0.1:9" in done.stderr, done.stderr


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError")
    with closing(open_store(f"sqlite:///{tmp_path}/fleet.db")):
        pass
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from refold.ops.cli import main; main()"
    words = ["verify", "--all", "--database", f"sqlite:///{tmp_path}/fleet.db", "--on", "tcp://127.0.0.1:9"]
    done = subprocess.run([sys.executable, "-P", "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 2 and 'pip install "refold[dask]"' in done.stderr, done.stderr
