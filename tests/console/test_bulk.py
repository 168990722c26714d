"""Many runs told at once from the list: ticked or all that fit, counted first, and once."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from refold.tests.api.client import ECHO, Api
from refold.tests.console.browser import elements


def tell(console: Api, **fields: str | list[str]) -> httpx2.Response:
    """Send the form of the list."""
    found = re.search(r'name="csrf" value="([^"]+)"', console.get("/runs").text)
    assert found is not None
    return console.client.post("/bulk", data={"csrf": found[1], **fields})


def confirmed(console: Api, page: httpx2.Response) -> httpx2.Response:
    """Send the form of the page that asks whether one is sure."""
    fields: dict[str, Any] = {"run": []}
    for tag, attributes in elements(page.text):
        if tag == "input" and attributes.get("type") == "hidden":
            name, value = str(attributes["name"]), str(attributes["value"])
            fields |= {name: [*fields["run"], value] if name == "run" else value}
    return console.client.post("/bulk", data=fields)


def jobs(console: Api) -> list[dict[str, Any]]:
    return console.get("/jobs", format="json").json()["jobs"]


def test_ticked_runs_are_counted_first_and_then_told_by_one_job(console: Api) -> None:
    for number in range(3):
        console.start(run_id=f"r-{number}")
    assert '<input type="checkbox" form="bulk-form" name="run" value="r-0"' in console.get("/runs").text
    page = tell(console, verb="pause", run=["r-0", "r-2", "none"])
    assert page.status_code == 200 and "<h1>Pause 2 runs?</h1>" in page.text and jobs(console) == []
    first, again = confirmed(console, page), confirmed(console, page)
    assert first.status_code == 303 and first.headers["location"] == again.headers["location"]
    (job,) = jobs(console)
    assert (job["title"], job["what"]["run_ids"], job["what"]["filter"]) == (
        "Pause 2 named runs",
        ["r-0", "r-2"],
        None,
    )


def test_all_that_fit_the_filter_are_meant_by_the_same_filter_when_it_is_confirmed(console: Api) -> None:
    for number in range(3):
        console.start(run_id=f"r-{number}")
    console.start(ECHO, "other", inputs={"text": "x"})
    page = tell(console, verb="cancel", which="filter", type="ask", since="-1h", run=["other"])
    assert "<h1>Cancel 3 runs?</h1>" in page.text and "cannot be undone" in page.text
    assert confirmed(console, page).status_code == 303
    (job,) = jobs(console)
    assert job["what"]["filter"]["workflow_type"] == "ask" and job["what"]["filter"]["started_since"] > 0
    assert job["what"]["run_ids"] is None and not job["what"]["force"]
    assert "There is nothing to retry" in tell(console, verb="retry", which="filter", type="ask").text


def test_what_means_no_runs_is_refused(console: Api) -> None:
    console.start(run_id="r-0")
    for fields in (
        {"verb": "pause"},
        {"verb": "erase", "run": "r-0"},
        {"verb": "pause", "which": "filter", "since": "soon"},
    ):
        assert tell(console, **fields).status_code == 422
    assert console.client.post("/bulk", data={"verb": "pause", "run": "r-0", "sure": "yes"}).status_code == 403
    assert jobs(console) == []
