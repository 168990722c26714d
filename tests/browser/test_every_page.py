"""Every page with something on it: in any light, on a telephone, by keyboard, by ear, without scripts, on paper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from refold.api.console.words import SIGNS
from refold.tests.browser.processes import Service
from refold.tests.browser.screenshots import PAGES
from refold.tests.browser.watched import visitor

HERE = Path(__file__).parent
FAULTS, FOCUSED = (HERE / "checks.js").read_text(), (HERE / "tabbing.js").read_text()

PATHS = sorted(
    {
        *(path for path in PAGES.values()),
        "/approvals/procurement-chairs",
        "/approvals?status=all",
        "/audit",
        "/audit/runs/order-2041",
        "/budgets",
        "/diff",
        "/docs",
        "/emergency-stop",
        "/emergency-stop/confirm",
        "/failures/STEP_TIMEOUT",
        "/jobs",
        "/keys",
        "/login",
        "/more",
        "/policies",
        "/policies/house",
        "/projections",
        "/replays",
        "/runs?status=failed&error=CARD_DECLINED",
        "/runs?type=none",
        "/runs/order-2043",
        "/runs/payout-119",
        "/runs/procurement-chairs",
        "/schedules",
        "/specs",
        "/specs/order",
        "/webhooks",
        "/workers",
    }
)
"""The pages; JOB stands for a replay that has ended."""

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_whoever_sees_badly_reads_every_page(
    browser: Browser, demo: tuple[Service, str], scheme: Any, width: int
) -> None:
    found: dict[str, list[str]] = {}
    with visitor(browser, demo[1], color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        for path in paths(demo[1]):
            page.goto(path)
            found[path] = page.evaluate(FAULTS)
            open_all(page)
            found[path] = sorted({*found[path], *page.evaluate(FAULTS)})
    assert not {path: faults for path, faults in found.items() if faults}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tabulator_goes_through_each_page_in_order_and_shows_where_it_is(
    browser: Browser, demo: tuple[Service, str], width: int
) -> None:
    with visitor(browser, demo[1], viewport={"width": width, "height": 800}) as page:
        for path in (
            "/runs",
            "/runs/order-2041",
            "/approvals/procurement-chairs",
            "/emergency-stop",
            "/replays",
            "/keys",
        ):
            page.goto(path)
            stops = tabbed(page)
            assert stops[0]["name"] == "<a> Skip to content", path
            places = [stop["at"] for stop in stops]
            assert places == sorted(places) and len(places) > 8, f"{path}: {stops}"
            assert not [stop for stop in stops if not stop["marked"] or not stop["seen"]], path


def test_without_scripts_the_same_is_read_and_sent(browser: Browser, demo: tuple[Service, str]) -> None:
    url = demo[1]
    with visitor(browser, url, java_script_enabled=False) as page, visitor(browser, url) as other:
        for path in paths(url):
            page.goto(path)
            other.goto(path)
            assert words(page) == words(other), path
        page.goto("/runs")
        page.get_by_label("Type").fill("payout")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.goto("/runs/payout-119")
        page.locator("summary", has_text="Signal").click()
        page.get_by_role("textbox", name="Name").fill("note")
        page.get_by_role("button", name="Send the signal").click()
        expect(page.locator(".notice")).to_be_visible()


def test_on_paper_there_is_no_navigation_and_nothing_is_cut(browser: Browser, demo: tuple[Service, str]) -> None:
    with visitor(browser, demo[1], viewport={"width": 794, "height": 1123}, color_scheme="dark") as page:
        page.emulate_media(media="print")
        for path in paths(demo[1]):
            page.goto(path)
            expect(page.locator("header nav")).to_be_hidden()
            assert not page.evaluate(FAULTS), path
            cut = page.evaluate(
                """() => [...document.querySelectorAll("main *")].filter((each) => each.checkVisibility() &&
                    ["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(each).overflowY) &&
                    each.scrollHeight > each.clientHeight + 2 && !each.closest("svg, .visually-hidden"))
                    .map((each) => each.outerHTML.slice(0, 90))"""
            )
            assert not cut, path


def test_every_sign_is_one_that_the_fonts_have(browser: Browser, demo: tuple[Service, str]) -> None:
    with visitor(browser, demo[1]) as page:
        page.goto("/runs")
        missing = page.evaluate(
            """(signs) => {
              const canvas = new OffscreenCanvas(60, 60).getContext("2d", { willReadFrequently: true });
              const drawn = (text) => {
                canvas.clearRect(0, 0, 60, 60);
                canvas.font = `32px ${getComputedStyle(document.body).fontFamily}`;
                canvas.fillText(text, 8, 44);
                return canvas.getImageData(0, 0, 60, 60).data.join();
              };
              const nothing = drawn("\u0378");  // stands for no character
              return signs.filter((each) => drawn(each) === nothing);
            }""",
            ["\u0379", *SIGNS.values()],
        )
    assert missing == ["\u0379"]


def test_each_check_finds_what_it_is_for(browser: Browser) -> None:
    with visitor(browser, "data:", viewport={"width": 500, "height": 400}) as page:
        page.goto("data:text/html,<!doctype html>")
        page.set_content(BAD)
        found = " ".join(page.evaluate(FAULTS))
    wanted = [
        "no language", "no title", "not one h1", "level 3 after one of level 1", "not one header", "twice the id a",
        "no name: <input#a>", "no name: <button>", "a picture without title", "th without scope", "wider than",
        "contrast 1.3", "contrast 2.8", "a link like the text", "a faint border", "cut: <p.cut>",
    ]  # fmt: skip
    assert not [each for each in wanted if each not in found], found


BAD = """<!doctype html><main><h1>One</h1><h1>Two</h1><h3>Three</h3>
<form><input id="a" style="border: 1px solid #ddd"></form>
<button></button><svg width="9" height="9"></svg><p id="a" style="color: #ddd">faint</p>
<table><tr><th>x</th></tr></table>
<p style="opacity: 0.4">half there</p><p>read <a href="#a" style="color: inherit; text-decoration: none">this</a></p>
<p class="cut" style="width: 9rem; overflow: hidden; white-space: nowrap">this is longer than there is room for it</p>
<div style="width: 900px">wide</div></main>"""
"""A page with one fault of each kind."""


def paths(url: str) -> list[str]:
    """The pages' addresses at this server."""
    job = httpx2.get(f"{url}/v1/replays").json()["jobs"][0]["job_id"]
    return [path.replace("JOB", job) for path in PATHS]


def open_all(page: Page) -> None:
    """Open whatever can be opened."""
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


def tabbed(page: Page) -> list[dict[str, Any]]:
    """What has the focus after each press of the tabulator key, until it has been everywhere."""
    stops: list[dict[str, Any]] = []
    while len(stops) < 60:
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None or (stops and stop["at"] <= stops[0]["at"]):
            break
        stops.append(stop)
    return stops


def words(page: Page) -> str:
    """What a page shows, but for times that go on."""
    said = page.locator("main").inner_text()
    for heard in page.locator("main .visually-hidden").all_inner_texts():
        said = said.replace(heard, "", 1)
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)? ?(s|ms|min)\b|just now", "", said))
