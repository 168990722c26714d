"""An operator's day: real processes over each store, a worker that is killed, and only what a browser shows counts."""

from __future__ import annotations

import re
import subprocess

import httpx2
from playwright.sync_api import Browser, Locator, Page, expect

from refold.tests.browser.processes import PATIENCE_SECONDS, Service, kill, start_run
from refold.tests.browser.watched import visitor

GATED = [
    {"step_id": "pack", "skill_id": "echo", "inputs": {"pieces": 3}},
    {"step_id": "load", "skill_id": "gate", "inputs": {"name": "load"}, "depends_on": ["pack"]},
    {"step_id": "drive", "skill_id": "echo", "inputs": {"loaded": "${load.passed}"}},
    {"step_id": "hand_over", "skill_id": "wait_signal", "inputs": {"name": "signed"}, "depends_on": ["drive"]},
    {"step_id": "bill", "skill_id": "echo", "inputs": {"signature": "${hand_over}"}},
]
ASKED = [
    {"step_id": "ask", "skill_id": "approval", "inputs": {"reason": "Refund 80 €", "approvers": ["ada", "bob"]}},
    {"step_id": "refund", "skill_id": "echo", "inputs": {"by": "${ask.by}"}},
]
REFUSED = [
    {"step_id": "price", "skill_id": "echo", "inputs": {"cents": 4800}},
    {"step_id": "charge", "skill_id": "mendable", "inputs": {"name": "visa"}, "depends_on": ["price"]},
]
ENDLESS = [{"step_id": "wait", "skill_id": "wait_signal", "inputs": {"name": "never"}}]


def test_an_operator_follows_steers_and_mends_runs(shop: Service, browser: Browser) -> None:
    key = shop.run("keys", "create", "olga", *scopes("run", "read", "audit", "operate", "admin"), "--all-tenants")
    url, first = shop.serve(), shop.worker()
    shop.start("projector")
    headers = {"authorization": f"Bearer {key.strip()}"}
    with (
        httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS) as api,
        visitor(browser, url) as page,
    ):
        signs_in(page, key.strip())
        follows_a_run_through_the_death_of_its_worker(shop, page, api, first)
        pauses_resumes_and_signals(page)
        approves(page, api)
        cancels(page, api)
        retries_and_forks(shop, page, api)
        rebuilds(page, api)
        stops_everything_and_releases_it(page, api)


def signs_in(page: Page, key: str) -> None:
    page.goto("/runs")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fruns$|/login"))
    page.get_by_label("API key or token").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/runs$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    expect(page.get_by_title("Signed in as")).to_have_text("olga")


def follows_a_run_through_the_death_of_its_worker(
    shop: Service, page: Page, api: httpx2.Client, worker: subprocess.Popen[str]
) -> None:
    start_run(api, "delivery-1", GATED)
    shop.await_gate("load", worker.pid)
    page.goto("/runs")
    page.get_by_role("link", name="delivery-1").click()
    expect(status(page)).to_have_text(re.compile("running"))
    expect(step(page, "pack")).to_contain_text("completed")
    expect(page.locator("#events .event")).to_have_count(2)
    page.evaluate("window.loadedOnce = true")
    kill(worker)
    second = shop.worker()
    shop.await_gate("load", second.pid)
    shop.open_gate("load")
    expect(step(page, "drive")).to_contain_text("completed")
    expect(status(page)).to_have_text(re.compile("waiting"))
    expect(page.locator(".waits")).to_contain_text("the signal signed")
    assert page.evaluate("window.loadedOnce"), "the page was loaded again: it should follow by itself"


def pauses_resumes_and_signals(page: Page) -> None:
    act(page, "Pause", "Pause the run", Reason="lunch")
    expect(page.get_by_role("status").first).to_be_visible()
    expect(status(page)).to_have_text(re.compile("paused"))
    act(page, "Resume", "Resume the run")
    expect(status(page)).to_have_text(re.compile("waiting"))
    act(page, "Signal", "Send the signal", Payload='{"name": "Ines"}')
    expect(status(page)).to_have_text(re.compile("completed"))
    expect(step(page, "bill")).to_contain_text("Ines")
    expect(page.locator(".verdict")).to_contain_text("verified")


def approves(page: Page, api: httpx2.Client) -> None:
    start_run(api, "refund-1", ASKED)
    page.goto("/runs/refund-1")
    expect(status(page)).to_have_text(re.compile("waiting"))
    page.goto("/approvals/refund-1")
    card = page.locator(".approval")
    expect(card.get_by_role("heading")).to_have_text("Refund 80 €")
    if not card.get_by_label("Comment").is_visible():
        card.get_by_text("Decide").click()
    card.get_by_label("As").select_option("bob")
    card.get_by_label("Comment").fill("it was broken")
    card.get_by_role("button", name="Grant").click()
    page.goto("/runs/refund-1")
    expect(status(page)).to_have_text(re.compile("completed"))
    expect(step(page, "refund")).to_contain_text("bob")


def cancels(page: Page, api: httpx2.Client) -> None:
    start_run(api, "endless-1", ENDLESS)
    page.goto("/runs/endless-1")
    expect(status(page)).to_have_text(re.compile("waiting"))
    act(page, "Cancel", "Cancel the run", Reason="not wanted any more")
    expect(status(page)).to_have_text(re.compile("cancelled"))
    expect(page.locator("#failure")).to_contain_text("RUN_CANCELLED")


def retries_and_forks(shop: Service, page: Page, api: httpx2.Client) -> None:
    start_run(api, "payment-1", REFUSED)
    page.goto("/runs/payment-1")
    expect(status(page)).to_have_text(re.compile("failed"))
    expect(page.locator("#failure")).to_contain_text("CARD_DECLINED")
    shop.open_gate("visa")
    act(page, "Retry", "Retry as a new run")
    expect(page.get_by_text("Forked from")).to_be_visible()
    expect(status(page)).to_have_text(re.compile("completed"))
    expect(step(page, "charge")).to_contain_text("visa")
    act(page, "Fork", "Fork as a new run", Changes='/steps/price/output = {"cents": 5200}')
    expect(status(page)).to_have_text(re.compile("completed"))
    page.get_by_role("link", name="compare", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare two runs")
    expect(page.locator("#first")).to_contain_text("5200")


def rebuilds(page: Page, api: httpx2.Client) -> None:
    page.goto("/projections")
    page.locator("#runs").get_by_role("button", name="Rebuild").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Rebuild")
    page.evaluate("window.loadedOnce = true")
    expect(page.locator(".state")).to_contain_text("completed")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    assert page.evaluate("window.loadedOnce"), "the page was loaded again: it should follow by itself"


def stops_everything_and_releases_it(page: Page, api: httpx2.Client) -> None:
    page.goto("/emergency-stop")
    page.get_by_role("radio", name="Everything").check()
    page.get_by_label("Why").fill("a fire drill")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop everything?")
    expect(page.locator(".alarm")).to_contain_text("1 live worker")
    page.get_by_label("Type STOP").fill("STOP")
    page.get_by_role("button", name="Stop everything").click()
    expect(page.locator(".banner")).to_contain_text("everything is stopped by olga: a fire drill")
    expect(page.locator("#live")).to_contain_text("1 of 1 live worker goes by it")
    start_run(api, "held-1", ENDLESS)
    page.goto("/runs/held-1")
    expect(step(page, "wait")).to_contain_text("pending")
    expect(page.locator(".banner")).to_be_visible()
    page.goto("/emergency-stop")
    page.get_by_label("Why it is over").fill("over")
    page.get_by_role("button", name="Release").click()
    expect(page.locator(".state")).to_contain_text("Running")
    expect(page.locator(".banner")).to_have_count(0)
    page.goto("/runs/held-1")
    expect(status(page)).to_have_text(re.compile("waiting"))


def status(page: Page) -> Locator:
    """What the head of a run's page says of it."""
    return page.locator("h1 .status")


def step(page: Page, step_id: str) -> Locator:
    """The step's row of the table."""
    return page.locator("#steps tbody tr").filter(has=page.get_by_role("cell", name=step_id, exact=True))


def act(page: Page, name: str, button: str, **fields: str) -> None:
    """Open the form of an action, fill it in and send it."""
    form = page.locator("details.action").filter(has=page.get_by_role("button", name=button))
    page.locator("details.action > summary").get_by_text(name, exact=True).click()
    for label, text in fields.items():
        form.get_by_label(re.compile(f"^{label}")).fill(text)
    form.get_by_role("button", name=button).click()


def scopes(*names: str) -> list[str]:
    """The words that give a key these scopes."""
    return [word for name in names for word in ("--scope", name)]
