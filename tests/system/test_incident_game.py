"""The incident game: each incident raises its alert, is named by a command, is cured by the commands that the runbook
has for that alert, and is over: the alert goes, the log verifies, and runs go all the way again.

`make incident-game ROUNDS=5` plays it so often, and says in a table what happened when.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from refold.tests.system.incident_site import Site, cures, site
from refold.tests.system.incidents import INCIDENTS, Incident

ROUNDS = int(os.environ.get("REFOLD_INCIDENT_ROUNDS", "1"))
SEED = int(os.environ.get("REFOLD_INCIDENT_SEED", str(random.SystemRandom().randrange(10**6))))
ONLY = os.environ.get("REFOLD_INCIDENT_ONLY", "")


class Played(NamedTuple):
    """What happened, and after how many seconds."""

    incident: str
    alert: str
    after: float
    named_by: str
    cured: float
    resolved: float

    def __str__(self) -> str:
        alert = f"{self.alert} after {self.after:.1f} s"
        cured = f"runbook, in {self.cured:.1f} s"
        return f"{self.incident:<28}{alert:<34}{self.named_by:<24}{cured:<22}resolved after {self.resolved:.1f} s"


@pytest.mark.timeout(300 + 240 * ROUNDS)
def test_each_incident_is_told_named_cured_by_the_runbook_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"\nthe incident game, {ROUNDS} rounds: REFOLD_INCIDENT_SEED={SEED}")  # noqa: T201
    for name, value in {
        "REFOLD_GOLDENS": str(tmp_path / "game/disk/goldens"),
        "REFOLD_GOLDEN_KEYS": str(tmp_path / "game/golden-keys.json"),
        "REFOLD_WEBHOOK_KEYS": str(tmp_path / "game/webhook-keys.json"),
        "REFOLD_WEBHOOK_ALLOW": "127.0.0.1",
        "REFOLD_WEBHOOK_HTTP": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("ROUNDS", "SEED", "ONLY"):
        monkeypatch.delenv(f"REFOLD_INCIDENT_{name}", raising=False)
    dice = random.Random(SEED)
    with site(tmp_path / "game") as installed:
        installed.alarms.calm()
        for _ in range(ROUNDS):
            wanted = [each for each in INCIDENTS if ONLY in each.name]
            for incident in dice.sample(wanted, len(wanted)):
                print(f"  {_played(installed, incident)}", flush=True)  # noqa: T201


def _played(installed: Site, incident: Incident) -> Played:
    alarms = installed.alarms
    began = time.monotonic()
    known = incident.cause(installed)
    with alarms.fires(incident.alert, **incident.labels):
        after = time.monotonic() - began
        named = incident.look(installed, known)
        cured = time.monotonic()
        installed.cure(cures(incident.alert)[incident.block], **named)
        took = time.monotonic() - cured
    resolved = time.monotonic() - cured
    incident.over(installed, known)
    installed.service.run("verify", "--all")
    installed.works()
    alarms.calm()  # What followed from the incident is over too.
    return Played(incident.name, incident.alert, after, incident.named_by, took, resolved)
