"""A monitor of a shadow simulation: it looks every few minutes, and tells a webhook when the state has changed.

It believes no clock that can jump: how old the simulation's log is it finds out by watching it grow.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.checks import Check
from ..replay.shadow_look import ShadowSeen, look
from ..replay.shadow_sanity import STALE_SECONDS, disk_of, health_of, sanity
from .monitor_metrics import MonitorMetrics
from .monitor_place import last_result, metrics_fault, save_result, stamped
from .webhooks.telling import tell

INTERVAL_SECONDS = 300.0
"""From look to look."""

LOOK_SECONDS = 60.0
"""How long a look may take; a disk that answers later than that is as good as gone."""


@dataclass(frozen=True)
class Watch:
    """What is to be watched: the `folder`, every `interval` seconds; a log without news for `stale` seconds is old.
    `webhook` is told of changes, signed where there is a `secret`."""

    folder: Path
    interval: float = INTERVAL_SECONDS
    stale: float = STALE_SECONDS
    webhook: str | None = None
    secret: bytes | None = None


class LogAge:
    """How old the latest record is, by a clock that does not jump, from the second look on."""

    def __init__(self) -> None:
        self._mark: object = None
        self._seconds = 0.0
        self._at: float | None = None

    def of(self, seen: ShadowSeen, now: float, monotonic: float) -> float:
        """The age in seconds; `now` is the time of day, which counts at the first look alone."""
        mark, (age, _) = (seen.size, seen.updated_at), seen.age(now)
        if self._at is None:
            self._seconds = age or 0.0
        elif mark == self._mark:
            self._seconds += monotonic - self._at
        else:
            self._seconds = min(age or 0.0, monotonic - self._at)
        self._mark, self._at = mark, monotonic
        return self._seconds


class Monitor:
    """Looks at the simulation until it is stopped. `say` is given a line for people when something has changed."""

    def __init__(self, watch: Watch, say: Callable[[str], object], metrics: MonitorMetrics | None = None):
        self._watch = watch
        self._say = say
        self._metrics = metrics or MonitorMetrics()
        self._age = LogAge()
        self._stopped = asyncio.Event()
        # A thread that waits for a lost disk is never given back: the next look asks for the same answer.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refold-io-look")
        self._asked: asyncio.Future[tuple[ShadowSeen, list[Check]]] | None = None
        before, _ = last_result(watch.folder)
        self._before: dict[str, Any] = before or {}
        self._told = str(self._before.get("told", "HEALTHY"))

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    async def run(self) -> None:
        """Look, and look again, until it is stopped."""
        while not self._stopped.is_set():
            began = time.monotonic()
            await self.look()
            left = max(began + self._watch.interval - time.monotonic(), 0.0)
            try:
                await asyncio.wait_for(self._stopped.wait(), left)
            except TimeoutError:
                continue
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> dict[str, Any]:
        """Look once, keep what was found, and tell it if the state is another; returns the result."""
        watch, before = self._watch, self._before
        checks = await self._checks()
        state = health_of(checks)
        changed = before.get("state") != state
        since = None if changed else before.get("since")
        result = stamped({"format": 1, "state": state, "told": self._told, "pid": os.getpid(),
                          "interval_seconds": watch.interval, "stale_seconds": watch.stale,
                          "checks": [each.to_json() for each in checks]})  # fmt: skip
        result["since"] = since or result["at"]
        if changed:
            bad = "; ".join(f"{each.name}: {each.detail}" for each in checks if each.state != "ok")
            self._say(f"{result['at']} {state}{': ' if bad else ''}{bad}")
        self._before = result
        self._keep(result)
        if state != self._told and watch.webhook is not None:
            await self._tell(watch.webhook, result)
        return result

    async def _checks(self) -> list[Check]:
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().run_in_executor(self._thread, self._seen)
        await asyncio.wait((self._asked,), timeout=LOOK_SECONDS)
        if not self._asked.done():
            self._metrics.up = 0
            fix = "look at the disk: df, dmesg, the mount"
            told = f"the folder does not answer within {LOOK_SECONDS:g} s"
            return [Check("disk", "failed", LOOK_SECONDS, LOOK_SECONDS, "s", told, fix)]
        return self._asked.result()[1]

    def _seen(self) -> tuple[ShadowSeen, list[Check]]:
        watch, metrics = self._watch, self._metrics
        seen, now = look(watch.folder), time.time()
        age = self._age.of(seen, now, time.monotonic())
        metrics.up = int(seen.state in ("running", "ended"))
        metrics.mismatches = seen.mismatches
        metrics.age_seconds = None if seen.state == "ended" else age
        try:
            disk = disk_of(watch.folder)
            metrics.free_ratio, metrics.free_bytes = disk.free_ratio, disk.free
        except OSError:
            metrics.free_ratio = metrics.free_bytes = None
        return seen, sanity(seen, now, watch.stale, age if seen.records else None, metrics_fault(watch.folder))

    async def _tell(self, url: str, result: dict[str, Any]) -> None:
        """Tell of the change; if nobody takes it, it is told again after the next look."""
        bad = [each for each in result["checks"] if each["state"] != "ok"]
        body = {"event": "shadow.health", "from": self._told, "to": result["state"], "at": result["at"],
                "host": os.uname().nodename, "folder": str(self._watch.folder), "checks": bad}  # fmt: skip
        sent = await tell(url, body, self._watch.secret)
        if sent.sent:
            self._told = result["state"]
        else:
            self._say(f"{result['at']} the webhook was not reached in {sent.tries} tries: {sent.error}")
        result |= {"told": self._told, "webhook": sent._asdict()}
        self._keep(result)

    def _keep(self, result: dict[str, Any]) -> None:
        try:
            save_result(self._watch.folder, result)
        except OSError as error:
            self._say(f"{result['at']} the result cannot be kept: {error.strerror}")
