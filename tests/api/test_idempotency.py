"""The header Idempotency-Key: one key, one request, on every server, also when two are asked at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from refold import open_store
from refold.api.places import Places
from refold.core.ids import requests_of
from refold.tests.api.client import WAIT, Api, problem
from refold.tests.support.served import served

REQUESTS: list[tuple[str, Any, Any]] = [
    ("/v1/runs", {"spec": WAIT}, {"spec": WAIT, "seed": 1}),
    ("/v1/runs", {"spec": WAIT, "run_id": "named"}, {"spec": WAIT, "run_id": "other"}),
    ("/v1/runs/r/signal", {"name": "go", "payload": 1}, {"name": "go", "payload": 2}),
    ("/v1/runs/r/pause", {"reason": "a"}, {"reason": "b"}),
    ("/v1/runs/r/resume", {}, {"key": "x"}),
    ("/v1/runs/r/cancel", {}, {"force": True}),
    ("/v1/runs/r/fork", {"changes": {"/inputs/x": 1}}, {"changes": {"/inputs/x": 2}}),
]


@pytest.mark.parametrize(
    ("path", "body", "other"), REQUESTS, ids=[f"{path}-{n}" for n, (path, *_) in enumerate(REQUESTS)]
)
def test_a_key_stands_for_one_request(memory_api: Api, path: str, body: Any, other: Any) -> None:
    memory_api.start(inputs={"x": 0})
    first = memory_api.post(path, body, Idempotency_Key="order 17")
    assert first.is_success, first.text
    written = memory_api.store.last_position()
    again = memory_api.post(path, body, Idempotency_Key="order 17")
    assert again.json() == first.json() and again.headers.get("location") == first.headers.get("location")
    problem(memory_api.post(path, other, Idempotency_Key="order 17"), 409, "IDEMPOTENCY_CONFLICT")
    elsewhere = "/v1/runs/r/signal" if path != "/v1/runs/r/signal" else "/v1/runs/r/pause"
    bodies = {"name": "go"} if elsewhere.endswith("signal") else {}
    problem(memory_api.post(elsewhere, bodies, Idempotency_Key="order 17"), 409, "IDEMPOTENCY_CONFLICT")
    assert memory_api.store.last_position() == written


def test_what_is_refused_leaves_the_key_free(memory_api: Api) -> None:
    for path, body, status in (
        ("/v1/runs", {"spec": {}}, 422),
        ("/v1/runs", {"workflow": "no name!"}, 422),
        ("/v1/runs/nobody/signal", {"name": "go"}, 404),
        ("/v1/runs/nobody/fork", {"from_step": "a"}, 404),
    ):
        assert memory_api.post(path, body, Idempotency_Key="k").status_code == status
    assert memory_api.store.last_position() == 0
    assert memory_api.start(run_id=None).status_code == 201


def test_the_log_has_neither_the_key_nor_the_request(memory_api: Api) -> None:
    memory_api.post("/v1/runs", {"spec": WAIT, "agent_id": "canary"}, Idempotency_Key="my secret key")
    keyed = [
        each.record for each in memory_api.store.follow(0, 10) if each.record.stream.startswith(requests_of("default"))
    ]
    assert len(keyed) == 1 and b"canary" not in keyed[0].state
    assert "my secret key" not in str([each.record for each in memory_api.store.follow(0, 10)])


def test_of_two_requests_at_once_on_two_servers_the_key_stands_for_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(open_store(url)) as one, closing(open_store(url)) as two, served(one) as a, served(two) as b:

        def post(number: int) -> tuple[int, str]:
            body = {"spec": WAIT, "seed": number % 2}
            headers = {"idempotency-key": "the same"}
            answered = httpx2.post(f"{(a, b)[number // 2 % 2]}/v1/runs", json=body, headers=headers, timeout=60)
            return answered.status_code, answered.json().get("code", "")

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, range(8)))
        assert sorted(status for status, _ in answers) == [200] * 3 + [201] + [409] * 4
        assert {code for status, code in answers if status == 409} == {"IDEMPOTENCY_CONFLICT"}
        assert len(httpx2.get(f"{a}/v1/runs").json()["runs"]) == 1


SECRETS: list[tuple[str, Any]] = [
    ("/v1/keys", {"name": "root", "scopes": ["admin", "read"], "all_tenants": True}),
    ("/v1/webhooks", {"url": "https://example.com/hook", "patterns": ["run.*"]}),
]


@pytest.mark.parametrize(("path", "body"), SECRETS, ids=[path for path, _ in SECRETS])
def test_what_was_answered_with_a_secret_is_done_once_and_the_secret_is_told_once(
    tmp_path: Path, path: str, body: Any
) -> None:
    with closing(open_store("memory:")) as store, served(store, Places(webhook_keys=tmp_path / "keys")) as base:
        headers = {"idempotency-key": "k"}
        first = httpx2.post(f"{base}{path}", json=body, headers=headers)
        assert first.status_code == 201, first.text
        secret = first.json().get("key") or first.json()["secret"]
        who = {"authorization": f"Bearer {secret}"} if path == "/v1/keys" else {}
        written = store.last_position()
        again = httpx2.post(f"{base}{path}", json=body, headers={**headers, **who})
        problem(again, 409, "IDEMPOTENCY_CONFLICT")
        assert "secret was told in that answer alone" in again.text and secret not in again.text
        assert store.last_position() == written
        (listed,) = next(iter(httpx2.get(f"{base}{path}", headers=who).json().values()))
        assert listed["description" if path == "/v1/webhooks" else "name"] in ("", "root")


def test_a_budget_is_topped_up_once_for_each_key(memory_api: Api) -> None:
    path, body = "/v1/budgets/budget/agent/ada/2026-11/top-ups", {"cents": 5, "reason": "more"}
    first = memory_api.post(path, body, Idempotency_Key="k")
    assert first.status_code == 201, first.text
    again = memory_api.post(path, body, Idempotency_Key="k")
    assert (again.status_code, again.json()) == (201, first.json())
    memory_api.post(path, body)
    problem(memory_api.post(path, {**body, "cents": 6}, Idempotency_Key="k"), 409, "IDEMPOTENCY_CONFLICT")
    assert [each.record.topic for each in memory_api.store.follow(0, 10)].count("budget.topped_up") == 2


def test_a_release_that_is_sent_again_does_not_release_what_was_stopped_since(memory_api: Api) -> None:
    path = "/v1/control/emergency-stop"
    memory_api.post(path, {}, Idempotency_Key="stop")
    assert len(memory_api.post(f"{path}/release", {}, Idempotency_Key="go").json()["released"]) == 1
    assert memory_api.post(path, {}).json()["status"] == "STOPPED"
    again = memory_api.post(f"{path}/release", {}, Idempotency_Key="go").json()
    assert (again["released"], again["status"]) == ([], "STOPPED")
