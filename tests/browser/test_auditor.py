"""An auditor's day: what is proved shows green, one altered byte shows red, and what is taken away proves itself."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from refold.tests.browser.processes import PATIENCE_SECONDS, Service, eventually, service, start_run
from refold.tests.browser.watched import visitor

ORDER = [
    {"step_id": "price", "skill_id": "echo", "inputs": {"cents": "${inputs.cents}"}},
    {"step_id": "digest", "skill_id": "hash", "inputs": {"price": "${price.cents}"}},
    {"step_id": "receipt", "skill_id": "echo", "inputs": {"text": "${digest.sha256}"}},
]
RUNS = 40


@pytest.fixture
def audited(tmp_path: Path) -> Service:
    """A service with orders that have ended, whose processes are gone; `serve` begins a server."""
    with (
        service(tmp_path / "audited") as begun,
        httpx2.Client(base_url=begun.serve(), timeout=PATIENCE_SECONDS) as api,
    ):
        begun.worker()
        for number in range(RUNS):
            start_run(api, f"order-{number}", ORDER, inputs={"cents": 100 + number})
        query = {"status": "completed", "limit": 100}
        eventually(lambda: len(api.get("/v1/runs", params=query).json()["runs"]) == RUNS, "all runs end")
    return begun


def test_an_auditor_proves_runs_and_finds_the_altered_byte(audited: Service, browser: Browser, tmp_path: Path) -> None:
    try:
        with visitor(browser, audited.serve(), accept_downloads=True) as page:
            sees_the_chain_whole(page)
            sees_what_differs(page)
            certificate = replays_all(page, tmp_path)
            exported = exports_one(page, tmp_path)
        told = json.loads(audited.run("certificate", "verify", str(certificate), "--unsigned", "--log", "--json"))
        assert told["ok"], told
        with visitor(browser, "file://", offline=True) as page:
            reads_the_export(page, exported)
    finally:
        audited.close()
    with service(tmp_path / "forged") as copy:
        alter_one_byte(Path(audited.folder / "refold.db"), Path(copy.folder / "refold.db"))
        with visitor(browser, copy.serve()) as page:
            sees_where_the_chain_breaks(page)


def sees_the_chain_whole(page: Page) -> None:
    page.goto("/runs/order-7")
    expect(page.locator(".verdict")).to_contain_text("The chain of 5 events is intact")
    expect(page.locator(".strip rect.good")).to_have_count(5)
    expect(page.locator(".strip rect.bad")).to_have_count(0)


def sees_what_differs(page: Page) -> None:
    page.goto("/diff")
    page.get_by_role("textbox", name="Run", exact=True).fill("order-7")
    page.get_by_label("with").fill("order-8")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#first")).to_contain_text("107")
    expect(page.locator("#first")).to_contain_text("108")


def replays_all(page: Page, folder: Path) -> Path:
    """A replay of all orders, watched to its end; the certificate."""
    page.goto("/replays")
    page.get_by_label("Type").fill("order")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay runs of type order")
    page.evaluate("window.loadedOnce = true")
    expect(page.locator(".state")).to_contain_text("100 %")
    expect(page.locator(".proved")).to_contain_text(f"{RUNS} runs")
    assert page.evaluate("window.loadedOnce"), "the page was loaded again: it should follow by itself"
    with page.expect_download() as begun:
        page.get_by_role("link", name="Certificate").click()
    begun.value.save_as(folder / "certificate.json")
    return folder / "certificate.json"


def exports_one(page: Page, folder: Path) -> Path:
    page.goto("/runs/order-7")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Export").click()
    assert begun.value.suggested_filename == "order-7.html"
    begun.value.save_as(folder / "order-7.html")
    return folder / "order-7.html"


def reads_the_export(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("order-7")
    expect(page.locator(".verdict")).to_contain_text("verified")
    expect(page.locator("details.event")).to_have_count(5)
    page.locator("details.event > summary").nth(1).click()
    expect(page.locator("details.event").nth(1)).to_contain_text("price")
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px", "its style sheet does not count"


def alter_one_byte(original: Path, copy: Path) -> None:
    """A copy of the database in which the price of order-7 is another."""
    with sqlite3.connect(original) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        where = "originator_id = 'default/order-7' AND originator_version = 2"
        (state,) = target.execute(f"SELECT state FROM stored_events WHERE {where}").fetchone()
        altered = bytes(state).replace(b'"cents":107', b'"cents":907')
        assert altered != bytes(state), state
        target.execute(f"UPDATE stored_events SET state = ? WHERE {where}", (altered,))
    source.close()
    target.close()


def sees_where_the_chain_breaks(page: Page) -> None:
    page.goto("/runs/order-7")
    expect(page.locator(".verdict")).to_contain_text("What is stored is not what was recorded")
    expect(page.locator(".strip rect.bad").first).to_be_visible()
    page.locator(".findings a").first.click()
    expect(page).to_have_url(re.compile(r"/runs/order-7.*2"))
    expect(page.locator("#e2")).to_have_attribute("open", "")
    expect(page.locator("#e2 .finding").first).to_be_visible()
    page.goto("/runs/order-8")
    expect(page.locator(".verdict")).to_contain_text("verified")
