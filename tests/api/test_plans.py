"""Plans over HTTP: looked at, not run."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any

import httpx2
import pytest

from refold.tests.api.client import Api, problem
from refold.tests.support.workflows import spec, step


def post(api: Api, path: str, **body: Any) -> httpx2.Response:
    return api.post(path, body)


DENY = {"policy": "p", "version": "1", "rules": [{"rule": "no", "match": {"skill": "echo"}, "deny": "not here"}]}


def test_a_plan_is_evaluated_and_nothing_is_recorded(api: Api) -> None:
    before = api.store.last_position()
    allowed = post(api, "/v1/plans:evaluate", plan=spec(step("a")))
    assert (allowed.status_code, allowed.json()["status"]) == (200, "allowed")
    refused = post(api, "/v1/plans:evaluate", plan=spec(step("a")), policy=DENY).json()
    assert refused["status"] == "refused" and refused["findings"][0]["reason"] == "not here"
    assert refused["policies"][0].startswith("p#1@")
    invalid = post(api, "/v1/plans:evaluate", plan={"steps": []})
    assert (invalid.status_code, invalid.json()["status"]) == (200, "invalid") and invalid.json()["problems"]
    assert api.store.last_position() == before


def test_a_plan_is_a_planners_unless_it_is_said_otherwise(memory_api: Api) -> None:
    plan = spec(step("a", "shell_exec"))
    assert post(memory_api, "/v1/plans:evaluate", plan=plan).json()["status"] == "refused"
    trusted = post(memory_api, "/v1/plans:evaluate", plan=plan, source="").json()
    assert trusted["status"] == "allowed" and trusted["unknown_skills"] == ["shell_exec"]


def test_a_spec_is_simulated(api: Api) -> None:
    asked = spec(step("a", "sleep", seconds=3, estimated_cost_cents=2), step("b", "sleep", seconds=1, depends_on=["a"]))
    budget = {"policy": "p", "version": "1", "budgets": [{"scope": "agent", "cents": 1}]}
    found = post(api, "/v1/specs:simulate", spec=asked, policy=budget, agent_id="ada").json()
    assert found["status"] == "refused" and found["evaluation"]["findings"][0]["code"] == "BUDGET_EXCEEDED"
    assert found["critical_path"] == ["a", "b"] and found["time"]["expected_seconds"] == 4
    assert found["cost"] == {"expected_cents": 2, "worst_cents": 2, "unpriced_steps": 1}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"plan": []}, "/plan"),
        ({"plan": {}, "spec": {}}, "/spec"),
        ({"plan": {}, "source": "elsewhere"}, "/source"),
        ({"plan": {}, "policy": {"policy": "p"}}, "/policy"),
        ({"plan": {}, "agent_id": 7}, "/agent_id"),
        ({"plan": {}, "queue": "a/b"}, ""),
    ],
)
def test_a_body_that_cannot_be_is_a_problem_with_a_pointer(memory_api: Api, body: Any, pointer: str) -> None:
    refused = problem(memory_api.post("/v1/plans:evaluate", body), 422, "INPUT_INVALID")
    assert refused["problems"][0]["pointer"] == pointer


def test_a_megabyte_of_encodings_does_not_keep_others_from_an_answer(memory_api: Api) -> None:
    nested = b"'; DROP TABLE users; --"
    while len(nested) < 600_000:
        nested = base64.b64encode(nested * 2)
    plan = spec(*(step(f"s{number}", text=nested.decode()[:300_000]) for number in range(4)))
    done = threading.Event()
    answered: list[Any] = []

    def evaluate() -> None:
        try:
            answered.append(httpx2.post(f"{memory_api.url}/v1/plans:evaluate", json={"plan": plan}, timeout=100))
        finally:
            done.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    meanwhile = 0
    while not done.is_set():
        assert memory_api.client.get("/health").status_code == 200
        meanwhile += 1
        time.sleep(0.001)
    thread.join()
    assert answered[0].json()["status"] == "refused"
    assert meanwhile > 1, "the event loop answered nobody while the plan was looked at"
