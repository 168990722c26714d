"""Shadow simulations: real workers, real faults, and mismatches that are planted to be found."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from refold.core.webhook_signing import secret_text
from refold.ops.webhooks.telling import TRIES, tell
from refold.replay.shadow_book import LOG, PID, RECORDS, SUMMARY
from refold.tests.cli.driver import Refold, Write, start
from refold.tests.support.postgres import fresh_database
from refold.tests.support.shared_postgres import shared_server_url
from refold.tests.support.sink import sink

DRIFTING = """
import os
from refold import skill

@skill(deterministic=True, inline=True)
def drifting() -> str:
    return os.urandom(8).hex()
"""
"""A skill that says that it is deterministic."""

FEW = "chain,abort,gather"


def test_a_quick_simulation_proves_every_kind(refold: Refold, folder: Path) -> None:
    done = refold("shadow", "run", "--quick", "--folder", "kept", "--json")
    (summary,) = done.lines
    assert done.code == 0, summary["first_mismatches"]
    assert (summary["cycles"], summary["mismatches"], summary["state"]) == (3, 0, "ended")
    assert len(summary["by_kind"]) >= 9 and all(each["workflows"] >= 3 for each in summary["by_kind"].values())
    assert summary["replays"] == summary["workflows"] == summary["golden_validations"] >= 3 * len(summary["by_kind"])
    assert summary["restorations"] > 2 * summary["workflows"], "no checkpoint of a run under way was restored"
    assert json.loads((folder / "kept" / SUMMARY).read_text()) == summary
    assert [each["type"] for each in records(folder)] == ["session", "cycle", "cycle", "cycle", "end"]
    assert len(list((folder / "kept" / "goldens").glob("cycle-*/*.jsonl"))) == summary["workflows"]
    assert json.loads((folder / "kept" / PID).read_text())["pid"] == os.getpid()
    assert "mismatches: 0" in (folder / "kept" / LOG).read_text()
    sane = refold("shadow", "sanity", "--folder", "kept", "--json")
    assert (sane.code, sane.lines[-1]["failed"]) == (0, 0), sane.lines
    again = ["--quick", "--workers", "3", "--patience", "120"]
    assert refold("shadow", "status", "--folder", "kept", "--json").lines[0]["options"] == again
    assert sane.lines[0]["fix"] == shlex.join(["refold", "shadow", "run", "--folder", str(folder / "kept"), *again])
    full = refold("shadow", "debug", "full", "--folder", "kept", "--json")
    views = {each["view"] for each in full.lines}
    assert full.code == 0 and views == {"checks", "process", "cycles", "golden", "tail"}
    assert sum(each["goldens"] for each in full.lines if each["view"] == "golden") == summary["workflows"]
    next((folder / "kept" / "goldens").glob("cycle-000002/*.jsonl")).write_bytes(b"{}\n")
    assert refold("shadow", "debug", "golden", "--folder", "kept").code == 4, "an altered golden verifies"


def test_a_planted_mismatch_is_found_recorded_and_told(refold: Refold, folder: Path, write: Write) -> None:
    (folder / "drift.py").write_text(DRIFTING)
    spec = write({"step_id": "a", "skill_id": "drifting"})
    with listener([500, 200]) as (url, taken):
        done = refold("shadow", "run", "--quick", "--kinds", "chain", "--spec", spec, "--skills", "drift.py",
                      "--folder", "kept", "--webhook", url, "--json")  # fmt: skip
    (summary,) = done.lines
    assert done.code == 3
    assert summary["by_kind"]["chain"]["mismatches"] == 0 < summary["by_kind"]["own-test"]["mismatches"]
    assert set(summary["by_check"]) == {"proof", "elsewhere"}
    cycles = [each for each in records(folder) if each["type"] == "cycle"]
    found = [mismatch for cycle in cycles for mismatch in cycle["mismatches"]]
    assert {each["run_id"] for each in found} == {"own-test"} and summary["mismatches"] == len(found) == 6
    assert any("UNSEEDED_RANDOMNESS" in each["message"] for each in found), found
    assert summary["webhooks"] == {"sent": 3, "failed": 0} and len(taken) == 4
    assert taken[0]["event"] == "shadow.mismatch" and taken[0]["mismatches"] == 2
    again = refold("shadow", "debug", "replay", "own-test", "--folder", "kept", "--skills", "drift.py", "--json")
    assert again.code == 3 and again.lines[0]["proofs"]["execution"]["divergence"]["kind"] == "UNSEEDED_RANDOMNESS"
    listed = refold("shadow", "debug", "mismatches", "--folder", "kept", "--json")
    assert {(each["run_id"], each["check"]) for each in listed.lines} == {
        ("own-test", "proof"),
        ("own-test", "elsewhere"),
    }


async def test_a_server_that_is_away_is_tried_again_and_never_named() -> None:
    with listener([200]) as (url, _):
        pass
    sent = await tell(url, {}, pause_seconds=0)
    assert (sent.sent, sent.tries) == (False, TRIES) and sent.error == "WEBHOOK_UNREACHABLE"


async def test_what_a_simulation_tells_is_signed_where_there_is_a_secret() -> None:
    with sink() as receiver:
        assert (await tell(receiver.url(), {"event": "x"}, b"s" * 32)).sent
        assert (await tell(receiver.url(), {"event": "x"})).sent
        assert (await tell("https://user:secret@example.com/", {})) == (False, 0, "WEBHOOK_ADDRESS_REFUSED")
    signed, plain = receiver.taken
    assert signed.is_signed_with(secret_text(b"s" * 32)) and signed.json == {"event": "x"}
    assert "webhook-signature" not in plain.headers


def test_a_webhook_that_refuses_is_recorded_and_stops_nothing(refold: Refold, folder: Path, write: Write) -> None:
    (folder / "drift.py").write_text(DRIFTING)
    spec = write({"step_id": "a", "skill_id": "drifting"})
    with listener([404]) as (url, _):
        done = refold("shadow", "run", "--quick", "--kinds", "chain", "--spec", spec, "--skills", "drift.py",
                      "--folder", "kept", "--webhook", url, "--json")  # fmt: skip
    assert done.code == 3 and done.lines[0]["cycles"] == 3
    assert done.lines[0]["webhooks"] == {"sent": 0, "failed": 3}
    assert {each["error"] for each in records(folder) if each["type"] == "webhook"} == {"HTTP 404"}


def test_a_killed_simulation_goes_on_where_it_was(refold: Refold, folder: Path) -> None:
    words = ("shadow", "run", "--quick", "--kinds", FEW, "--folder", "kept", "--json")
    with start(*words) as process:
        until(lambda: cycles_of(folder) >= 1, "a cycle")
        assert refold(*words).code == 6, "two at a time work in one folder"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(children) >= 3
    until(lambda: not any(map(lives, children)), "the end of workers whose parent was killed")
    before = records(folder)
    with (folder / "kept" / RECORDS).open("a") as file:
        file.write('{"format":1,"type":"cyc')
    done = refold(*words)
    assert done.code == 0 and "half a record" in done.err
    assert records(folder)[: len(before)] == before
    assert [each["cycle"] for each in records(folder) if each["type"] == "cycle"] == [1, 2, 3]
    assert (done.lines[0]["cycles"], done.lines[0]["sessions"], done.lines[0]["mismatches"]) == (3, 2, 0)
    again = refold(*words)
    assert again.lines[0]["cycles"] == 6, "what had come to its end is followed by another stretch"


def test_a_stopped_simulation_ends_its_cycle_and_goes_on_later(refold: Refold, folder: Path) -> None:
    words = ("shadow", "run", "--quick", "--kinds", FEW, "--folder", "kept", "--json")
    with start(*words) as process:
        until(lambda: cycles_of(folder) >= 1, "a cycle")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert process.returncode == 0, err
    stopped = json.loads(out)
    assert stopped["state"] == json.loads((folder / "kept" / SUMMARY).read_text())["state"] == "stopped"
    assert stopped["cycles"] == cycles_of(folder) < 3
    assert refold(*words).lines[0]["cycles"] == 3


def test_workers_and_the_projector_are_killed_and_stopped_and_nothing_differs(refold: Refold, folder: Path) -> None:
    done = refold("shadow", "run", "--quick", "--kinds", FEW, "--folder", "kept", "--json",
                  "--faults", "kills,stops,projector,locks")  # fmt: skip
    assert done.code == 0, done.lines[0]["first_mismatches"]
    assert done.lines[0]["faults"] == {"kills": 3, "locks": 3, "projector": 3, "stops": 3}


def test_the_same_holds_on_postgres(refold: Refold) -> None:
    with fresh_database(shared_server_url()) as url:
        done = refold("shadow", "run", "--quick", "--kinds", FEW, "--folder", "kept", "--json", "--database", url,
                      "--faults", "kills,locks")  # fmt: skip
    assert done.code == 0, done.lines[0]["first_mismatches"]
    assert done.lines[0]["faults"] == {"kills": 3, "locks": 3}


def test_runs_that_do_not_end_are_mismatches(refold: Refold, folder: Path, write: Write) -> None:
    spec = write({"step_id": "a", "skill_id": "wait_signal", "inputs": {"name": "never"}})
    done = refold("shadow", "run", "--quick", "--kinds", "chain", "--spec", spec, "--folder", "kept", "--json",
                  "--patience", "2")  # fmt: skip
    assert done.code == 3
    cycles = [each for each in records(folder) if each["type"] == "cycle"]
    # Where much else goes on, other runs may be late too.
    late = [each["run_id"] for cycle in cycles for each in cycle["mismatches"] if each["check"] == "end"]
    assert late.count("own-test") == 3


@pytest.mark.parametrize("words", [("--kinds", "none"), ("--faults", "none"), ("--database", "memory:")])
def test_what_cannot_be_is_refused_before_anything_is_made(
    refold: Refold, folder: Path, words: tuple[str, str]
) -> None:
    assert refold("shadow", "run", "--quick", "--folder", "kept", *words).code == 2
    assert not (folder / "kept").exists()


def records(folder: Path) -> list[dict[str, Any]]:
    """The structured records."""
    return [json.loads(line) for line in (folder / "kept" / RECORDS).read_text().splitlines()]


def cycles_of(folder: Path) -> int:
    """How many cycles are recorded, while somebody may be writing one."""
    path = folder / "kept" / RECORDS
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return sum(json.loads(line)["type"] == "cycle" for line in lines)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        time.sleep(0.05)


@contextmanager
def listener(codes: list[int]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook that answers with these codes, the last one for ever, and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes[min(len(taken), len(codes)) - 1])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
        server.shutdown()
        thread.join()
