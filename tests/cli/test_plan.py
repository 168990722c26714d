"""`refold plan check`: the sandbox over the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold, Write

GOOD = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}
BAD = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "shell_exec"}]}


def test_a_valid_plan_a_refused_one_and_one_that_is_no_spec(refold: Refold, write: Write, folder: Path) -> None:
    good = refold("plan", "check", write({"step_id": "a", "skill_id": "echo"}))
    assert (good.code, good.out) == (0, "valid (rules 1)\n")
    bad = refold("plan", "check", write({"step_id": "a", "skill_id": "shell_exec"}))
    assert bad.code == 6 and "skill.forbidden  /steps/0/skill_id" in bad.out and "refused (rules 1)" in bad.out
    (folder / "no.json").write_text('{"steps": []}')
    assert refold("plan", "check", "no.json").code == 2
    (folder / "no.json").write_text("{")
    broken = refold("plan", "check", "no.json")
    assert broken.code == 2 and "no.json" in broken.err
    assert refold("plan", "check", "missing.json").code == 2


def test_plans_on_stdin_get_a_verdict_a_line(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join([json.dumps(GOOD), "{", json.dumps(BAD)])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = refold("plan", "check", "-", "--json")
    assert [line["valid"] for line in done.lines] == [True, False, False] and done.code == 6
    assert [found["rule"] for line in done.lines for found in line["violations"]] == ["plan.invalid", "skill.forbidden"]


def test_rules_come_from_a_file_and_decodings_are_explained(refold: Refold, write: Write, folder: Path) -> None:
    (folder / "rules.yaml").write_text("version: ours\nforbidden_skills: [echo]\n")
    plan = write({"step_id": "a", "skill_id": "echo", "inputs": {"x": "%7B%7B7*7%7D%7D"}})
    done = refold("plan", "check", plan, "--rules", "rules.yaml", "--explain")
    assert done.code == 6 and "skill.forbidden" in done.out and "(rules ours)" in done.out
    assert "decoded: percent" in done.out
    (folder / "rules.yaml").write_text("forbidden_skills: []\n")
    assert refold("plan", "check", plan, "--rules", "rules.yaml").code == 2
