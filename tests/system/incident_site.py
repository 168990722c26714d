"""The scratch installation that the incident game is played on: every kind of process, watched, on a small disk."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from refold.replay.pid_file import holder_of
from refold.tests.browser.processes import Service, eventually, service
from refold.tests.support.root_package import ROOT
from refold.tests.support.sink import Sink, Taken, sink
from refold.tests.system.monitoring import Monitoring, free_address, monitoring

DISK_BYTES = 320 * 2**20
"""The disk of store and goldens: with nothing on it, it is just above the limit of DiskFull."""

OPTIONS = ("--kinds", "abort", "--workers", "1", "--interval", "1", "--hours", "10")
"""How the shadow simulation is run: small, for its processes are not the only ones here."""

UNITS = ("server", "worker", "projector", "webhooks")
"""What works on the store."""

KINDS = {"server": "server", "worker": "worker", "projector": "projector", "monitor": "shadow"}
"""Who tells metrics, and what Prometheus takes it for."""


def cures(alert: str) -> list[str]:
    """The commands that the runbook has below an alert's "Cure", block by block."""
    text = (ROOT / "docs/ops/runbook.md").read_text()
    section = re.search(rf"^## {alert}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert section, f"the runbook knows no {alert}"
    cure = re.search(r"^\*\*Cure\*\*(.*?)(?=^\*\*Over\*\*|\Z)", section[1], re.M | re.S)
    assert cure, f"the runbook has no cure for {alert}"
    return re.findall(r"^```bash\n(.*?)^```", cure[1], re.M | re.S)


class Site:
    """The installation in `service.folder`. Its processes are units, which `systemctl` stops and starts."""

    def __init__(self, begun: Service, disk: Path, receiver: Sink, alarms: Monitoring, at: dict[str, str]):
        self.service = begun
        self.disk = disk
        self.receiver = receiver
        self.alarms = alarms
        self.goldens = disk / "goldens"
        self.store = disk / "refold.db"
        self.shadow = begun.folder / "shadow"
        self._at = at
        self._units: dict[str, subprocess.Popen[str]] = {}
        self._runs = 0

    def start(self, unit: str) -> None:
        """Start a unit; for how its metrics go, Prometheus is asked."""
        words = {
            "server": ["serve", "--port", self._at["server"].rpartition(":")[2]],
            "worker": ["worker", "--metrics", self._at["worker"]],
            "projector": ["projector", "--goldens", str(self.goldens), "--patrol", "1"],
            "webhooks": ["webhooks", "deliver"],
            "shadow": ["shadow", "run", "--folder", str(self.shadow), *OPTIONS],
            "monitor": ["shadow", "monitor", "start", "--foreground", "--folder", str(self.shadow)],
        }[unit]
        if unit == "projector":
            words += ["--metrics", self._at[unit]]
        if unit == "monitor":
            words += ["--interval", "0.5", "--stale", "10", "--metrics", self._at[unit]]
        self._units[unit] = self.service.start(*words, name=unit)

    def stop(self, unit: str) -> None:
        """End a unit by SIGTERM, as systemd does, and at last by SIGKILL."""
        process = self._units[unit]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()

    def systemctl(self, words: str) -> None:
        """Do what `systemctl stop` or `start` asks for."""
        verb, *units = words.split()
        for unit in units:
            {"start": self.start, "stop": self.stop}[verb](unit)

    def works(self) -> str:
        """A run goes all the way: started over HTTP, worked on, told to the webhook, written as a golden; its id."""
        self._runs += 1
        run_id = f"run-{self._runs}"
        step = {"step_id": "say", "skill_id": "echo", "inputs": {"text": f"gold {run_id}"}}
        body = {"run_id": run_id, "spec": {"workflow_type": "game", "steps": [step]}}
        url = f"http://{self._at['server']}/v1/runs"

        def started() -> bool:
            with suppress(httpx2.TransportError):
                return httpx2.post(url, json=body, timeout=30).status_code in (200, 201, 409)
            return False

        eventually(started, f"{run_id} is taken: {self.service.errors()}")
        golden = self.golden(run_id)
        eventually(lambda: golden.with_name(f"{golden.name}.sig").exists(), f"{golden}: {self.service.errors()}")
        eventually(lambda: self.told_of(run_id), f"{run_id} is told: {self.service.errors()}")
        return run_id

    def golden(self, run_id: str) -> Path:
        """Where the golden of a run lies."""
        return self.goldens / f"default/{run_id}.steps.jsonl"

    def told_of(self, run_id: str) -> bool:
        """Whether the receiver of webhooks was told that the run has ended."""
        told = [each.json for each in list(self.receiver.taken)]
        return any(each["type"] == "run.completed" and each["data"]["run_id"] == run_id for each in told)

    def begin_run(self, run_id: str) -> None:
        """Run something here and now, whatever of it is told to whom."""
        spec = self.service.folder / "told.json"
        step = {"step_id": "say", "skill_id": "echo", "inputs": {"text": run_id}}
        spec.write_text(json.dumps({"workflow_type": "game", "steps": [step]}))
        self.service.run("run", spec.name, "--run-id", run_id, "--json")

    def said(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """The lines of JSON that a command says."""
        return [json.loads(line) for line in self.service.run(*words, "--json", code=code).splitlines()]

    def cure(self, commands: str, **named: str) -> None:
        """Type the commands of the document, with the names filled in; each must do what it says."""
        tools = self.service.folder / "bin"
        environment = {**os.environ, **self.service.settings(), **named, "PATH": f"{tools}:{os.environ['PATH']}"}
        with (self.service.folder / "cure.log").open("w+") as told:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", commands],
                cwd=self.service.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                timeout=120,
            )
            told.seek(0)
            assert done.returncode == 0, f"the runbook does not cure: {commands}\n{told.read()}"

    def shadow_pid(self) -> int:
        """The process of the simulation, whoever started it."""
        holder = holder_of(self.shadow / "shadow.pid")
        return holder.pid if holder is not None and holder.lives else 0

    def backup(self) -> Path:
        """A copy of the store, made as the documents say."""
        path = self.service.folder / "backup.db"
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(self.store)
        connection.execute("VACUUM INTO ?", (str(path),))
        connection.close()
        return path

    def close(self) -> None:
        """End the simulation, which may not be ours any more."""
        if pid := self.shadow_pid():
            os.kill(pid, signal.SIGKILL)


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A disk of its own, which mounting needs root for."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    assert not mounted.returncode, f"a small disk is filled here, and cannot be mounted (be root): {mounted.stderr}"
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _tools(folder: Path, systemctl: Sink) -> None:
    """What an operator types: `refold` is this one, and `systemctl` knows the units of the installation."""
    folder.mkdir()
    tools = {
        "refold": f'exec "{sys.executable}" -P -m refold "$@"',
        "systemctl": f'exec curl -fsS -o /dev/null --data "$*" {systemctl.url()}',
    }
    for name, does in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)


@contextmanager
def site(folder: Path) -> Generator[Site]:
    """The installation, in good order and under watch."""
    at = {unit: free_address() for unit in KINDS}
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk"))
        control = stack.enter_context(sink())
        receiver = stack.enter_context(sink())
        begun = stack.enter_context(service(folder, f"sqlite:///{disk / 'refold.db'}"))
        _tools(folder / "bin", control)
        begun.run("migrate")
        begun.run("golden", "rotate-key")
        begun.run("webhooks", "add", receiver.url(), "--on", "run.completed")
        alarms = stack.enter_context(
            monitoring(folder / "monitoring", [f"{kind}={at[unit]}" for unit, kind in KINDS.items()])
        )
        made = Site(begun, disk, receiver, alarms, at)
        stack.callback(made.close)
        control.tell = lambda taken: made.systemctl(_words(taken))
        for unit in (*UNITS, "shadow"):
            made.start(unit)
        eventually((made.shadow / "summary.json").exists, f"the simulation: {begun.errors()}")
        made.start("monitor")
        alarms.eventually(lambda: len(alarms.ask("up == 1")) == len(KINDS), lambda: f"all are up: {begun.errors()}")
        made.works()
        yield made


def _words(taken: Taken) -> str:
    return taken.body.decode()
