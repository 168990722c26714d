"""Refold's processes watched by a real Prometheus and Alertmanager, by the committed rules, but sixty times as fast."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from refold.tests.browser.processes import Service, eventually
from refold.tests.support.root_package import ROOT
from refold.tests.support.sink import Sink, sink

FASTER = 60
"""Rules, routes and windows go so many times as fast as those that are committed."""

PATIENCE_SECONDS = 120
"""How long an alert may take to arrive on a busy machine before it counts as not coming."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def scaled(text: str) -> str:
    """Rules or routes with every time in them divided by FASTER; processes are looked at every 2 seconds."""

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * _UNITS[found[3]] * 1000 // FASTER}ms"

    def sooner(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / FASTER:g}"

    text = re.sub(r"((?:_seconds|_seconds\)) > )(\d{3,})\b", sooner, text)
    text = re.sub(r"((?:scrape|evaluation)_interval: )15s", r"\g<1>2s", text)
    return re.sub(r"(\[|offset |for: |(?:group_wait|group_interval|repeat_interval): )(\d+)([smhd])\b", shorter, text)


def free_address() -> str:
    """An address of this machine that nobody listens at."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{asked.getsockname()[1]}"


class Monitoring:
    """Prometheus and Alertmanager as `ops/monitoring/up` starts them, and what the receiver of alerts was told."""

    def __init__(self, folder: Path, targets: list[str], receiver: Sink):
        self.prometheus, self.alertmanager = free_address(), free_address()
        self._receiver = receiver
        self._folder = folder
        shutil.copytree(ROOT / "ops/alerts", folder / "ops/alerts")
        shutil.copytree(ROOT / "ops/monitoring", folder / "ops/monitoring")
        for file in (folder / "ops/alerts").glob("*.yaml"):
            file.write_text(scaled(file.read_text()))
        words = [
            *("--data", folder / "data"),
            *("--webhook", receiver.url()),
            *("--runbook", "https://example.org/runbook"),
            *("--prometheus", self.prometheus),
            *("--alertmanager", self.alertmanager),
        ]
        with (folder / "up.log").open("w") as told:
            self._process = subprocess.Popen(
                [folder / "ops/monitoring/up", *words, *targets],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    def close(self) -> None:
        """End it by the signal that it is ended by, and see that nothing is left."""
        self._process.terminate()
        try:
            assert self._process.wait(30) == 0, self.told()
        finally:
            left = self._process.poll() is None or _lives(self._process.pid)
            if left:
                os.killpg(self._process.pid, signal.SIGKILL)
        assert not left, "a process of the monitoring lives on"

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus says to an expression, now."""
        url = f"http://{self.prometheus}/api/v1/query"
        answer = httpx2.get(url, params={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def messages(self, status: str, alert: str, **labels: str) -> list[dict[str, Any]]:
        """What the receiver was told of such an alert."""
        told = [each for taken in list(self._receiver.taken) for each in taken.json["alerts"]]
        wanted = {"alertname": alert, **labels}.items()
        return [each for each in told if each["status"] == status and wanted <= each["labels"].items()]

    @contextmanager
    def fires(self, alert: str, **labels: str) -> Generator[dict[str, Any]]:
        """The alert, once the receiver was told of it; after the block, which cures it, it must be told to be over."""
        self._await_message("firing", alert, labels)
        begun = self.messages("firing", alert, **labels)[-1]
        assert begun["annotations"]["runbook_url"] == f"https://example.org/runbook#{alert.lower()}"
        assert "{{" not in str(begun["annotations"]) and "<no value>" not in str(begun["annotations"])
        before = len(self.messages("resolved", alert, **labels))
        yield begun
        self._await_message("resolved", alert, labels, before)

    def await_silenced(self, alert: str, by: str, **labels: str) -> None:
        """Return when Alertmanager has the alert and tells nobody, because of another."""
        url = f"http://{self.alertmanager}/api/v2/alerts"

        def silenced() -> bool:
            every = httpx2.get(url, timeout=30).json()
            causes = {each["fingerprint"] for each in every if each["labels"]["alertname"] == by}
            wanted = {"alertname": alert, **labels}.items()
            return any(causes & {*each["status"]["inhibitedBy"]} for each in every if wanted <= each["labels"].items())

        self.eventually(silenced, lambda: f"{alert}, silent because of {by}: {httpx2.get(url).text}")

    def calm(self) -> None:
        """Return when no alert is pending or firing any more; forget what the receiver was told."""
        self.eventually(lambda: not self.ask("ALERTS"), lambda: f"no alerts: {self.ask('ALERTS')}")
        self._receiver.taken.clear()

    def eventually(self, holds: Callable[[], Any], what: Callable[[], str]) -> Any:
        """What `holds` says as soon as it is true; fails when it does not come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, f"did not come: {what()}\n{self.told()}"
            time.sleep(0.1)
        return found

    def told(self) -> str:
        """What the programs had to say."""
        logs = [self._folder / "up.log", *sorted((self._folder / "data").glob("*.log"))]
        return "\n".join(f"{log.name}: {log.read_text()[-3000:]}" for log in logs if log.exists())

    def _await_message(self, status: str, alert: str, labels: dict[str, str], before: int = 0) -> None:
        def heard() -> str:
            alerts = [each["metric"] for each in self.ask("ALERTS")]
            return f"{alert} {status}; Prometheus has {alerts}; told: {[each.json for each in self._receiver.taken]}"

        self.eventually(lambda: len(self.messages(status, alert, **labels)) > before, heard)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def monitoring(folder: Path, targets: list[str]) -> Generator[Monitoring]:
    """Prometheus and Alertmanager over the targets, looking at them."""
    with sink() as receiver:
        begun = Monitoring(folder, targets, receiver)
        try:
            ready = f"http://{begun.prometheus}/-/ready", f"http://{begun.alertmanager}/-/ready"
            begun.eventually(lambda: all(map(_answers, ready)), lambda: "Prometheus and Alertmanager")
            yield begun
        finally:
            begun.close()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


class Watched:
    """A service with one process of each kind, each of which tells its metrics at an address that stays its own."""

    def __init__(self, service: Service):
        self.service = service
        self.at = {"worker": free_address(), "projector": free_address()}
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def begin(self, kind: str) -> None:
        """Start the process of that kind, and return when its metrics can be had."""
        words = {
            "worker": ("worker", "--skills", str(Path(__file__).parent.parent / "browser/shop.py")),
            "projector": ("projector", "--goldens", str(self.service.folder / "goldens"), "--patrol", "1"),
        }[kind]
        self.processes[kind] = self.service.start(*words, "--metrics", self.at[kind])
        eventually(lambda: _answers(f"http://{self.at[kind]}/metrics"), f"the metrics of the {kind}: {self.errors()}")

    def begin_if_gone(self, kind: str) -> None:
        """Start it as a supervisor would, if it has ended by itself."""
        if self.processes[kind].poll() is not None:
            self.begin(kind)

    def end(self, kind: str) -> None:
        """SIGKILL, and wait until it is gone."""
        self.processes[kind].kill()
        self.processes[kind].wait()

    def run(self, name: str, *steps: dict[str, Any], code: int = 0, words: tuple[str, ...] = ()) -> None:
        """Run a workflow of these steps to its end, which has that exit code."""
        spec = self.service.folder / f"{name}.json"
        spec.write_text(json.dumps({"workflow_type": "watched", "steps": steps}))
        self.service.run("run", spec.name, "--run-id", name, "--json", *words, code=code)

    def errors(self) -> str:
        """What the processes have written to stderr."""
        return self.service.errors()
