"""The pages of what is set once and looked at now and then: specs, policies, budgets, webhooks, schedules."""

from __future__ import annotations

import re

import httpx2
import pytest

from refold import WorkflowEngine
from refold.core.policy.document import Policy
from refold.tests.api.client import WAIT, Api

HOSTILE = '<i>"x"</i>'
PAGES = ("specs", "policies", "budgets", "webhooks", "schedules", "more")


def submit(console: Api, path: str, **fields: str) -> httpx2.Response:
    """Send a form with the token of its page."""
    found = re.search(r'name="csrf" value="([^"]+)"', console.get(path).text)
    assert found is not None, f"{path} has no form"
    return console.client.post(path, data={"csrf": found[1], **fields})


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_page_says_what_to_do(console: Api, name: str) -> None:
    text = console.get(f"/{name}").text
    assert 'class="empty"' in text or name == "more"
    assert console.get(f"/{name}", format="json").headers["content-type"] == "application/json"
    assert console.get(f"/{name}", no="such").status_code == 422


@pytest.mark.asyncio
async def test_specs_and_policies_are_shown_as_the_log_has_them(console: Api) -> None:
    async with WorkflowEngine(console.store) as engine:
        for version in ("1", "2"):
            await engine.specs.put({**WAIT, "version": version, "metadata": {"note": HOSTILE}}, by=HOSTILE)
        await engine.policies.adopt(Policy.parse({"policy": "house", "version": "1"}), HOSTILE)
    assert [each["version"] for each in console.get("/specs", format="json").json()["specs"]] == ["1", "2"]
    first = console.get("/specs/ask", version="1")
    assert first.status_code == 200 and HOSTILE not in first.text
    assert console.get("/specs/ask", format="json").json()["version"] == "2"
    assert console.get("/specs/none").status_code == 404
    policy = console.get("/policies/house")
    assert policy.status_code == 200 and "What it says" in policy.text
    assert console.get("/policies/other").status_code == 404


def test_a_budget_is_added_to(console: Api) -> None:
    account = "budget/agent/ada/2999-01"
    assert submit(console, "/budgets", account=account, cents="250", reason=HOSTILE).status_code == 303
    (row,) = console.get("/budgets", format="json").json()["accounts"]
    assert (row["account"], row["extra"], row["left"]) == (account, 250, 250)
    for cents in ("many", "nan"):
        assert submit(console, "/budgets", account=account, cents=cents, reason="x").status_code == 422
    assert console.get("/budgets", prefix="rate/", format="json").json()["accounts"] == []
