"""A shadow simulation: cycle after cycle, each recorded durably before anything else is told of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from ..compose import WorkflowEngine, open_store
from ..core.errors import CallError, Problem
from ..core.runtime.registry import SkillRegistry
from ..projections.golden_keys import GoldenKeys, new_secret
from ..projections.golden_recorder import GoldenRecorder
from ..replay.shadow_book import ShadowBook
from ..replay.shadow_findings import Found
from ..replay.shadow_summary import Record, next_cycle, stretch_of, summary_of
from ..replay.shadow_workload import Kind
from .settings import webhook_secret
from .shadow_crew import Crew
from .shadow_cycle import PATIENCE_SECONDS, Cycle
from .shadow_faults import inject
from .webhooks.telling import tell

_HOUR_SECONDS = 3600.0

Told = Callable[[Sequence[Record]], None]
"""Told all records when an hour has gone by, and at the end."""


@dataclass(frozen=True)
class Simulation:
    """What is to be done: for `hours`, or for so many `cycles`; `interval` is in seconds from start to start."""

    url: str
    workers: int
    interval: float
    kinds: Sequence[Kind]
    hours: float | None = None
    cycles: int | None = None
    modules: Sequence[str] = ()
    faults: Sequence[str] = ()
    webhook: str | None = None
    options: Sequence[str] = ()
    """As they were typed, for whoever calls it again; without secrets."""
    patience: float = PATIENCE_SECONDS
    """For how many seconds runs may take to end, and projections to follow."""


class ShadowRun:
    """One call's work on the folder of `book`. `stop` lets it end after the cycle under way."""

    def __init__(self, wanted: Simulation, skills: SkillRegistry, book: ShadowBook, told: Told):
        self._wanted = wanted
        self._skills = skills
        self._book = book
        self._told = told
        self._secret = webhook_secret()
        self._stopped = asyncio.Event()
        ends = {each["stretch"] for each in book.records if each["type"] == "end"}
        last = max((each["stretch"] for each in book.records if each["type"] == "session"), default=0)
        self._stretch = stretch_of(book.records, last in ends)
        self._began = time.monotonic() - self._stretch.seconds

    @property
    def state(self) -> str:
        """How it stands in the end: `stopped`, where it is to go on, or `ended`."""
        return "stopped" if self._stopped.is_set() else "ended"

    def stop(self) -> None:
        """End after the cycle under way; the next call goes on."""
        self._stopped.set()

    async def run(self) -> None:
        """Cycle after cycle, until the time is up, all are done, or it is stopped. Raises StoreError, OSError."""
        book, wanted = self._book, self._wanted
        goldens, keys = book.folder / "goldens", book.folder / "keys.json"
        if not keys.exists():
            GoldenKeys("shadow-1", {"shadow-1": new_secret()}).save(keys)
        resumed = self._stretch.cycles > 0
        book.add("session", {"stretch": self._stretch.number, "resumed": resumed, "workers": wanted.workers,
                             "options": list(wanted.options),
                             "faults": list(wanted.faults), "dropped_bytes": book.dropped})  # fmt: skip
        with closing(open_store(wanted.url)) as store:
            crew = Crew(wanted.url, wanted.workers, wanted.modules, goldens, keys, book.log_file)
            try:
                async with WorkflowEngine(store, self._skills) as engine:
                    recorder = GoldenRecorder(goldens, GoldenKeys.load(keys))
                    await self._cycles(engine, crew, recorder)
            finally:
                await asyncio.to_thread(crew.end)
        if not self._stopped.is_set():
            book.add("end", {"stretch": self._stretch.number})
        book.summarise(summary_of(book.records, self.state))
        self._told(book.records)

    async def _cycles(self, engine: WorkflowEngine, crew: Crew, recorder: GoldenRecorder) -> None:
        done, hours_told = self._stretch.cycles, self._elapsed() // _HOUR_SECONDS
        while not self._stopped.is_set() and not self._is_over(done):
            began = time.monotonic()
            await self._cycle(engine, crew, recorder)
            done += 1
            if self._elapsed() // _HOUR_SECONDS > hours_told:
                hours_told = self._elapsed() // _HOUR_SECONDS
                self._told(self._book.records)
            if not self._is_over(done):
                await self._pause(began + self._wanted.interval - time.monotonic())

    async def _cycle(self, engine: WorkflowEngine, crew: Crew, recorder: GoldenRecorder) -> None:
        book, wanted = self._book, self._wanted
        number = next_cycle(book.records)
        faults, revived = Counter[str](), list[str]()
        cycle = Cycle(number, engine, self._skills, wanted.kinds, recorder, wanted.patience)
        began = time.monotonic()
        injected = partial(inject, wanted.faults, crew, wanted.url, Random(f"faults {number}"), faults)
        try:
            await cycle.run(injected, lambda: revived.extend(crew.revive()))
        except Exception as error:
            # What could not be looked at does not count as equal; the next cycle may find things mended.
            cycle.found.miss("cycle", "", cycle.tenant, "", f"{type(error).__name__}: {error}")
        seconds = round(time.monotonic() - began, 3)
        record = book.add("cycle", {
            "cycle": number, "stretch": self._stretch.number, "stretch_seconds": round(self._elapsed(), 3),
            "tenant": cycle.tenant, "seconds": seconds, **cycle.found.to_json(),
            "faults": dict(sorted(faults.items())), "revived": revived,
        })  # fmt: skip
        book.summarise(summary_of(book.records, "running"))
        book.say(
            f"cycle {number}: {record['workflows']} workflows, {record['replays']} replays, {record['restorations']} "
            f"restorations, {record['golden_validations']} goldens, mismatches: {len(record['mismatches'])}, "
            f"{seconds:.1f} s"
        )
        await self._tell(cycle.found, number)

    async def _tell(self, found: Found, number: int) -> None:
        book, url = self._book, self._wanted.webhook
        for each in found.mismatches:
            book.say(f"mismatch in {each.tenant}/{each.run_id} ({each.check}): {each.message}")
        if url is None or not found.mismatches:
            return
        body: dict[str, Any] = {
            "event": "shadow.mismatch",
            "cycle": number,
            "mismatches": len(found.mismatches),
            "first": [each.to_json() for each in found.mismatches[:5]],
        }
        sent = await tell(url, body, self._secret)
        book.add("webhook", {"cycle": number, **sent._asdict()})
        book.summarise(summary_of(book.records, "running"))
        if not sent.sent:
            book.say(f"the webhook was not reached in {sent.tries} tries: {sent.error}")

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _is_over(self, done: int) -> bool:
        wanted = self._wanted
        enough = wanted.cycles is not None and done >= wanted.cycles
        return enough or (wanted.hours is not None and self._elapsed() >= wanted.hours * _HOUR_SECONDS)

    async def _pause(self, seconds: float) -> None:
        left = seconds
        if self._wanted.hours is not None:
            left = min(left, self._wanted.hours * _HOUR_SECONDS - self._elapsed())
        if left > 0:
            try:
                await asyncio.wait_for(self._stopped.wait(), left)
            except TimeoutError:
                return


def chosen_kinds(kinds: Sequence[Kind], names: Sequence[str]) -> list[Kind]:
    """Those of `kinds` that are named; all for no name. Raises CallError for one that there is not."""
    known = {kind.name: kind for kind in kinds}
    for name in names:
        if name not in known:
            raise CallError(Problem("", f"no kind is called {name[:40]!a}", f"use some of {','.join(known)}"))
    return [known[name] for name in names] or list(kinds)
