"""Faults are planted for real: the doctor names each, and what it says is to be typed is a command, which cures it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest

from refold.compose import open_store
from refold.eventstore.outbox import EndpointRow, Lookup, NewDelivery, Outcome, Status
from refold.ops.doctor import disks
from refold.ops.doctor.patient import Patient
from refold.tests.doctor.conftest import Ask
from refold.tests.support.doctored import Seen, asked
from refold.tests.support.postgres import PostgresServer
from refold.tests.support.units import Writer

Run = Callable[..., int]

HELLO = {"workflow_type": "hello", "steps": [{"step_id": "greet", "skill_id": "echo", "inputs": {"n": 1}}]}


def sql(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.fixture
def ran(fresh: Path, refold: Run) -> Path:
    """A store with the ended run `a`, in the current folder."""
    Path("hello.json").write_text(json.dumps(HELLO))
    assert refold("run", "hello.json", "--run-id", "a") == 0
    return fresh


@pytest.fixture
def kept(ran: Path, refold: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with a golden, signed by `keys.json`."""
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    assert refold("golden", "rotate-key") == 0 and refold("golden", "write", "a") == 0
    return ran


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that somebody else listens on, and is silent."""
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        yield bound.getsockname()[1]


def typed(refold: Run, command: str) -> int:
    """Type a command of Refold."""
    name, *words = shlex.split(command)
    assert name == "refold"
    return refold(*words)


def test_a_database_that_is_missing(folder: Path, doctor: Ask, refold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_DATABASE_URL", "sqlite:///named.db")
    seen = doctor()
    assert seen.code == 5 and seen.named("failed") == {"store"}
    assert typed(refold, seen.fix("store")) == 0
    assert doctor().code == 0


def test_an_empty_folder_is_no_fault(folder: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFOLD_DATABASE_URL", raising=False)
    seen = doctor()
    assert seen.code == 0 and seen.named("failed") == set() and seen.named("warning") == {"store"}
    assert not list(folder.glob("refold.db*")), "looking makes nothing"


def test_a_closed_port_of_the_database(doctor: Ask, listening: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        port = bound.getsockname()[1]
    seen = doctor("--database", f"postgresql://me@127.0.0.1:{port}/x")
    assert seen.code == 5 and seen.fix("store") == "systemctl start postgresql"
    silent = doctor("--database", f"postgresql://me@127.0.0.1:{listening}/x")
    assert silent.code == 5 and silent.fix("store")


def test_a_database_that_nobody_made(doctor: Ask, postgres_url: str) -> None:
    other = postgres_url.replace("refold_test_", "nobody_made_")
    assert doctor("--database", other).fix("store").startswith("createdb nobody_made_")


def test_migrations_that_lack(folder: Path, doctor: Ask) -> None:
    sql(folder / "refold.db", "VACUUM")
    seen = doctor()
    assert seen.code == 1 and seen.fix("schema") == "refold migrate" and "chain" not in seen.checks
    cured = doctor("--fix")
    assert cured.code == 0 and "applied 0001" in cured.summary["done"][0]


def test_a_schema_of_a_newer_program(fresh: Path, doctor: Ask) -> None:
    sql(fresh, "INSERT INTO refold_migrations VALUES (99, 'later', 'x', 'then')")
    seen = doctor()
    assert seen.code == 1 and seen.fix("schema") == "pip install --upgrade refold"


def test_a_postgres_that_does_not_wait_for_the_disk(doctor: Ask, postgres_server: PostgresServer) -> None:
    url = postgres_server.url
    with closing(open_store(url)):
        pass
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    for setting in ("fsync", "synchronous_commit"):
        seen = until(lambda: doctor("--database", url), lambda seen: "durability" in seen.named("failed"))
        assert f"{setting}=off" in seen.checks["durability"]["detail"]
        psql = shlex.split(seen.fix("durability"))
        assert psql[:2] == ["psql", url] and setting in psql[3]
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in psql[3::2]:
                connection.execute(statement.encode())
        until(
            lambda: doctor("--database", url),
            lambda seen, on=f"{setting}=on": on in seen.checks["durability"]["detail"],
        )
    postgres_server.stop()
    away = doctor("--database", url)
    assert away.code == 5 and away.fix("store") == "systemctl start postgresql"


def until(look: Callable[[], Seen], holds: Callable[[Seen], bool]) -> Seen:
    """The first look of which it holds: a server takes a moment to read its settings again."""
    for _ in range(50):
        if holds(seen := look()):
            return seen
    raise AssertionError("it did not come to that")


def test_a_full_disk(fresh: Path, doctor: Ask, folder: Path) -> None:
    if os.geteuid():
        full = os.statvfs_result((4096, 4096, 10, 0, 0, 10, 5, 5, 0, 255))
        checks = disks.disks(Patient("sqlite:///refold.db", statvfs=lambda _folder: full))
        assert {check.state for check in checks} == {"failed"}
        return
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        url = f"sqlite:///{small}/refold.db"
        with closing(open_store(url)):
            pass
        seen = doctor("--database", url)
    finally:
        subprocess.run(["umount", small], check=True)
    assert seen.code == 1 and seen.named("failed") == {"disk:store"}
    assert seen.fix("disk:store").startswith("refold store archive --older-than 30d --database ")


def test_a_disk_without_room_for_another_file(folder: Path) -> None:
    no_more = os.statvfs_result((4096, 4096, 10**9, 10**9, 10**9, 10, 0, 0, 0, 255))
    checks = disks.disks(Patient("sqlite:///refold.db", statvfs=lambda _folder: no_more))
    assert {check.state for check in checks} == {"failed"} and "no further file" in checks[0].detail


LAST = "rowid = (SELECT max(rowid) FROM stored_events)"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE {LAST}",
        f"UPDATE stored_events SET topic = 'run.failed' WHERE {LAST}",
        f"DELETE FROM stored_events WHERE {LAST}",
        "UPDATE stream_heads SET hash = replace(hash, 'a', 'b') WHERE stream = 'default/a'",
        "UPDATE stream_heads SET version = version - 1 WHERE stream = 'default/a'",
        "DELETE FROM stream_heads WHERE stream = 'default/a'",
    ],
)
def test_a_log_that_was_tampered_with(ran: Path, doctor: Ask, refold: Run, statement: str) -> None:
    sql(ran, statement)
    seen = doctor()
    assert seen.code == 1 and seen.fix("chain") == "refold verify a --tenant default"
    assert typed(refold, seen.fix("chain")) == 4, "it proves what the doctor has suspected"


def test_a_key_file_that_is_missing(fresh: Path, doctor: Ask, refold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    seen = doctor()
    assert seen.code == 1 and seen.named("failed") == {"keys:goldens"}
    assert typed(refold, seen.fix("keys:goldens")) == 0
    assert doctor().code == 0


def test_a_key_file_that_others_may_read(kept: Path, doctor: Ask) -> None:
    Path("keys.json").chmod(0o644)
    seen = doctor()
    assert seen.code == 1 and seen.fix("keys:goldens") == "chmod 600 keys.json"
    cured = doctor("--fix")
    assert cured.code == 0 and cured.summary["done"] == ["chmod 600 keys.json"]
    assert Path("keys.json").stat().st_mode & 0o777 == 0o600


def test_an_old_copy_of_the_key_file(kept: Path, doctor: Ask, refold: Run) -> None:
    old = Path("keys.json").read_bytes()
    refold("golden", "rotate-key")
    Path("keys.json").write_bytes(old)
    seen = doctor()
    assert seen.code == 1 and seen.named("failed") == {"golden-key"}
    assert typed(refold, seen.fix("golden-key")) == 0
    assert doctor().code == 0


def test_a_golden_that_was_altered(kept: Path, doctor: Ask, refold: Run) -> None:
    assert "goldens" in doctor().named("ok")
    golden = Path("goldens/default/a.steps.jsonl")
    golden.chmod(0o644)
    golden.write_bytes(golden.read_bytes().replace(b"greet", b"greed"))
    seen = doctor()
    assert seen.code == 1 and seen.named("failed") == {"goldens"}
    assert typed(refold, seen.fix("goldens")) == 0
    assert "goldens" in doctor().named("ok")


def test_a_projection_that_is_far_behind(ran: Path, doctor: Ask, refold: Run) -> None:
    assert refold("projections", "rebuild", "runs") == 0
    with closing(open_store()) as store:
        store.commit([Writer().run("of-2023")], "w")
    seen = doctor()
    assert seen.code == 1 and seen.fix("projections") == "refold projector"
    assert seen.checks["projections"]["value"] > seen.checks["projections"]["limit"]


def test_a_run_that_was_left_aside(ran: Path, doctor: Ask, refold: Run) -> None:
    sql(ran, "UPDATE stored_events SET state = 'x' WHERE originator_version = 2")
    assert refold("projections", "rebuild", "runs") == 0
    seen = doctor()
    assert seen.code == 1 and seen.fix("parked") == "refold projections retry runs"
    cured = doctor("--fix")
    assert cured.summary["done"] == ["runs tries 1 runs again"] and "parked" in cured.named("warning")


def test_a_projection_that_is_paused(ran: Path, doctor: Ask, refold: Run) -> None:
    refold("projections", "rebuild", "runs")
    refold("projections", "pause", "runs")
    paused = doctor().checks["projections"]
    assert (paused["state"], paused["fix"]) == ("warning", "refold projections resume runs")
    assert typed(refold, paused["fix"]) == 0
    assert doctor().checks["projections"]["state"] == "ok"


@pytest.mark.parametrize(("status", "words"), [("waiting", "not taken"), ("dead", "given up")])
def test_a_webhook_that_is_not_taken(status: Status, words: str, fresh: Path, doctor: Ask, refold: Run) -> None:
    with closing(open_store()) as store:
        noted = NewDelivery("ep_1", 3, "msg_1", "shop", "shop/run", 1, "run.started", 100)
        store.outbox.note(0, 9, [EndpointRow("ep_1", "shop", "{}", True), noted])
        assert doctor().checks["webhooks"]["state"] == "ok", "it was never tried"
        store.outbox.claim("one", 1, 30.0, 100)
        (_, first) = store.outbox.first("ep_1", "one", 30.0) or pytest.fail("nothing waits")
        store.outbox.record(first, "one", Outcome(status, 1, 10**18, 503, "WEBHOOK_REFUSED: HTTP 503", "", 100))
        told = doctor().checks["webhooks"]
        assert told["state"] == "warning" and words in told["detail"] and "HTTP 503" in told["detail"]
        assert refold(*shlex.split(told["fix"])[1:]) == 0
        (waits,) = store.outbox.deliveries(Lookup("shop"), 9)
        assert waits.status == "waiting" and waits.due < 10**18


def test_a_run_and_a_worker_of_a_process_that_died(fresh: Path, doctor: Ask) -> None:
    program = "from refold.eventstore.owner import this_process; print(this_process('x'))"
    dead = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    report = {
        "host": "here",
        "pid": 1,
        "version": "1",
        "queues": ["default"],
        "skills": [],
        "workflows": [],
        "pins": {},
    }
    with closing(open_store()) as store:
        store.commit([Writer().run("held")], "w")
        assert store.dispatch.take("default/held", dead, 600, None)
        store.dispatch.beat(dead, json.dumps({**report, "concurrency": 1, "running": 1, "draining": False}))
    seen = doctor()
    assert seen.code == 1 and seen.fix("leases") == "refold doctor --fix" and "workers" in seen.named("warning")
    cured = doctor("--fix")
    assert {"leases", "workers"} <= cured.named("ok") and len(cured.summary["done"]) == 2
    # Freed, it waits for somebody.
    assert cured.fix("queues") == "refold worker --skills MODULE --queue default"


def test_a_port_that_somebody_else_has(fresh: Path, doctor: Ask, listening: int) -> None:
    seen = doctor("--port", str(listening))
    assert seen.code == 1 and seen.named("failed") == {"port"}
    number = int(seen.fix("port").rpartition(" ")[2])
    assert doctor("--port", str(number)).code == 0


def test_a_port_that_a_server_of_ours_has(fresh: Path, doctor: Ask) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "healthy", "build": "refold 0.1.0"}')

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        seen = doctor("--port", str(server.server_port))
        server.shutdown()
    assert seen.code == 0 and "refold 0.1.0 answers" in seen.checks["port"]["detail"]


def test_too_few_open_files(fresh: Path) -> None:
    seen = asked(before="ulimit -Sn 200")
    assert seen.code == 1 and seen.named("failed") == {"open-files"}
    assert asked(before=f"ulimit -Sn 200; {seen.fix('open-files').replace('-n', '-Sn')}").code == 0


def installed(folder: Path, name: str, version: str, *requires: str) -> None:
    """Put down what pip leaves of a package, at the head of the path."""
    about = folder / "packages" / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
    (about / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


def test_packages_of_opentelemetry_that_do_not_fit(
    fresh: Path, folder: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(folder, "opentelemetry-api", "1.44.0")
    installed(folder, "opentelemetry-semantic-conventions", "0.66b2", "opentelemetry-api==1.45.2")
    pins = ("opentelemetry-api==1.45.2", "opentelemetry-semantic-conventions==0.66b2")
    installed(folder, "opentelemetry-sdk", "1.45.2", *pins)
    monkeypatch.syspath_prepend(folder / "packages")
    seen = doctor()
    assert seen.code == 1 and "opentelemetry-api==1.45.2, 1.44.0 is installed" in seen.checks["telemetry"]["detail"]
    assert seen.fix("telemetry").startswith("pip install ")


def test_a_package_that_is_too_new(fresh: Path, folder: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(folder, "eventsourcing", "10.0.0")
    monkeypatch.syspath_prepend(folder / "packages")
    seen = doctor()
    assert seen.code == 1 and seen.fix("packages") == "pip install 'eventsourcing<10,>=9.5.6'"


def test_an_emergency_stop_is_told_with_who_and_when(fresh: Path, doctor: Ask, refold: Run) -> None:
    refold("emergency-stop", "enable", "--by", "ada", "--reason", "smoke")
    found = doctor().checks["emergency"]
    assert found["state"] == "warning" and "by ada: smoke" in found["detail"] and "since 20" in found["detail"]
    assert typed(refold, found["fix"]) == 0
    assert doctor().checks["emergency"]["state"] == "ok"


def test_settings_that_cannot_be_read(fresh: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_STORE_PATIENCE", "long")
    monkeypatch.setenv("REFOLD_POLICY", "none.yaml")
    monkeypatch.setenv("REFOLD_CERTIFICATES", "certificates")
    seen = doctor()
    assert seen.fix("settings") == "unset REFOLD_STORE_PATIENCE"
    assert seen.fix("policy") == "refold policies check none.yaml"
    assert seen.checks["folders"]["fix"] == "mkdir -p certificates"
    assert doctor("--fix").checks["folders"]["state"] == "ok" and Path("certificates").is_dir()


def test_an_emergency_stop_that_is_misspelt(fresh: Path, doctor: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_EMERGENY_STOP", "1")
    assert "WORKFLOW_EMERGENCY_STOP is meant?" in doctor().checks["settings"]["detail"]
