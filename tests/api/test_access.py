"""Who may ask: keys, scopes, tenants, sessions, and what a page of another site can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
import pytest

from refold.api.access.attempts import ALLOWED, Attempts
from refold.compose import WorkflowEngine
from refold.core.ids import ACCESS
from refold.core.runtime.access_control import AccessControl
from refold.tests.api.client import WAIT, Api, problem

T = TypeVar("T")


def decided(api: Api, work: Callable[[AccessControl], Awaitable[T]]) -> T:
    """What another process decides about keys, in the same store."""

    async def main() -> T:
        async with WorkflowEngine(api.store) as engine:
            return await work(engine.access)

    return asyncio.run(main())


def key(api: Api, *scopes: str, tenant: str | None = "default", name: str = "", **more: Any) -> str:
    named = name or "-".join((tenant or "all", *scopes))
    return decided(api, lambda access: access.create(named, scopes or ("read",), tenant=tenant, **more)).text


def bearer(text: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}", **more}


def get(api: Api, path: str, text: str = "", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.get(path, headers={**(bearer(text) if text else {}), **named})


def until(answer: Callable[[], httpx2.Response], status: int) -> httpx2.Response:
    """The answer once it has this status: what another process decided is known within a second."""
    deadline = time.monotonic() + 30
    while (found := answer()).status_code != status:
        assert time.monotonic() < deadline, f"still {found.status_code}, not {status}"
        time.sleep(0.1)
    return found


def test_without_any_key_this_machine_may_do_everything(memory_api: Api) -> None:
    assert memory_api.start().status_code == 201
    assert memory_api.get("/v1/keys").json() == {"keys": [], "next_cursor": None}


def test_from_the_first_key_on_one_is_asked_for_and_every_wrong_one_is_told_the_same(memory_api: Api) -> None:
    good = key(memory_api, "read")
    expired = key(memory_api, "read", name="expired", expires_in=1)
    revoked = key(memory_api, "read", name="revoked")
    decided(memory_api, lambda access: access.revoke(revoked.split("_")[1]))
    first = until(lambda: get(memory_api, "/v1/runs"), 401)
    until(lambda: get(memory_api, "/v1/runs", expired), 401)
    wrong = [
        {},
        bearer(revoked),
        bearer(expired),
        bearer(good[:-1] + ("0" if good[-1] != "0" else "1")),
        bearer("rfk_" + "0" * 16 + good[20:]),
        bearer("eyJhbGciOiJub25lIn0.e30."),
        {"authorization": "Basic cmVmb2xkOnJlZm9sZA=="},
        {"authorization": f"Bearer {good} {good}"},
        {"cookie": "refold_session=" + good.replace("rfk", "rfs")},
    ]
    for headers in wrong:
        answer = memory_api.client.get("/v1/runs", headers=headers)
        problem(answer, 401, "CREDENTIALS_REFUSED")
        assert (answer.content, answer.headers["www-authenticate"]) == (first.content, 'Bearer realm="refold"')
    assert get(memory_api, "/v1/runs", good).status_code == 200
    assert memory_api.get("/health").status_code == 200


def test_two_keys_at_once_are_none(memory_api: Api) -> None:
    good = key(memory_api, "read")
    until(lambda: get(memory_api, "/v1/runs", good), 200)
    twice = [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
    assert memory_api.client.get("/v1/runs", headers=twice).status_code == 401


def test_the_scope_that_lacks_is_named_and_none_implies_another(memory_api: Api) -> None:
    audit, admin = key(memory_api, "audit"), key(memory_api, "admin")
    until(lambda: get(memory_api, "/v1/runs"), 401)
    assert "the scope read" in problem(get(memory_api, "/v1/runs", audit), 403, "SCOPE_MISSING")["detail"]
    assert "the scope read" in problem(get(memory_api, "/v1/runs", admin), 403, "SCOPE_MISSING")["detail"]
    answer = memory_api.client.post("/v1/runs", json={"spec": WAIT}, headers=bearer(audit))
    assert "the scope run" in problem(answer, 403, "SCOPE_MISSING")["detail"]


def test_a_tenants_key_sees_its_tenant_and_one_for_all_says_which(memory_api: Api) -> None:
    assert memory_api.start(run_id="mine").status_code == 201
    ours, everyone = key(memory_api, "read"), key(memory_api, "read", tenant=None)
    theirs = key(memory_api, "read", tenant="other")
    until(lambda: get(memory_api, "/v1/runs"), 401)
    assert get(memory_api, "/v1/runs/mine", ours).status_code == 200
    missing = get(memory_api, "/v1/runs/none", theirs).content.replace(b"none", b"mine")
    assert get(memory_api, "/v1/runs/mine", theirs).content == missing
    problem(get(memory_api, "/v1/runs/mine", theirs, refold_tenant="default"), 403, "SCOPE_MISSING")
    problem(get(memory_api, "/v1/workers", ours), 403, "SCOPE_MISSING")
    assert get(memory_api, "/v1/workers", everyone).status_code == 200
    assert get(memory_api, "/v1/runs/mine", everyone).status_code == 200
    assert get(memory_api, "/v1/runs/mine", everyone, refold_tenant="other").status_code == 404
    problem(get(memory_api, "/v1/runs", everyone, refold_tenant="a/b"), 422, "INPUT_INVALID")


def test_a_key_that_is_rotated_counts_with_both_secrets_and_when_revoked_with_neither(memory_api: Api) -> None:
    old = key(memory_api, "read")
    key_id = old.split("_")[1]
    until(lambda: get(memory_api, "/v1/runs"), 401)
    new = decided(memory_api, lambda access: access.rotate(key_id, overlap_seconds=3600)).text
    until(lambda: get(memory_api, "/v1/runs", new), 200)
    assert get(memory_api, "/v1/runs", old).status_code == 200
    decided(memory_api, lambda access: access.revoke(key_id))
    until(lambda: get(memory_api, "/v1/runs", new), 401)
    assert get(memory_api, "/v1/runs", old).status_code == 401


def test_who_guesses_is_told_to_wait_and_who_has_a_key_is_not(memory_api: Api) -> None:
    good = key(memory_api, "read")
    until(lambda: get(memory_api, "/v1/runs"), 401)
    answers = [get(memory_api, "/v1/runs", "rfk_guessed") for _ in range(ALLOWED + 2)]
    assert [answer.status_code for answer in answers] == [401] * ALLOWED + [429] * 2
    problem(answers[-1], 429, "CREDENTIALS_THROTTLED")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert get(memory_api, "/v1/runs", good).status_code == 200


def test_failures_are_forgotten_after_a_minute_and_guessers_do_not_fill_the_memory() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(ALLOWED + 1):
        attempts.failed("here")
    assert attempts.wait("here") == 60 and attempts.wait("there") == 0
    now[0] = 60.0
    assert attempts.wait("here") == 0
    for number in range(20_000):
        attempts.failed(f"address {number}")
    assert len(attempts._found) == 10_000  # pyright: ignore[reportPrivateUsage]


def test_keys_are_made_over_http_told_once_and_recorded_with_who_did_it(api: Api) -> None:
    problem(api.post("/v1/keys", {"name": "ci", "scopes": ["run"]}), 422, "INPUT_INVALID")
    first = api.post("/v1/keys", {"name": "root", "scopes": ["admin", "read", "run"], "all_tenants": True})
    assert first.status_code == 201 and first.headers["cache-control"] == "no-store"
    root = bearer(first.json()["key"])
    assert api.get("/v1/keys").status_code == 401
    made = api.client.post("/v1/keys", json={"name": "ci", "scopes": ["run"], "expires_in_seconds": 60}, headers=root)
    key_id = made.json()["key_id"]
    turned = api.client.post(f"/v1/keys/{key_id}/rotate", json={}, headers=root)
    assert made.status_code == 201 and turned.json()["old_secret_until"] is not None
    gone = api.client.post(f"/v1/keys/{key_id}/revoke", json={"reason": "lost"}, headers=root).json()
    assert (gone["status"], gone["revoked_by"], gone["reason"]) == ("revoked", "root", "lost")
    listed = api.client.get("/v1/keys", headers=root).json()["keys"]
    assert [each["name"] for each in listed] == ["root", "ci"]
    assert [each["created_by"] for each in listed] == ["", "root"]
    stored = b"".join(record.state for record in api.store.read(ACCESS))
    for answer in (first, made, turned):
        secret = answer.json()["key"].rpartition("_")[2]
        assert len(secret) == 43 and secret.encode() not in stored and secret not in str(listed)


def test_nobody_gives_away_what_they_may_not_do(memory_api: Api) -> None:
    everyone = key(memory_api, "admin", "run", tenant=None, name="everyone")
    mine = key(memory_api, "admin", "read", name="mine")
    until(lambda: get(memory_api, "/v1/runs"), 401)

    def ask(path: str, **body: Any) -> httpx2.Response:
        return memory_api.client.post(f"/v1/keys{path}", json=body, headers=bearer(mine))

    for body in (
        {"name": "a", "scopes": ["run"]},
        {"name": "a", "scopes": ["read"], "all_tenants": True},
        {"name": "a", "scopes": ["read"], "tenant": "other"},
    ):
        problem(ask("", **body), 403, "SCOPE_MISSING")
    strong = key(memory_api, "operate", name="strong").split("_")[1]
    until(lambda: get(memory_api, f"/v1/keys/{strong}", mine), 200)
    problem(ask(f"/{strong}/rotate"), 403, "SCOPE_MISSING")
    assert ask("", name="fine", scopes=["read"]).status_code == 201
    problem(ask("", name="fine", scopes=["read"]), 422, "INPUT_INVALID")
    problem(ask("", name="everyone", scopes=["read"]), 422, "INPUT_INVALID")
    problem(ask(f"/{everyone.split('_')[1]}/revoke"), 404, "KEY_NOT_FOUND")
    assert {each["name"] for each in get(memory_api, "/v1/keys", mine).json()["keys"]} == {"mine", "strong", "fine"}


def test_when_a_key_was_last_used_is_told(api: Api) -> None:
    used = key(api, "admin")
    until(lambda: get(api, "/v1/keys", used), 200)
    shown = f"/v1/keys/{used.split('_')[1]}"
    deadline = time.monotonic() + 30
    while get(api, shown, used).json()["last_used_at"] is None:
        assert time.monotonic() < deadline, "the use is not noted"


def test_an_approval_is_decided_in_the_name_of_the_key(memory_api: Api) -> None:
    steps = [{"step_id": "ask", "skill_id": "wait_approval", "inputs": {"approvers": ["ada", "bob"], "reason": "x"}}]
    memory_api.start({"workflow_type": "asking", "steps": steps})
    ada, operator = key(memory_api, "run", name="ada"), key(memory_api, "run", "operate", name="operator")
    until(lambda: get(memory_api, "/v1/runs"), 401)

    def say(who: str, **body: Any) -> httpx2.Response:
        told = {"action": "comment", "comment": "well", **body}
        return memory_api.client.post("/v1/runs/r/approvals", json=told, headers=bearer(who))

    problem(say(ada, by="bob"), 403, "SCOPE_MISSING")
    assert say(ada).json().get("code") != "SCOPE_MISSING"
    assert say(operator, by="bob").json().get("code") != "SCOPE_MISSING"


@pytest.mark.parametrize("path", ["/health", "/v1/runs", "/v1/nothing", "/v1/openapi.json"])
def test_every_answer_says_what_browsers_may_do_with_it(memory_api: Api, path: str) -> None:
    headers = memory_api.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store" and "strict-transport-security" not in headers


def test_other_names_are_refused_without_keys_and_taken_with_them(memory_api: Api) -> None:
    problem(get(memory_api, "/health", host="evil.example"), 421, "INPUT_INVALID")
    good = key(memory_api, "read")
    until(lambda: get(memory_api, "/v1/runs"), 401)
    assert get(memory_api, "/v1/runs", good, host="refold.example").status_code == 200


def test_without_keys_a_page_of_another_site_changes_nothing(memory_api: Api) -> None:
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost:1"},
    ):
        problem(memory_api.client.post("/v1/runs", json={"spec": WAIT}, headers=headers), 403, "FORM_REFUSED")
    assert memory_api.get("/v1/runs").json()["runs"] == []
