"""`refold plan evaluate` and `refold plan simulate`: verdicts over the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from refold.tests.cli.driver import Refold, Write

GOOD: dict[str, Any] = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}
BAD: dict[str, Any] = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "shell_exec"}]}
POLICY = """
policy: p
version: "1"
rules:
  - {rule: no-echo, match: {skill: echo, agent: ada}, deny: ada does not echo}
limits:
  - {limit: slow, rate: {count: 1, seconds: 10}}
"""


@pytest.fixture(autouse=True)
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFOLD_POLICY", raising=False)


def test_a_plan_is_allowed_refused_by_a_policy_or_no_plan_at_all(refold: Refold, write: Write, folder: Path) -> None:
    plan = write({"step_id": "a", "skill_id": "echo"}, {"step_id": "b", "skill_id": "hash"})
    (folder / "p.yaml").write_text(POLICY)
    allowed = refold("plan", "evaluate", plan, "--policy", "p.yaml")
    assert allowed.code == 0 and "allowed  (p#1@" in allowed.out and "RATE_LIMITED" in allowed.out
    refused = refold("plan", "evaluate", plan, "--policy", "p.yaml", "--agent", "ada")
    assert refused.code == 6 and "POLICY_REFUSED  /steps/0 (a): ada does not echo [rule no-echo]" in refused.out
    (folder / "no.json").write_text('{"steps": []}')
    invalid = refold("plan", "evaluate", "no.json")
    assert invalid.code == 2 and "missing field 'workflow_type'" in invalid.out
    (folder / "no.json").write_text("{")
    broken = refold("plan", "evaluate", "no.json")
    assert broken.code == 2 and "no.json" in broken.err
    (folder / "p.yaml").write_text("policy: p")
    faulty = refold("plan", "evaluate", plan, "--policy", "p.yaml")
    assert faulty.code == 2 and "p.yaml" in faulty.err


def test_the_policy_of_the_process_counts_besides(
    refold: Refold, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "p.yaml").write_text(POLICY)
    monkeypatch.setenv("REFOLD_POLICY", "p.yaml")
    assert refold("plan", "evaluate", write({"step_id": "a", "skill_id": "echo"}), "--agent", "ada").code == 6


@pytest.mark.parametrize("command", ["evaluate", "simulate"])
def test_plans_on_stdin_get_a_verdict_a_line(refold: Refold, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join([json.dumps(GOOD), "{", json.dumps(BAD), "", json.dumps([])])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = refold("plan", command, "-", "--json")
    assert [line["status"] for line in done.lines] == ["allowed", "invalid", "refused", "invalid"] and done.code == 6


def test_a_planner_is_not_trusted_unless_it_is_said_that_the_plan_is(refold: Refold, write: Write) -> None:
    plan = write({"step_id": "a", "skill_id": "shell_exec"})
    assert refold("plan", "simulate", plan).code == 6
    trusted = refold("plan", "simulate", plan, "--source", "")
    assert trusted.code == 0 and "sandbox   skill.forbidden" in trusted.out
    assert refold("plan", "simulate", plan, "--source", "elsewhere").code == 2


def test_a_simulation_is_drawn_with_costs_bars_and_the_critical_path(refold: Refold, write: Write) -> None:
    plan = write(
        {"step_id": "a", "skill_id": "echo", "estimated_cost_cents": 4, "max_retries": 1},
        {"step_id": "b", "skill_id": "sleep", "inputs": {"seconds": 30}, "depends_on": ["a"]},
        {"step_id": "c", "skill_id": "sleep", "inputs": {"seconds": 10}, "depends_on": ["a"]},
    )
    done = refold("plan", "simulate", plan)
    assert done.code == 0
    for told in (
        "4 ct expected, 8 ct at worst",
        "critical path a → b",
        "3 steps, 2 one after the other, 2 side by side",
    ):
        assert told in done.out
    bars = {line.split()[0]: line for line in done.out.splitlines() if "█" in line or "━" in line}
    assert bars["b"].count("█") > 2 * bars["c"].count("━") > 0 and "█" not in bars["c"]


def test_skills_that_are_given_must_know_every_step(refold: Refold, write: Write, folder: Path) -> None:
    plan = write({"step_id": "a", "skill_id": "gate", "inputs": {"folder": "x"}})
    without = refold("plan", "simulate", plan)
    assert without.code == 0 and "unknown   skill gate" in without.out
    assert refold("plan", "simulate", plan, "--skills", "mine").code == 0
    assert refold("plan", "simulate", write({"step_id": "a", "skill_id": "gates"}), "--skills", "mine").code == 2


def test_no_database_is_made_and_one_that_is_there_is_only_read(refold: Refold, write: Write, folder: Path) -> None:
    plan = write({"step_id": "a", "skill_id": "echo"})
    refold("plan", "simulate", plan)
    assert not list(folder.glob("*.db"))
    assert refold("run", plan, "--database", "sqlite:///s.db").code == 0
    before = refold("verify", "--all", "--database", "sqlite:///s.db", "--json").lines[-1]
    assert refold("plan", "simulate", plan, "--database", "sqlite:///s.db").code == 0
    after = refold("verify", "--all", "--database", "sqlite:///s.db", "--json").lines[-1]
    assert (after["position"], after["head"], after["events"]) == (before["position"], before["head"], before["events"])
