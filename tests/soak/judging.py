"""What became of a soak: every run is at its end, every proof holds, nobody has grown, every alert came and went."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from refold import Client, StoreUnreachableError
from refold.api.client.gateway import ListedRun
from refold.projections.standings import standings
from refold.replay.shadow_workload import MODULE

from .journal import Fault
from .load import Load
from .memory import Growth
from .places import command

if TYPE_CHECKING:
    from .campaign import Campaign

QUIET_SECONDS = 600
"""How long runs may take to end, and projections to come up, when all is calm."""


@dataclass
class Verdict:
    """What came out. `failures` says what is not as it must be."""

    seed: int
    seconds: float
    started: int = 0
    ended: dict[str, int] = field(default_factory=dict[str, int])
    events: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])
    growths: list[Growth] = field(default_factory=list[Growth])
    proofs: dict[str, Any] = field(default_factory=dict[str, Any])
    deaths: list[str] = field(default_factory=list[str])
    alerts: bool = True
    without: list[str] = field(default_factory=list[str])
    calm_alerts: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])

    @property
    def fine(self) -> bool:
        """Whether all is as it must be."""
        return not self.failures


async def judge(campaign: Campaign, load: Load) -> Verdict:
    """Wait until all is quiet, then look at everything."""
    plan, site = campaign.plan, campaign.site
    verdict = Verdict(plan.seed, plan.seconds, alerts=campaign.alarms is not None)
    verdict.without = sorted({"disk", "clock"} - site.can)
    verdict.faults, verdict.deaths = campaign.faults, campaign.deaths
    verdict.started = len(load.started)
    campaign.journal.write("quiet")
    failures = verdict.failures
    failures += await asyncio.to_thread(_quiet, campaign)
    if campaign.alarms is not None:
        verdict.calm_alerts = await _calm(campaign)
        failures += [f"in the calm after there was the alert {name}" for name in verdict.calm_alerts]
        told = {fault.alert for fault in campaign.faults if fault.fired is not None}
        failures += [f"nobody was told of {name}" for name in sorted(filter(None, told - campaign.alarms.told))]
    failures += load.errors
    await _look_at_runs(campaign, load, verdict)
    await asyncio.to_thread(_prove, campaign, verdict)
    until = campaign.journal.began + plan.seconds
    verdict.growths = campaign.memory.growths(campaign.journal.began + plan.seconds / 2, until)
    for growth in verdict.growths:
        if not growth.fine:
            failures.append(f"{growth.life.name} ({growth.life.pid}) grew by {growth.share:.1%} in the second half")
    failures += site.findings
    failures += [
        f"fault {fault.number} ({fault.kind}): {fault.alert} did not go away"
        for fault in verdict.faults
        if campaign.alarms is not None and fault.alert is not None and fault.raised and fault.resolved is None
    ]
    campaign.journal.write("judged", failures=failures)
    if failures:
        await asyncio.to_thread(_keep, campaign)
    return verdict


def _keep(campaign: Campaign) -> None:
    """Keep the log of all runs, to look into what failed: `refold --database … store import log.ndjson.gz`."""
    words = ["store", "export", str(campaign.plan.folder / "log.ndjson.gz")]
    subprocess.run(command(*words), capture_output=True, env={**os.environ, **campaign.site.direct})


def _quiet(campaign: Campaign) -> list[str]:
    """Wait until no run is open and every projection is at the end of the log."""
    give_up = time.monotonic() + QUIET_SECONDS
    store = campaign.site.store()
    try:
        while True:
            rows = store.dispatch.rows()
            behind = [each.of.name for each in standings(store) if each.of.active and each.lag.events]
            if not rows and not behind:
                return []
            if time.monotonic() > give_up:
                said = [f"the run {row} never ended" for row in rows[:20]]
                return said + [f"the projection {name} never came up" for name in behind]
            time.sleep(0.5)
    finally:
        store.close()


async def _calm(campaign: Campaign) -> list[str]:
    """The alerts that fire, or still fire, when alerts of the last faults have had their time."""
    assert campaign.alarms is not None
    await campaign.alarms.until_quiet(QUIET_SECONDS)
    seen = set(campaign.alarms.firing())
    for _ in range(campaign.plan.calm):
        await asyncio.sleep(1)
        seen |= set(campaign.alarms.firing())
    return sorted(seen)


async def _look_at_runs(campaign: Campaign, load: Load, verdict: Verdict) -> None:
    """Whether every run that was acknowledged is there, and ended as its kind does."""
    runs: dict[str, ListedRun] = {}
    async with Client(campaign.site.url) as client:
        cursor: str | None = None
        while True:
            try:
                page = await client.list(limit=200, cursor=cursor)
            except StoreUnreachableError as error:
                verdict.failures.append(f"the store is not there in the calm: {error}")
                return
            runs.update({run.run_id: run for run in page.runs})
            cursor = page.next_cursor
            if cursor is None:
                break
    verdict.ended = dict(Counter(run.status for run in runs.values()))
    for run_id, kind in load.started.items():
        run = runs.get(run_id)
        ends = (kind.status, "continued") if kind.name == "continue-as-new" else (kind.status,)
        if run is None:
            verdict.failures.append(f"the run {run_id} was acknowledged and is not there")
        elif run.status not in ends:
            told = f"{run.error_code}, begun {run.started_at}, ended {run.ended_at}"
            verdict.failures.append(f"the run {run_id} is {run.status}, not {kind.status}: {told}")
    with psycopg.connect(campaign.site.url) as connection:
        row = connection.execute("SELECT count(*) FROM stored_events").fetchone()
        verdict.events = 0 if row is None else row[0]


def _prove(campaign: Campaign, verdict: Verdict) -> None:
    """Every proof there is, by the commands that an operator has."""
    commands = {
        "verify": ["verify", "--all", "--json"],
        "replay": ["replay", "--all", "--skills", MODULE, "--json"],
        "goldens": ["golden", "verify", "--all", "--complete", "--json"],
    }
    for name, words in commands.items():
        environment = {**os.environ, **campaign.site.direct}
        done = subprocess.run(command(*words), capture_output=True, text=True, env=environment)
        (campaign.plan.folder / f"{name}.txt").write_text(done.stdout + done.stderr)
        lines = done.stdout.strip().splitlines()
        verdict.proofs[name] = _summary(lines[-1] if lines else "")
        if done.returncode:
            verdict.failures.append(f"refold {name} ended with {done.returncode}; see {name}.txt")


def _summary(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line
