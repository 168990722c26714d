"""What every page of the console has: its head, its policy, and problems drawn as pages."""

from __future__ import annotations

import re

from refold.tests.api.client import Api, problem


def test_the_console_begins_with_the_runs(console: Api) -> None:
    response = console.get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/runs")
    assert console.get("/runs").status_code == 200


def test_a_page_is_its_model_drawn(console: Api) -> None:
    console.start(run_id="r-1")
    model = console.get("/runs", format="json").json()
    assert [run["run_id"] for run in model["runs"]] == ["r-1"]
    assert "r-1" in console.get("/runs").text


def test_nothing_within_a_page_is_script_or_style_and_nothing_comes_from_elsewhere(console: Api) -> None:
    response = console.get("/runs")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'") and "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/console/)|https?://", response.text)


def test_the_head_says_where_one_is_and_what_belongs_to_it(console: Api) -> None:
    text = console.get("/webhooks").text
    assert re.findall(r'aria-current="\w+">([^<]+)<', text)[:2] == ["Operations", "Webhooks"]
    areas = console.get("/more", format="json").json()["areas"]
    for place in (place for area in areas for place in area["places"]):
        assert console.get(place["href"]).status_code == 200, place["href"]


def test_static_files_are_kept_for_ever_under_the_hash_of_what_they_say(console: Api) -> None:
    addresses = re.findall(r"/console/static/[^\"]+", console.get("/runs").text)
    assert len(addresses) == len(set(addresses)) == 5
    for address in addresses:
        response = console.get(address)
        assert response.status_code == 200 and "immutable" in response.headers["cache-control"]
    assert console.get(addresses[0].replace("/static/", "/static/0")).status_code == 404


def test_problems_are_pages_for_browsers_and_documents_for_others(console: Api) -> None:
    response = console.get("/nothing<b>")
    assert response.status_code == 404 and "ROUTE_UNKNOWN" in response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    problem(console.client.get("/nothing", headers={"accept": "*/*"}), 404, "ROUTE_UNKNOWN")
    problem(console.get("/v1/nothing"), 404, "ROUTE_UNKNOWN")
    foreign = console.client.get("/runs", headers={"host": "elsewhere.example"})
    assert foreign.status_code == 421 and "answers only to localhost" in foreign.text
