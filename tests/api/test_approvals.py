"""Approvals over HTTP: what is asked, and deciding it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from refold import SkillRegistry
from refold.tests.api.client import Api, problem
from refold.tests.support.served import working
from refold.tests.support.workflows import SOON_SECONDS, spec, step

ASK = spec(step("ask", "approval", inputs={"reason": "ship it", "approvers": ["ada", "bob"], "quorum": 2}))


def asked(api: Api) -> None:
    """The run `r`, which waits for people."""
    api.start(ASK, "r")
    with working(api.store, SkillRegistry()):
        end = time.monotonic() + SOON_SECONDS
        while not api.get("/v1/runs/r").json()["waiting_for"]:
            assert time.monotonic() < end, "the run does not come to wait"
            time.sleep(0.01)


def test_a_decision_is_answered_with_how_the_approval_stands(api: Api) -> None:
    asked(api)
    (waiting,) = api.get("/v1/runs/r").json()["waiting_for"]
    assert waiting["approval"] == {"reason": "ship it", "approvers": ["ada", "bob"], "quorum": 2, "granted": []}
    first = api.post("/v1/runs/r/approvals", {"action": "grant", "by": "ada", "comment": "fine", "key": "k"})
    assert first.status_code == 200 and first.json()["status"] == "open" and first.json()["granted"] == ["ada"]
    again = api.post("/v1/runs/r/approvals", {"action": "grant", "by": "ada", "comment": "fine", "key": "k"})
    assert again.json() == first.json()
    last = api.post("/v1/runs/r/approvals", {"action": "grant", "by": "bob", "step_id": "ask"})
    assert last.json()["status"] == "granted"
    listed = api.get("/v1/runs/r/approvals").json()["approvals"]
    assert listed == [last.json()]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "grant", "by": "mallory"}, 403, "APPROVER_UNKNOWN"),
        ({"action": "grant", "by": "ada", "step_id": "no"}, 404, "APPROVAL_NOT_FOUND"),
        ({"action": "delegate", "by": "ada", "to": "bob"}, 409, "DELEGATION_REFUSED"),
        ({"action": "seize", "by": "ada"}, 422, "INPUT_INVALID"),
        ({"action": "grant"}, 422, "INPUT_INVALID"),
        ({"action": "grant", "by": 7}, 422, "INPUT_INVALID"),
        ({"action": "grant", "by": "ada", "force": True}, 422, "INPUT_INVALID"),
    ],
)
def test_what_cannot_be_decided_is_a_problem_document(memory_api: Api, body: Any, status: int, code: str) -> None:
    asked(memory_api)
    problem(memory_api.post("/v1/runs/r/approvals", body), status, code)


def test_what_is_decided_is_decided(memory_api: Api) -> None:
    asked(memory_api)
    assert memory_api.post("/v1/runs/r/approvals", {"action": "reject", "by": "ada"}).json()["status"] == "rejected"
    problem(memory_api.post("/v1/runs/r/approvals", {"action": "grant", "by": "bob"}), 409, "APPROVAL_DECIDED")
    problem(memory_api.post("/v1/runs/none/approvals", {"action": "grant", "by": "bob"}), 404, "RUN_NOT_FOUND")
