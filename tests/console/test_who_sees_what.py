"""What the pages show to whom: no more than the API would, and nothing that the caller could not do."""

from __future__ import annotations

import asyncio
import time

from refold import SkillRegistry, WorkflowEngine
from refold.core.access_log import Scope
from refold.tests.api.client import WAIT, Api

_SOON_SECONDS = 20


def waiting_run(console: Api) -> None:
    """Record the run `r`."""

    async def main() -> None:
        async with WorkflowEngine(console.store, SkillRegistry()) as engine:
            await engine.start(WAIT, "r")

    asyncio.run(main())


def key(console: Api, *scopes: Scope, tenant: str = "default") -> dict[str, str]:
    """The headers of a browser that shows a new key of these scopes, once the server knows of it."""

    async def main() -> str:
        async with WorkflowEngine(console.store, SkillRegistry()) as engine:
            return (await engine.access.create("+".join(scopes), scopes, tenant=tenant)).text

    headers = {"authorization": f"Bearer {asyncio.run(main())}", "accept": "text/html"}
    until = time.monotonic() + _SOON_SECONDS
    while f">{'+'.join(scopes)}<" not in console.client.get("/runs", headers=headers).text:
        assert time.monotonic() < until, "the server does not take the key"
        time.sleep(0.05)
    return headers


def test_a_reader_sees_a_run_and_no_button_that_would_be_refused(console: Api) -> None:
    waiting_run(console)
    page = console.client.get("/runs/r", headers=key(console, "read")).text
    assert "Proving runs takes the scope" in page and 'method="post"' not in page and "/export" not in page
    more = console.client.get("/runs/r", headers=key(console, "read", "run", "audit")).text
    assert 'action="/runs/r/cancel"' in more and "/export" in more and "is intact" in more


def test_a_page_leads_only_where_the_caller_is_served(console: Api) -> None:
    reader = key(console, "read")
    areas = console.client.get("/more?format=json", headers=reader).json()["areas"]
    shown = [place["href"] for area in areas for place in area["places"]]
    assert "/failures" in shown and not {"/keys", "/workers", "/audit", "/webhooks"} & {*shown}
    for href in shown:
        assert console.client.get(href, headers=reader).status_code == 200, href


def test_another_tenants_run_is_no_run_on_any_page(console: Api) -> None:
    waiting_run(console)
    other = key(console, "read", "run", "audit", tenant="other")
    for path in ("/runs/{}", "/runs/{}/export", "/diff?a={0}&b={0}"):
        there, missing = (console.client.get(path.format(run_id), headers=other) for run_id in ("r", "x"))
        assert there.status_code == 404, path
        assert there.text.replace("&#39;r&#39;", "&#39;x&#39;") == missing.text, path
    assert "No runs yet" in console.client.get("/runs", headers=other).text


def test_without_a_key_no_page_shows_anything(console: Api) -> None:
    waiting_run(console)
    key(console, "read")
    for path in ("/runs", "/runs/r", "/runs/r/export", "/diff", "/runs/r/events/1"):
        assert console.client.get(path, headers={"accept": "*/*"}).status_code == 401, path
    assert console.client.post("/runs/r/cancel", data={"key": "k"}, headers={"accept": "*/*"}).status_code == 401
