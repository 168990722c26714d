"""`SyncClient` is `Client` in another dress: the same methods, and safe with threads, forks and Ctrl-C."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refold import CallError, Client, RunHandle, SyncClient, SyncRunHandle
from refold.tests.support.workflows import spec, step

ONE = spec(step("a", x=1))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.mark.parametrize(("ours", "theirs"), [(SyncClient, Client), (SyncRunHandle, RunHandle)])
def test_every_method_has_its_twin_with_the_same_parameters(ours: type, theirs: type) -> None:
    methods = {name for name in vars(theirs) if not name.startswith("_")}
    assert methods == {name for name in vars(ours) if not name.startswith("_")} - {"run_id"}
    for name in methods:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters), name
        assert one.__doc__, name


def test_many_threads_share_a_client(url: str) -> None:
    with SyncClient(url) as client, ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda number: client.start(ONE, run_id=f"r{number}").run_id, range(40)))
        assert len(client.list(limit=100).runs) == len(set(started)) == 40


def test_no_thread_is_left_after_closing(url: str) -> None:
    before = set(threading.enumerate())
    client = SyncClient(url)
    client.start(ONE)
    client.close()
    client.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(CallError, match="closed"):
        client.start(ONE)


def test_a_client_that_was_never_used_costs_no_thread(url: str) -> None:
    before = set(threading.enumerate())
    with SyncClient(url):
        assert set(threading.enumerate()) <= before


def test_after_a_fork_the_child_is_told_to_make_its_own(url: str) -> None:
    program = f"""
import os
from refold import SyncClient
client = SyncClient({url!r})
client.list()
child = os.fork()
if child == 0:
    try:
        client.list()
    except Exception as error:
        client.close()
        with SyncClient({url!r}) as own:
            print(error, len(own.list().runs), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(len(client.list().runs))
client.close()
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60)
    assert "made in another process" in done.stdout and done.stdout.endswith(" 0\n0\n"), done.stdout + done.stderr


def test_ctrl_c_ends_a_wait_for_a_result_and_the_client_goes_on(url: str) -> None:
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from refold import SyncClient
with SyncClient({url!r}) as client:
    handle = client.start({ONE!r})
    try:
        print("waits", flush=True)
        handle.result()
    except KeyboardInterrupt:
        print(handle.status(), flush=True)
"""
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "queued\n")


def test_a_client_that_nobody_closed_does_not_keep_the_process_alive(url: str) -> None:
    program = f"from refold import SyncClient; client = SyncClient({url!r}); client.list()"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
