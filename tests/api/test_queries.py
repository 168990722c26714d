"""Queries over HTTP: a worker answers, and what nobody can answer is a problem document."""

from __future__ import annotations

from typing import Any

import pytest

from refold import SkillRegistry
from refold.tests.api.client import WAIT, Api, problem
from refold.tests.support.served import working
from refold.tests.support.shop import order


def test_a_worker_with_the_code_answers(api: Api) -> None:
    skills = SkillRegistry()
    skills.add_workflow(order)
    api.post("/v1/runs", {"workflow": "shop_order", "run_id": "r", "inputs": {"item": "lamp", "approvals": 1}})
    with working(api.store, skills):
        answered = api.post("/v1/runs/r/query", {"name": "approvals", "arguments": {"plus": 2}})
        assert (answered.status_code, answered.json()) == (200, {"answer": {"seen": 0, "of": 1, "sum": 2}})
        unknown = problem(api.post("/v1/runs/r/query", {"name": "colour"}), 422, "INPUT_INVALID")
        assert unknown["problems"][0]["fix"] == "it answers: approvals"


def test_without_a_worker_the_answer_says_that_there_is_none(memory_api: Api) -> None:
    memory_api.post("/v1/runs", {"workflow": "shop_order", "run_id": "r"})
    told = problem(memory_api.post("/v1/runs/r/query", {"name": "q", "timeout_seconds": 0.1}), 504, "QUERY_UNANSWERED")
    assert "no worker serves workflow shop_order" in told["detail"]


@pytest.mark.parametrize(
    ("run_id", "body", "status", "code"),
    [
        ("none", {"name": "q"}, 404, "RUN_NOT_FOUND"),
        ("spec", {"name": "q"}, 422, "INPUT_INVALID"),
        ("code", {}, 422, "INPUT_INVALID"),
        ("code", {"name": "no name"}, 422, "INPUT_INVALID"),
        ("code", {"name": "q", "timeout_seconds": 61}, 422, "INPUT_INVALID"),
        ("code", {"name": "q", "arguments": []}, 422, "INPUT_INVALID"),
    ],
)
def test_what_cannot_be_asked_is_refused(memory_api: Api, run_id: str, body: Any, status: int, code: str) -> None:
    memory_api.start(WAIT, "spec")
    memory_api.post("/v1/runs", {"workflow": "shop_order", "run_id": "code"})
    problem(memory_api.post(f"/v1/runs/{run_id}/query", body), status, code)


def test_a_list_is_filtered_by_attributes_in_their_own_form_only(memory_api: Api) -> None:
    memory_api.start(WAIT)
    found = memory_api.get("/v1/runs", attribute="item=lamp").json()
    assert found == {"runs": [], "next_cursor": None, "index": None}
    problem(memory_api.get("/v1/runs", attribute="item"), 422, "INPUT_INVALID")
