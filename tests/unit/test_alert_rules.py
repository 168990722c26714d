"""Every alert can be relied on by who is woken by it: it is tested, told in words, and leads to what to do."""

from __future__ import annotations

import re
import stat
from typing import Any

import pytest
import yaml

from refold.tests.support.root_package import ROOT

ALERTS = ROOT / "ops/alerts"
RULES: list[tuple[str, dict[str, Any]]] = [
    (group["name"], rule)
    for group in yaml.safe_load((ALERTS / "refold.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
WANTED = {
    "determinism": "ReplayFailures! GoldenMismatch! SeedDrift",
    "execution": "FailureRateHigh BudgetExceeded TimeoutRate",
    "checkpoint": "SaveFailures! SaveLatencyHigh StaleRunning",
    "sandbox": "ForbiddenSkillAttempts! RejectionRate",
    "performance": "LatencyHigh StepLatencyHigh QueueBacklog",
    "cost": "CostSpike StepCostAnomaly",
    "service": "WorkerDown! StoreUnreachable! ProjectionStalled! DiskFull! "
    "ShadowDead LogStale WebhookFailures ClockSkew",
}
"""What is critical has an exclamation mark."""


def test_the_groups_have_their_alerts_with_their_severities() -> None:
    found: dict[str, list[str]] = {}
    for group, rule in RULES:
        assert rule["labels"]["group"] == group, rule["alert"]
        found.setdefault(group, []).append(rule["alert"] + "!" * (rule["labels"]["severity"] == "critical"))
    assert {group: " ".join(names) for group, names in found.items()} == WANTED
    assert {rule["labels"]["severity"] for _, rule in RULES} == {"critical", "warning"}


@pytest.mark.parametrize("rule", [rule for _, rule in RULES], ids=lambda rule: rule["alert"])
def test_an_alert_is_seen_to_fire_and_to_be_quiet_and_leads_to_its_section(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    cases = [case for case in expected() if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases), f"no test in which {name} fires"
    assert any(not case["exp_alerts"] for case in cases), f"no test in which {name} is quiet"
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", (ROOT / page).read_text(), re.M | re.S)
    assert anchor == name.lower() and section, f"{name} leads nowhere"
    missing = [part for part in ("Means", "Look", "Cure", "Over") if f"**{part}**" not in section[1]]
    assert not missing, f"the runbook does not say of {name}: {missing}"


def test_prometheus_may_read_the_files_whoever_it_runs_as() -> None:
    closed = [file for file in ALERTS.rglob("*.yaml") if stat.S_IMODE(file.stat().st_mode) != 0o644]
    assert not closed, f"not 0644: {closed}"


def expected() -> list[dict[str, Any]]:
    """What the rules' own tests expect of alerts."""
    files = [yaml.safe_load(file.read_text()) for file in sorted((ALERTS / "tests").glob("*.yaml"))]
    return [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
