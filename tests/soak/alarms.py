"""Real Prometheus and Alertmanager beside a soak, with the project's rules, and a receiver of what they tell.

Prometheus asks every three seconds, and all spans of time in the rules are shorter by FASTER, so that an alert that
comes after a minute comes after three seconds. What the rules say about time in the service's own figures (a projection
that is 300 s behind) is shorter as well.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from refold.tests.support.root_package import ROOT
from refold.tests.support.sink import Taken, sink

from .journal import Journal
from .places import Place
from .soak_site import Site, free_port

FASTER = 20

RULES = ROOT / "ops" / "alerts" / "refold.yaml"
INHIBITING = ROOT / "ops" / "alerts" / "alertmanager.yaml"
PROMETHEUS, ALERTMANAGER = "prometheus", "prometheus-alertmanager"

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(?<=[\[ ])(\d+)([smhd])(?=[\]\s)]|$)")
_FIGURE = re.compile(r"(refold_\w+_seconds\)* > )(\d{3,})\b")
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 30


class Alert(NamedTuple):
    """An alert that fires: its name and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]


class Alarms:
    """Which alerts fire, and since when, in seconds of the journal."""

    def __init__(self, url: str, journal: Journal):
        self._url = url
        self._journal = journal
        self._since: dict[Alert, float] = {}
        self.told: set[str] = set()
        """The names of the alerts of which the receiver was told."""

    def firing(self) -> list[str]:
        """The names of those that fire."""
        return sorted({alert.name for alert in self._since})

    def since(self, alert: Alert) -> float | None:
        """Since when it fires; None if it does not."""
        return self._since.get(alert)

    async def until_fires(self, name: str, begun: float, seconds: float) -> Alert | None:
        """Wait for an alert of that name; those that came after `begun` before others."""
        give_up = asyncio.get_running_loop().time() + seconds
        while not (there := [alert for alert in self._since if alert.name == name]):
            if asyncio.get_running_loop().time() > give_up:
                return None
            await asyncio.sleep(_LOOK_SECONDS)
        return max(there, key=lambda alert: (self._since[alert] >= begun, -self._since[alert]))

    async def until_gone(self, alert: Alert, seconds: float) -> bool:
        """Wait until the alert does not fire; whether that came within `seconds`."""
        give_up = asyncio.get_running_loop().time() + seconds
        while alert in self._since:
            if asyncio.get_running_loop().time() > give_up:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def until_quiet(self, seconds: float) -> None:
        """Wait until none fires, or the time is over."""
        for alert in list(self._since):
            await self.until_gone(alert, seconds)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(OSError, ValueError):
                self._see(await asyncio.to_thread(_asked, f"{self._url}/api/v1/alerts"))

    def take(self, message: Taken) -> None:
        """Note what Alertmanager tells; called on a thread of the receiver's."""
        names = sorted({alert["labels"]["alertname"] for alert in message.json["alerts"]})
        self.told.update(names)
        self._journal.write("told", status=message.json["status"], alerts=names)

    def _see(self, answer: Any) -> None:
        now = {
            Alert(alert["labels"]["alertname"], tuple(sorted(alert["labels"].items())))
            for alert in answer["data"]["alerts"]
            if alert["state"] == "firing"
        }
        for alert in now - self._since.keys():
            self._since[alert] = self._journal.now
            self._journal.write("fires", alert=alert.name, labels=dict(alert.labels))
        for alert in self._since.keys() - now:
            del self._since[alert]
            self._journal.write("fires no more", alert=alert.name, labels=dict(alert.labels))


@asynccontextmanager
async def alarms_of(at: Site, journal: Journal, wanted: bool) -> AsyncGenerator[Alarms | None]:
    """The alarms of a site, None where they are not wanted."""
    if not wanted:
        yield None
        return
    missing = [name for name in (PROMETHEUS, ALERTMANAGER) if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)}; on Debian: make system-deps")
    ports = free_port(), free_port()
    alarms = Alarms(f"http://127.0.0.1:{ports[0]}", journal)
    with sink() as receiver:
        receiver.tell = alarms.take
        places = _write(at, ports, receiver.url("/alerts"))
        try:
            for place in places:
                place.start()
            await _begun([f"http://127.0.0.1:{port}/-/ready" for port in ports], places)
            watching = asyncio.create_task(alarms.watch())
            yield alarms
            watching.cancel()
        finally:
            for place in places:
                place.kill()


def scaled(text: str) -> str:
    """An expression, or a span of time, with all times shorter."""
    shorter = _SPAN.sub(lambda found: f"{max(int(found[1]) * _UNITS[found[2]] // FASTER, 3)}s", f" {text}")[1:]
    return _FIGURE.sub(lambda found: f"{found[1]}{int(found[2]) / FASTER:g}", shorter)


def scaled_rules(text: str) -> dict[str, Any]:
    """The rules of the project, in Prometheus' format, with all times shorter."""
    document: dict[str, Any] = yaml.safe_load(text)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = scaled(rule["expr"])
            if "for" in rule:
                rule["for"] = scaled(rule["for"])
    return document


def _write(at: Site, ports: tuple[int, int], receiver: str) -> list[Place]:
    """The two programs, with their files written."""
    rules = scaled_rules(RULES.read_text())
    _put(at.work / "rules.yaml", rules)
    jobs = {name: f"refold-{name.partition('-')[0]}" for name in at.ports}
    targets = [
        {"job_name": name, "static_configs": [{"targets": [
            f"127.0.0.1:{port}" for place, port in at.ports.items() if jobs[place] == name]}]}
        for name in sorted(set(jobs.values()))
    ]  # fmt: skip
    alerting = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports[1]}"]}]}]}
    times = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"}
    prometheus = {"global": times, "rule_files": ["rules.yaml"], "alerting": alerting, "scrape_configs": targets}
    _put(at.work / "prometheus.yaml", prometheus)
    route = {"receiver": "soak", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    manager = {
        "route": {**route, "repeat_interval": "4h"},
        "receivers": [{"name": "soak", "webhook_configs": [{"url": receiver, "send_resolved": True}]}],
        "inhibit_rules": yaml.safe_load(INHIBITING.read_text()).get("inhibit_rules", []),
    }
    _put(at.work / "alertmanager.yaml", manager)
    listens = [f"--web.listen-address=127.0.0.1:{port}" for port in ports]
    kept = [f"--storage.tsdb.path={at.work / 'prometheus'}", f"--storage.path={at.work / 'alertmanager'}"]
    files = [f"--config.file={at.work / name}.yaml" for name in ("prometheus", "alertmanager")]
    alone = ["--cluster.listen-address="]
    told = [at.folder / f"{name}.log" for name in ("prometheus", "alertmanager")]
    return [
        Place("prometheus", [PROMETHEUS, files[0], kept[0], listens[0]], {}, told[0]),
        Place("alertmanager", [ALERTMANAGER, files[1], kept[1], listens[1], *alone], {}, told[1]),
    ]


def _put(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(yaml.safe_dump(document))


async def _begun(urls: list[str], places: list[Place]) -> None:
    give_up = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    for url, place in zip(urls, places, strict=True):
        while True:
            with suppress(OSError):
                await asyncio.to_thread(_read, url)
                break
            assert asyncio.get_running_loop().time() < give_up, f"{place.name} does not begin: {place.said()}"
            await asyncio.sleep(0.1)


def _asked(url: str) -> Any:
    return json.loads(_read(url))


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()
