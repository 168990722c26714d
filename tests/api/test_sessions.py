"""Sessions of the console, by a small page that logs in and out; and what forms must carry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response

from refold.api import guard
from refold.api.access.access import access_of
from refold.api.access.csrf import check_form, csrf_token
from refold.api.access.sessions import choose_tenant, close_session, open_session, who
from refold.api.answers import answer
from refold.api.app import create_app
from refold.api.callers import Reader
from refold.compose import WorkflowEngine
from refold.core.ids import session_stream
from refold.eventstore.memory import MemoryStore
from refold.tests.api.client import WAIT, problem

pages = APIRouter()


@pages.get("/in")
async def page(request: Request) -> Response:
    """Who is here, and the token of the forms."""
    found = await who(request)
    return answer({"who": None if found is None else found.name, "token": csrf_token(request)})


@pages.post("/in")
async def log_in(request: Request) -> Response:
    """A form, as JSON."""
    form = await request.json()
    check_form(request, form)
    await open_session(request, form["key"])
    return answer({})


@pages.post("/out")
async def log_out(request: Request) -> Response:
    """A form, as JSON."""
    check_form(request, await request.json())
    await close_session(request)
    return answer({})


@pages.post("/deed")
async def deed(request: Request, caller: Reader) -> Response:
    """A form of the console, and which tenant it was about."""
    check_form(request, await request.json())
    choose_tenant(request, "other")
    return answer({"by": caller.name, "tenant": caller.tenant})


@pages.api_route("/revoked", methods=["GET", "POST"])
async def revoked_meanwhile(request: Request, caller: Reader) -> Response:
    """Whose key is revoked before the answer is there."""
    access = access_of(request)
    await access.control.revoke(request.headers["authorization"].split("_")[1])
    await access.keys.renew()
    return answer({"secret": caller.name})


class Site:
    """A browser at the site: it keeps cookies."""

    def __init__(self, app: FastAPI, engine: WorkflowEngine, store: MemoryStore, url: str):
        self.engine, self.store, self.app = engine, store, app
        self.browser = self.another(app, url)

    @staticmethod
    def another(app: FastAPI, url: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=url)

    async def token(self) -> str:
        return (await self.browser.get("/in")).json()["token"]

    async def known(self) -> None:
        """What was decided about keys is known to the server."""
        await self.app.state.access.keys.renew()

    def ends(self) -> int:
        """When the browser's session ends at the latest."""
        session = self.engine.access.session(self.browser.cookies["refold_session"].split("_")[1])
        assert session is not None
        return session.expires_at

    async def send(self, path: str, **fields: str) -> httpx2.Response:
        token = fields.pop("token", None) or await self.token()
        return await self.browser.post(path, json={"csrf": token, **fields})


@asynccontextmanager
async def site(url: str = "http://localhost", public_url: str | None = None) -> AsyncGenerator[Site]:
    with closing(MemoryStore()) as store:
        async with WorkflowEngine(store) as engine:
            app = create_app(engine, store, "", public_url=public_url)
            app.include_router(pages)
            found = Site(app, engine, store, url)
            async with found.browser:
                yield found


async def test_a_session_is_opened_by_a_key_looked_by_and_closed() -> None:
    async with site() as at:
        issued = await at.engine.access.create("ada", ["read", "run"], tenant=None)
        assert (await at.browser.get("/in")).json()["who"] is None
        opened = await at.send("/in", key=f" {issued.text}\n")
        (cookie,) = opened.headers.get_list("set-cookie")
        assert cookie.startswith("refold_session=rfs_") and "; HttpOnly; SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert (await at.browser.get("/in")).json()["who"] == "ada"
        assert (await at.browser.get("/v1/runs")).status_code == 200
        problem(await at.browser.post("/v1/runs", json={"spec": WAIT}), 401, "CREDENTIALS_REFUSED")
        assert (await at.send("/deed")).json() == {"by": "ada", "tenant": "default"}
        assert (await at.send("/deed")).json() == {"by": "ada", "tenant": "other"}
        text = at.browser.cookies["refold_session"]
        await at.send("/out")
        problem(await at.browser.get("/v1/runs"), 401, "CREDENTIALS_REFUSED")
        again = await at.browser.get("/v1/runs", headers={"cookie": f"refold_session={text}"})
        problem(again, 401, "CREDENTIALS_REFUSED")
        stored = at.store.read(session_stream(text.split("_")[1]))
        assert [record.topic for record in stored] == ["session.opened", "session.closed"]
        assert text.rpartition("_")[2].encode() not in b"".join(record.state for record in stored)


async def test_a_session_dies_with_its_key() -> None:
    async with site() as at:
        issued = await at.engine.access.create("ada", ["read"])
        await at.send("/in", key=issued.text)
        assert (await at.browser.get("/v1/runs")).status_code == 200
        await at.engine.access.revoke(issued.key.key_id)
        deadline = time.monotonic() + 30
        while (await at.browser.get("/v1/runs")).status_code != 401:
            assert time.monotonic() < deadline, "it still counts"
            await asyncio.sleep(0.1)


async def test_who_waited_for_an_answer_is_not_told_it_once_the_key_is_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LOOK_SECONDS", 0)
    async with site() as at:
        for method, status in (("GET", 401), ("POST", 200)):
            issued = await at.engine.access.create(method, ["read"])
            await at.known()
            shown = {"authorization": f"Bearer {issued.text}"}
            answered = await at.browser.request(method, "/revoked", headers=shown)
            assert (answered.status_code, "secret" in answered.json()) == (status, status == 200)


async def test_a_session_dies_with_the_secret_that_opened_it() -> None:
    async with site() as at:
        issued = await at.engine.access.create("ada", ["read"])
        key_id = issued.key.key_id
        await at.send("/in", key=issued.text)
        await at.engine.access.rotate(key_id, overlap_seconds=60)
        await at.known()
        assert (await at.browser.get("/v1/runs")).status_code == 200  # Until the overlap ends.
        before = at.ends()
        await at.send("/in", key=issued.text)
        assert at.ends() < before - 3_600_000_000
        renewed = await at.engine.access.rotate(key_id, overlap_seconds=0)
        await at.known()
        problem(await at.browser.get("/v1/runs"), 401, "CREDENTIALS_REFUSED")
        await at.send("/in", key=renewed.text)
        assert (await at.browser.get("/v1/runs")).status_code == 200


async def test_a_wrong_key_opens_nothing_and_sets_no_session() -> None:
    async with site() as at:
        await at.engine.access.create("ada", ["read"])
        refused = await at.send("/in", key="rfk_nonsense")
        problem(refused, 401, "CREDENTIALS_REFUSED")
        assert "refold_session" not in refused.headers.get("set-cookie", "")


@pytest.mark.parametrize("keyed", [False, True], ids=["open", "keyed"])
async def test_a_form_without_the_token_of_its_browser_is_refused(keyed: bool) -> None:
    async with site() as at:
        if keyed:
            issued = await at.engine.access.create("ada", ["read"])
            await at.send("/in", key=issued.text)
        right = await at.token()
        assert (await at.send("/deed", token=right)).status_code == 200
        for wrong in ("x", right[:-1], right + "é", "\\ud800"):
            sent = await at.browser.post("/deed", content=f'{{"csrf": "{wrong}"}}'.encode())
            problem(sent, 403, "FORM_REFUSED")
        at.browser.cookies.delete("refold_form")
        if not keyed:
            problem(await at.browser.post("/deed", json={"csrf": right}), 403, "FORM_REFUSED")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost:81"},
        {"origin": "null"},
        {"origin": "http://evil.example"},
    ],
    ids=str,
)
async def test_a_form_from_elsewhere_is_refused_even_with_the_token(headers: dict[str, str]) -> None:
    async with site() as at:
        token = await at.token()
        problem(await at.browser.post("/deed", json={"csrf": token}, headers=headers), 403, "FORM_REFUSED")
        here = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
        assert (await at.browser.post("/deed", json={"csrf": token}, headers=here)).status_code == 200


async def test_by_https_cookies_are_for_this_very_host_and_browsers_insist_on_it() -> None:
    async with site("http://refold.example", "https://refold.example") as at:
        issued = await at.engine.access.create("ada", ["read"])
        asked = await at.browser.get("/in")
        (cookie,) = asked.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-refold-form=") and cookie.endswith("; Secure")
        assert asked.headers["strict-transport-security"].startswith("max-age=")
        token, told = asked.json()["token"], {"cookie": cookie.partition(";")[0]}
        opened = await at.browser.post("/in", json={"csrf": token, "key": issued.text}, headers=told)
        session = opened.headers["set-cookie"]
        assert session.startswith("__Host-refold=rfs_") and "; Path=/; " in session and "; Secure" in session
        other = await at.browser.get("/health", headers={"host": "other.example"})
        problem(other, 421, "INPUT_INVALID")
