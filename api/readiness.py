"""Whether the server can do its work: each check with its figure and limit, in bounded time, at most once a second."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..core.checks import Check
from ..core.errors import RefoldError
from ..core.failures import FAILURES
from ..eventstore.store import Store
from ..projections.standings import standings

KEPT_SECONDS = 1.0
"""For how long an answer holds for everybody, so that probes cannot keep the store busy."""


@dataclass(frozen=True, slots=True)
class ReadyLimits:
    """How long the checks may take together, how far projections may be behind (in seconds; 0 for any), how many bytes
    must be free in each of `folders`, by what they hold."""

    seconds: float = 3.0
    lag_seconds: float = 600.0
    free_bytes: int = 256 * 1024 * 1024
    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])


@runtime_checkable
class _Migrated(Protocol):
    """A store with a schema."""

    def migrate(self, *, dry_run: bool = False) -> Sequence[object]:
        """The migrations that lack."""
        ...


class Readiness:
    """The checks, asked on a thread of their own: whatever else asks the store does not delay them."""

    def __init__(self, store: Store, limits: ReadyLimits | None = None):
        self._store = store
        self.limits = limits or ReadyLimits()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refold-io-ready")
        self._known: tuple[float, list[Check]] | None = None
        self._asking: asyncio.Future[list[Check]] | None = None

    async def look(self) -> list[Check]:
        """The checks, as of this second. A store that does not answer in time has failed."""
        if self._known is not None and time.monotonic() - self._known[0] < KEPT_SECONDS:
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.get_running_loop().run_in_executor(self._thread, self._checks)
            self._asking.add_done_callback(self._keep)
        await asyncio.wait((self._asking,), timeout=self.limits.seconds)
        if self._known is not None and time.monotonic() - self._known[0] < KEPT_SECONDS:
            return self._known[1]
        late = f"no answer within {self.limits.seconds:g} s"
        return [Check("store", "failed", self.limits.seconds, self.limits.seconds, "s", late)]

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _keep(self, asked: asyncio.Future[list[Check]]) -> None:
        self._asking = None
        if not asked.cancelled() and asked.exception() is None:
            self._known = (time.monotonic(), asked.result())

    def _checks(self) -> list[Check]:
        began = time.perf_counter()
        store = self._tried("store", self._reached)
        checks = [store]
        if not store.failed:
            took = round(time.perf_counter() - began, 6)
            checks[0] = Check("store", "ok", took, self.limits.seconds, "s")
            checks += [self._tried("schema", self._schema), self._tried("projections", self._projections)]
        for name, folder in self.limits.folders.items():
            checks.append(self._tried(f"disk:{name}", partial(self._disk, f"disk:{name}", folder)))
        return checks

    def _tried(self, name: str, check: Callable[[], Check]) -> Check:
        try:
            return check()
        except RefoldError as error:
            return Check(
                name, "failed", detail=FAILURES[error.code].meaning
            )  # The message may tell where the store is.
        except OSError as error:
            return Check(name, "failed", detail=error.strerror or "cannot be looked at")

    def _reached(self) -> Check:
        self._store.last_position()
        return Check("store", "ok")

    def _schema(self) -> Check:
        lacking = len(self._store.migrate(dry_run=True)) if isinstance(self._store, _Migrated) else 0
        return Check(
            "schema", "failed" if lacking else "ok", lacking, 0, "migrations", "run refold migrate" if lacking else ""
        )

    def _projections(self) -> Check:
        active = [each for each in standings(self._store) if each.of.active]
        if not active:
            return Check("projections", "ok", detail="none is kept")
        worst = max(active, key=lambda each: each.lag.seconds)
        seconds, limit = round(worst.lag.seconds, 3), self.limits.lag_seconds
        ok = not limit or seconds <= limit
        return Check(
            "projections",
            "ok" if ok else "failed",
            seconds,
            limit,
            "s",
            "" if ok else f"{worst.of.name} is behind the log",
        )

    def _disk(self, name: str, folder: Path) -> Check:
        free, limit = shutil.disk_usage(_nearest(folder)).free, self.limits.free_bytes
        ok = free >= limit
        return Check(name, "ok" if ok else "failed", free, limit, "bytes", "" if ok else "little is free")


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that exists: it is made when it is first needed."""
    folder = folder.absolute()
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)
