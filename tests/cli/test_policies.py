"""`refold policies`: checked, explained, and those that were in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold, Write

POLICY = """
policy: production
version: "3"
rules:
  - {rule: no-sql, match: {skill: "run_sql*"}, deny: plans do not write SQL}
limits:
  - {limit: calls, match: {skill: ask}, per: tenant, rate: {count: 50, seconds: 60}, places: 2, when_exceeded: fail}
budgets:
  - {scope: agent, cents: 700, period: day}
"""


@pytest.fixture(autouse=True)
def policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFOLD_POLICY", raising=False)
    (folder / "p.yaml").write_text(POLICY)


def test_a_policy_is_told_in_plain_words(refold: Refold) -> None:
    done = refold("policies", "check", "p.yaml")
    assert done.code == 0 and done.out.startswith("production#3@")
    assert "rule no-sql: steps whose skill is run_sql* may not run: plans do not write SQL" in done.out
    (told,) = refold("policies", "check", "p.yaml", "--json").lines
    assert told["policy"] == "production" and len(told["says"]) == 4


def test_faults_are_named_with_pointers(refold: Refold, folder: Path) -> None:
    (folder / "bad.yaml").write_text('policy: p\nversion: "1"\nrules: [{rule: a}, {rule: b, denny: x}]\n')
    done = refold("policies", "check", "bad.yaml", "--json")
    assert done.code == 2 and "bad.yaml" in done.out
    problems = done.lines[0]["error"]["problems"]
    assert [problem["pointer"] for problem in problems] == ["/rules/0", "/rules/1/denny"]
    assert refold("policies", "check", "none.yaml").code == 2


def test_what_applies_to_a_step_is_explained(refold: Refold) -> None:
    refused = refold("policies", "explain", "p.yaml", "--skill", "run_sql_now")
    assert refused.code == 6 and "refused by rule no-sql: POLICY_REFUSED: plans do not write SQL" in refused.out
    asked = refold(
        "policies", "explain", "p.yaml", "--skill", "ask", "--agent", "ada", "--tenant", "acme", "--cost", "5"
    )
    assert asked.code == 0 and "places/calls/acme: takes 1 of 2 places, else fails" in asked.out
    assert "rate/calls/acme: takes 1 of 50, one comes back in 1.2 s, else fails" in asked.out
    assert "budget/agent/ada/" in asked.out and "takes 5 of 700 cents" in asked.out
    (told,) = refold("policies", "explain", "p.yaml", "--skill", "ask", "--agent", "a", "--cost", "701", "--json").lines
    assert told["code"] == "BUDGET_EXCEEDED" and [each["kind"] for each in told["limits"]][-1] == "budget"
    nothing = refold("policies", "explain", "p.yaml", "--skill", "echo")
    assert nothing.code == 0 and "nothing in the policy is about such a step" in nothing.err
    assert refold("policies", "explain", "p.yaml", "--skill", "http_call", "--side-effect").code == 6


def test_policies_that_were_in_use_are_listed_and_shown(
    refold: Refold, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no policy was ever in use" in refold("policies", "list").err
    plan = write({"step_id": "a", "skill_id": "echo"})
    for version in ("3", "4"):
        (folder / "p.yaml").write_text(POLICY.replace('"3"', f'"{version}"'))
        monkeypatch.setenv("REFOLD_POLICY", "p.yaml")
        assert refold("run", plan).code == 0
        monkeypatch.delenv("REFOLD_POLICY")
    listed = refold("policies", "list", "--json").lines
    assert [(each["policy"], each["version"]) for each in listed] == [("production", "3"), ("production", "4")]
    assert all(each["adopted_at"].endswith("Z") and each["by"] for each in listed)
    told = refold("policies", "list").out
    assert told.count("production") == 2 and told.count("process ") == 2 and "{" not in told
    assert json.loads(refold("policies", "show", "production", "--json").out)["version"] == "4"
    shown = refold("policies", "show", "production#3")
    assert shown.code == 0 and '"version": "3"' in shown.out and "# in use since" in shown.out
    (folder / "again.yaml").write_text(shown.out)
    assert listed[0]["sha256"] == refold("policies", "check", "again.yaml", "--json").lines[0]["sha256"]
    assert refold("policies", "show", "production#9").code == 2
    verified = refold("verify", "--all", "--json")
    assert verified.code == 0 and any(line.get("about") == "the adopted policies" for line in verified.lines)
