"""The soak: `python -P -m refold.tests.soak.campaign --minutes 60`, or `make soak MINUTES=60`.

Real processes work under a load of every kind of run, with a random fault every few seconds; then all is calm, and it
is judged what became of it. REFOLD_SOAK_SEED begins another series, REFOLD_SOAK_FOLDER names the folder of logs, the
journal of faults and the report.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from refold import Client

from .alarms import Alarms, Alert, alarms_of
from .faults import KINDS, Kind
from .journal import Fault, Journal
from .judging import Verdict, judge
from .load import Load
from .memory import Memory
from .places import Place, Supervisor
from .report import write_report
from .soak_site import Site, site

ALERT_SECONDS = 120
"""How long a fault waits at most for its alert, while no other one hides it."""

WARM_SECONDS = 180
"""How long processes may take to begin."""

RESOLVED_SECONDS = 180
"""How long an alert may stay after the cure."""


@dataclass(frozen=True)
class Plan:
    """How long a soak lasts, calm not counted, how often faults come (`pauses`, seconds from and to), how many runs a
    second are started, whether alerts are looked at, and what is written where."""

    seconds: float
    seed: int
    folder: Path
    pauses: tuple[float, float] = (5, 40)
    rate: float = 4
    alerts: bool = True
    only: tuple[str, ...] = ()
    shortened: float = 1
    """By what the time of faults is multiplied where alerts are not looked at."""
    calm: int = 60
    """For how many seconds no alert may fire in the end."""


class Campaign:
    """One soak under way."""

    def __init__(self, plan: Plan, at: Site, journal: Journal, alarms: Alarms | None):
        self.plan = plan
        self.site = at
        self.journal = journal
        self.alarms = alarms
        self.random = Random(plan.seed)
        self.memory = Memory()
        self.faults: list[Fault] = []
        self.deaths: list[str] = []
        self._taken: set[str] = set()
        self._alerts: dict[int, Alert] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.supervisor = Supervisor(at.places, self.memory, self._died)

    def _died(self, place: Place, code: int, settled: bool) -> None:
        """Somebody has ended by itself. That it found no database as it began is no fault of its own."""
        self.journal.write("ended by itself", place=place.name, code=code, settled=settled)
        self.deaths.append(f"{place.name} ended with {code}")
        if settled or code not in (5, -9):
            self.site.find(f"{place.name} ended by itself with {code}: {place.said()[-600:]}")

    async def torment(self) -> None:
        """Do faults until the time is up; return when the last is cured."""
        while self.journal.now < self.plan.seconds:
            pause = self.random.uniform(*self.plan.pauses)
            await asyncio.sleep(min(pause, max(self.plan.seconds - self.journal.now, 0)))
            if self.journal.now < self.plan.seconds and (chosen := self._choose()) is not None:
                self._begin(*chosen)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _choose(self) -> tuple[Kind, str] | None:
        """A kind that can be done now, those done least before others, and what it is done to."""
        early = self.journal.now < self.plan.seconds / 2 * 0.9
        able = [
            (kind, target)
            for kind in KINDS
            if (early or not kind.early) and (not kind.needs or kind.needs in self.site.can)
            if not self.plan.only or kind.name in self.plan.only
            for target in kind.takes
            if self._taken.isdisjoint((target, *kind.spares))
        ]
        if not able:
            return None
        done = [sum(fault.kind == kind.name for fault in self.faults) for kind, _ in able]
        weights = [1 / (1 + count - min(done)) ** 2 for count in done]
        return self.random.choices(able, weights)[0]

    def _begin(self, kind: Kind, target: str) -> None:
        fault = Fault(len(self.faults) + 1, kind.name, target, kind.alert, self.journal.now)
        self.faults.append(fault)
        self._taken.update((target, *kind.spares))
        random = Random(f"{self.plan.seed} {fault.number}")
        task = asyncio.create_task(self._do(kind, fault, random))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, kind: Kind, fault: Fault, random: Random) -> None:
        self.journal.write("fault", number=fault.number, kind=kind.name, target=fault.target)
        doing = kind.do(self.site, fault, random)
        try:
            async for _ in doing:
                await self._last(kind, fault)
            fault.cured = self.journal.now
            self.journal.write("cured", number=fault.number, kind=kind.name, fired=fault.fired, notes=fault.notes)
        except Exception as error:
            self.site.find(f"fault {fault.number} ({kind.name}): {type(error).__name__}: {error}")
            self.journal.write("failed", number=fault.number, kind=kind.name, error=str(error))
        finally:
            self._taken.difference_update((fault.target, *kind.spares))
        await self._resolve(fault)

    async def _last(self, kind: Kind, fault: Fault) -> None:
        """Wait until its time is over and its alert has come."""
        await asyncio.sleep(kind.seconds * self.plan.shortened if self.alarms is None else kind.seconds)
        if self.alarms is None or kind.alert is None:
            return
        alert, left = None, ALERT_SECONDS
        while alert is None and left > 0:
            alert = await self.alarms.until_fires(kind.alert, fault.begun, 1)
            left -= not self._hidden(fault)
        since = None if alert is None else self.alarms.since(alert)
        if alert is None or since is None:
            self.site.find(f"fault {fault.number} ({kind.name} {fault.target}): {kind.alert} did not fire")
            return
        self._alerts[fault.number] = alert
        fault.already = since < fault.begun
        fault.fired = None if fault.already else since

    def _hidden(self, fault: Fault) -> bool:
        """Whether another fault keeps those from telling who would: its alert may take longer then."""
        others = [each.target for each in self.faults if each.cured is None and each is not fault]
        return any(target in ("database", "projector", "server") for target in others)

    async def _resolve(self, fault: Fault) -> None:
        alert = self._alerts.get(fault.number)
        if self.alarms is not None and alert is not None and await self.alarms.until_gone(alert, RESOLVED_SECONDS):
            fault.resolved = self.journal.now

    async def progress(self, load: Load) -> None:
        """Say now and then how far it is."""
        while True:
            lasting = [fault.kind for fault in self.faults if fault.cured is None]
            firing = [] if self.alarms is None else self.alarms.firing()
            line = (
                f"{self.journal.now:6.0f} of {self.plan.seconds:.0f} s  {len(load.started)} runs  "
                f"{len(self.faults)} faults, now: {', '.join(lasting) or 'none'}  alerts: {', '.join(firing) or 'none'}"
                f"  findings: {len(self.site.findings)}"
            )
            say(line)
            await asyncio.sleep(1 if sys.stderr.isatty() else 15)


def say(line: str) -> None:
    """A line for people; on a terminal it is written over."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)  # noqa: T201
    else:
        print(line, file=sys.stderr, flush=True)  # noqa: T201


async def soak(plan: Plan) -> Verdict:
    """Do it all; the verdict. The folder keeps journal, logs and report."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(plan.folder / "journal.jsonl")
    say(f"soak of {plan.seconds:.0f} s, seed {plan.seed}, in {plan.folder}\n")
    megabytes = 600 + int(plan.seconds / 60 * plan.rate * 2)
    async with site(plan.folder, megabytes, plan.alerts) as at:
        journal.write("begin", seed=plan.seed, seconds=plan.seconds, without=sorted({"disk", "clock"} - at.can))
        await at.prepare()
        async with alarms_of(at, journal, plan.alerts) as alarms:
            campaign = Campaign(plan, at, journal, alarms)
            async with _supervised(campaign), Client(at.server_url, patience=10) as client:
                load = Load(client, plan.rate, Random(plan.seed + 1))
                await _run(campaign, load)
                verdict = await judge(campaign, load)
            verdict.failures += await asyncio.to_thread(at.end)
    journal.close()
    write_report(plan.folder, verdict)
    return verdict


@asynccontextmanager
async def _supervised(campaign: Campaign) -> AsyncGenerator[None]:
    for place in campaign.site.places:
        place.start()
    watching = asyncio.create_task(campaign.supervisor.run())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _warm(campaign: Campaign, load: Load) -> None:
    """Wait until the processes are there, and no alert says that they are not."""
    give_up = campaign.journal.now + WARM_SECONDS
    calm_since: float | None = None
    while calm_since is None or campaign.journal.now < calm_since + 5:
        await asyncio.sleep(0.5)
        calm = load.started and (campaign.alarms is None or not campaign.alarms.firing())
        calm_since = None if not calm else campaign.journal.now if calm_since is None else calm_since
        if campaign.journal.now > give_up:
            raise RuntimeError("the processes do not begin: " + " ".join(p.said() for p in campaign.site.places))


async def _run(campaign: Campaign, load: Load) -> None:
    """Load and faults for the time that it shall take; then no faults, and what was begun is told to the server."""
    starting = asyncio.create_task(load.run())
    await _warm(campaign, load)
    campaign.journal.began = asyncio.get_running_loop().time()
    telling = asyncio.create_task(campaign.progress(load))
    try:
        await campaign.torment()
    finally:
        campaign.site.mend()
        for task in (starting, telling):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    campaign.journal.write("calm")
    await load.finish()


async def _until_signalled(plan: Plan) -> Verdict | None:
    """The soak; None if Ctrl-C or SIGTERM came, which end it with all that it has started."""
    work = asyncio.create_task(soak(plan))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if all was as it must be, 1 if not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("REFOLD_SOAK_MINUTES", "60")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("REFOLD_SOAK_SEED", "0")))
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("REFOLD_SOAK_FOLDER", "refold-soak")))
    parser.add_argument("--rate", type=float, default=4.0, help="runs a second")
    parser.add_argument("--pauses", type=float, nargs=2, default=(5, 40), help="seconds between faults, from and to")
    parser.add_argument("--without-alerts", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="KIND", help="only faults of this kind")
    given = parser.parse_args(arguments)
    seed = given.seed or int.from_bytes(os.urandom(4))
    folder = given.folder.absolute() / f"seed-{seed}"
    alerts, only = not given.without_alerts, tuple(given.only)
    plan = Plan(given.minutes * 60, seed, folder, tuple(given.pauses), given.rate, alerts, only)
    verdict = asyncio.run(_until_signalled(plan))
    if verdict is None:
        say(f"\nstopped; everything is ended, the journal is in {folder}\n")
        return 130
    print((folder / "report.md").read_text())  # noqa: T201
    return 0 if verdict.fine else 1


if __name__ == "__main__":
    sys.exit(main())
