"""Signing in, the keys, the inbox of approvals, and the pages for auditors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from refold import SkillRegistry, open_store
from refold.api.places import Places
from refold.replay.log_tree import update
from refold.replay.signing_keys import SigningKey
from refold.replay.tree_folder import TreeFolder
from refold.replay.tree_heads import TreeHead, sign_head
from refold.tests.api.client import WAIT, Api
from refold.tests.support.served import served, working
from refold.tests.support.workflows import SOON_SECONDS

HOSTILE = "<img src=x onerror=alert(1)>"
ASK = {
    "workflow_type": "deploy",
    "steps": [
        {
            "step_id": "ship",
            "skill_id": "approval",
            "inputs": {"reason": HOSTILE, "approvers": ["ada", "bob"], "details": {"build": HOSTILE}},
        }
    ],
}


def token(client: httpx2.Client, page: str) -> str:
    """The token that the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(page).text)
    assert found is not None, f"{page} has no form"
    return found[1]


def submit(client: httpx2.Client, path: str, page: str, **fields: str | list[str]) -> httpx2.Response:
    """Send a form with the token of `page`."""
    return client.post(path, data={"csrf": token(client, page), **fields})


def made_key(client: httpx2.Client, **fields: str | list[str]) -> str:
    """A key that the page of keys has made."""
    page = submit(client, "/keys", "/keys", **fields)
    found = re.search(r'class="secret" data-copy="(rfk_[^"]+)"', page.text)
    assert page.status_code == 201 and found is not None
    return found[1]


def test_without_keys_nobody_has_to_sign_in(console: Api) -> None:
    assert "Nobody has to" in console.get("/login").text
    assert console.get("/runs").status_code == 200


def test_from_the_first_key_on_pages_lead_to_the_login_and_back(console: Api) -> None:
    every = ["run", "read", "audit", "operate", "admin"]
    key = made_key(console.client, name="root", everywhere="yes", scope=every)
    away = console.get("/failures")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2Ffailures")
    wrong = submit(console.client, "/login", "/login", credential=key[:-1] + "~")
    assert wrong.status_code == 401 and "does not count here" in wrong.text
    done = submit(console.client, "/login", "/login", credential=key, next="/failures")
    assert (done.status_code, done.headers["location"]) == (303, "/failures")
    assert "root" in console.get("/failures").text
    submit(console.client, "/logout", "/login")
    assert console.get("/failures").status_code == 303


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/login"]
)
def test_after_the_login_nobody_is_led_elsewhere(console: Api, place: str) -> None:
    key = made_key(console.client, name="root", everywhere="yes", scope=["read", "admin"])
    done = submit(console.client, "/login", "/login", credential=key, next=place)
    assert (done.status_code, done.headers["location"]) == (303, "/runs")


def test_a_secret_is_shown_once_and_a_key_of_one_tenant_sees_its_own(console: Api) -> None:
    root = made_key(console.client, name="root", everywhere="yes", scope=["read", "admin"])
    submit(console.client, "/login", "/login", credential=root)
    assert root not in console.get("/keys").text
    other = made_key(console.client, name="other", tenant="acme", scope=["read", "admin"])
    listed = {each["name"]: each for each in console.get("/keys", format="json").json()["keys"]}
    assert listed["other"]["tenant"] == "acme" and "secret_sha256" not in listed["other"]
    submit(console.client, "/login", "/login", credential=other)
    assert [each["name"] for each in console.get("/keys", format="json").json()["keys"]] == ["other"]
    assert console.get("/workers").status_code == 403
    refused = submit(console.client, "/keys", "/keys", name="more", everywhere="yes", scope=["read"])
    assert refused.status_code == 422
    key_id = listed["root"]["key_id"]
    assert submit(console.client, f"/keys/{key_id}/revoke", "/keys").status_code == 404
    submit(console.client, f"/keys/{listed['other']['key_id']}/revoke", "/keys", reason="leaked")
    assert console.get("/keys").status_code == 303, "the session ended with its key"


def test_actions_are_shown_only_to_who_may_do_them(console: Api) -> None:
    console.start(run_id="r-1")
    key = made_key(console.client, name="looks", tenant="default", scope=["read"])
    submit(console.client, "/login", "/login", credential=key)
    text = console.get("/emergency-stop").text
    assert "Stop something" not in text and console.get("/emergency-stop/confirm").status_code == 403
    assert console.get("/audit").status_code == 403


def asked(console: Api) -> None:
    """The run `deploy-7`, which waits for people."""
    console.start(ASK, "deploy-7")
    with working(console.store, SkillRegistry()):
        end = time.monotonic() + SOON_SECONDS
        while not console.get("/v1/runs/deploy-7").json()["waiting_for"]:
            assert time.monotonic() < end, "the run does not come to wait"
            time.sleep(0.01)


def test_an_approval_is_shown_with_its_details_and_decided(console: Api) -> None:
    asked(console)
    (shown,) = console.get("/approvals", format="json").json()["approvals"]
    assert (shown["details"], shown["approvers"]) == ({"build": HOSTILE}, ["ada", "bob"])
    text = console.get("/approvals").text
    assert HOSTILE not in text and "&lt;img src=x" in text and '"/approvals/deploy-7"' in text
    said = {"step_id": "ship", "action": "grant", "by": "ada", "comment": HOSTILE, "to": "zoe"}
    done = submit(console.client, "/approvals/deploy-7", "/approvals/deploy-7", **said)
    assert (done.status_code, done.headers["location"]) == (303, "/approvals/deploy-7")
    (decided,) = console.get("/approvals/deploy-7", format="json").json()["approvals"]
    assert (decided["status"], decided["granted"]) == ("granted", ["ada"])
    assert console.get("/approvals", format="json").json()["approvals"] == []
    assert "deploy-7" in console.get("/approvals", status="granted").text
    again = console.client.post("/approvals/deploy-7", data={"csrf": token(console.client, "/keys"), **said})
    assert again.status_code == 409


def test_nothing_waits_is_said_plainly(console: Api) -> None:
    assert "Nothing waits for" in console.get("/approvals").text
    assert console.get("/approvals/no-such-run").status_code == 404


def test_a_run_is_proved_on_its_page(console: Api) -> None:
    console.start(run_id="r-1")
    led = console.get("/audit", run="r-1")
    assert (led.status_code, led.headers["location"]) == (303, "/audit/runs/r-1")
    model = console.get("/audit/runs/r-1", format="json").json()
    assert (model["ok"], model["inclusion"]) == (True, None)
    text = console.get("/audit/runs/r-1").text
    assert "✓ Proved" in text and "refold audit verify" in text
    assert console.get("/audit/runs/nobody").status_code == 404
    assert "REFOLD_AUDIT" in console.get("/audit").text


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of a server that knows the tree over its log, which was signed after the run `r-1` began."""
    with closing(open_store("memory:")) as store:
        tree, key = TreeFolder(tmp_path / "tree"), SigningKey.generate("example.com/log")
        with served(store, Places(tree=tree.root)) as base, httpx2.Client(base_url=base, timeout=60) as client:
            assert client.post("/v1/runs", json={"spec": WAIT, "run_id": "r-1"}).status_code == 201
            update(store, tree)
            with tree.writing():
                tree.write("checkpoint", sign_head(TreeHead(key.name, tree.size, tree.head_root), key))
            assert client.post("/v1/runs", json={"spec": WAIT, "run_id": "r-2"}).status_code == 201
            yield client


def test_what_is_in_the_published_tree_is_shown_leaf_by_leaf(audited: httpx2.Client) -> None:
    inside = audited.get("/audit/runs/r-1?format=json").json()["inclusion"]
    assert [each["leaf"] for each in inside["proofs"]] == [0] and inside["fault"] is None
    outside = audited.get("/audit/runs/r-2?format=json").json()["inclusion"]
    assert "newer" in outside["fault"] and outside["proofs"] == []
    page = audited.get("/audit?old=1").text
    assert "example.com/log" in page and "begins with that of 1" in page
    assert "the older size comes first" in audited.get("/audit?old=900").text
