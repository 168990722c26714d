"""The list of runs."""

from __future__ import annotations

import re

import pytest

from refold.api.console import run_list
from refold.tests.api.client import ECHO, Api
from refold.tests.console.browser import elements


def test_an_empty_list_says_how_to_start_a_run(console: Api) -> None:
    page = console.get("/runs").text
    assert "No runs yet" in page and "refold start SPEC.yaml" in page


def test_filters_stand_in_the_url_and_empty_fields_are_none(console: Api) -> None:
    console.start(run_id="waits", agent_id="crawler")
    console.start(ECHO, "echo", inputs={"text": "x"})

    def listed(**filters: str) -> list[str]:
        return [run["run_id"] for run in console.get("/runs", format="json", **filters).json()["runs"]]

    assert listed() == ["echo", "waits"]
    assert listed(type="hello", agent="", error="", attribute="", since="", until="") == ["echo"]
    assert listed(agent="crawler", status="queued") == listed(prefix="wa") == ["waits"]
    assert listed(type="\0", attribute="a=\0") == listed(prefix="\0") == []
    assert listed(status="failed") == listed(until="-1h") == listed(attribute="region=eu") == []
    assert listed(since="-1h") == ["echo", "waits"]
    assert "No run fits" in console.get("/runs", type="none").text


@pytest.mark.parametrize(
    "filters", [{"status": "odd"}, {"since": "soon"}, {"attribute": "alone"}, {"cursor": "-1"}, {"odd": "1"}]
)
def test_a_filter_that_means_nothing_is_refused_by_a_page(console: Api, filters: dict[str, str]) -> None:
    response = console.get("/runs", **filters)
    assert response.status_code == 422 and "INPUT_INVALID" in response.text


def test_the_chips_count_the_runs_of_each_status_and_keep_the_filters(console: Api) -> None:
    for number in range(3):
        console.start(run_id=f"r-{number}")
    console.start(ECHO, "other", inputs={"text": "x"})
    model = console.get("/runs", format="json", type="ask").json()
    assert (model["counts"], model["total"], model["complete"]) == ({"queued": 3}, 3, True)
    assert '/runs?status=queued&amp;type=ask"' in console.get("/runs", type="ask").text.replace("%20", " ")


def test_a_page_does_not_wait_for_counts_that_take_long(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    console.start(run_id="r")
    assert "data-soon" not in console.get("/runs").text
    monkeypatch.setattr(run_list, "PATIENCE_SECONDS", 0)
    page = console.get("/runs").text
    chips = page.partition('id="chips"')[2].partition("</nav>")[0]
    assert "data-soon" in chips and "queued" in chips and "<b>" not in chips and ">r</a>" in page
    assert console.get("/runs", format="json").json()["counts"] == {"queued": 1}, "whoever asks for figures waits"


def test_pages_go_on_at_a_cursor_and_are_not_shifted_by_runs_that_start_meanwhile(console: Api) -> None:
    for number in range(5):
        console.start(run_id=f"r-{number}")
    first = console.get("/runs", limit=2).text
    console.start(run_id="newer")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = console.client.get(older[1].replace("&amp;", "&")).text
    assert "r-4" in first and "r-3" in first and "r-2" in second and "newer" not in second
    elements(second)
