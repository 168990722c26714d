"""The pages on workers, projections, emergency stops, and on who did what."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx2
import pytest

from refold import WorkflowEngine
from refold.core.emergency import EVERYTHING, Scope
from refold.projections.projector import Projector
from refold.projections.runs import RunsProjection
from refold.tests.api.client import WAIT, Api, problem
from refold.tests.support.served import working

HOSTILE = "<b>\"why\" & 'who'</b>"


def submit(console: Api, path: str, page: str, **fields: str) -> httpx2.Response:
    """Send a form with the token of `page`."""
    found = re.search(r'name="csrf" value="([^"]+)"', console.get(page).text)
    assert found is not None, f"{page} has no form"
    return console.client.post(path, data={"csrf": found[1], **fields})


def test_without_workers_it_is_said_how_to_start_one(console: Api) -> None:
    text = console.get("/workers").text
    assert "refold worker" in text and "No worker is there" in text


def test_workers_are_shown_with_what_nobody_serves(console: Api) -> None:
    spec: dict[str, Any] = {**WAIT, "steps": [{"step_id": "a", "skill_id": "no_such"}]}
    assert console.start(spec, "lonely").status_code == 201
    with working(console.store):
        until = time.monotonic() + 30
        while not (model := console.get("/workers", format="json").json())["counts"]["live"]:
            assert time.monotonic() < until, "the worker does not report"
        (worker,) = model["workers"]
        assert worker["heeds"] and worker["state"] == "live"
        (queue,) = model["queues"]
        assert queue["unserved"] == [{"why": "no worker serves it: skill no_such is missing", "runs": 1}]
        assert "skill no_such is missing" in console.get("/workers").text


def test_projections_are_shown_and_steered(console: Api) -> None:
    assert "refold projector" in console.get("/projections").text
    runner = Projector(console.store, [RunsProjection()]).runner(RunsProjection())
    assert runner is not None
    console.start(run_id="r-1")
    (shown,) = console.get("/projections", format="json").json()["projections"]
    assert (shown["name"], shown["state"], shown["lag_events"]) == ("runs", "idle", 1)
    done = submit(console, "/projections/runs", "/projections", action="pause")
    assert (done.status_code, done.headers["location"]) == (303, "/projections#runs")
    assert console.get("/projections", format="json").json()["projections"][0]["state"] == "paused"
    assert submit(console, "/projections/none", "/projections", action="pause").status_code == 404
    assert submit(console, "/projections/runs", "/projections", action="explode").status_code == 422


def test_a_stop_is_spelled_out_before_it_is_confirmed_and_then_in_force(console: Api) -> None:
    console.start(run_id="r-1")
    scope = {"scope": "workflow", "name": "ask", "running": "finish", "reason": HOSTILE}
    page = console.get("/emergency-stop/confirm", **scope)
    assert "1 open run" in page.text and HOSTILE not in page.text
    assert console.get("/emergency-stop", format="json").json()["stops"] == [], "looking at it stops nothing"
    done = submit(console, "/emergency-stop", "/emergency-stop/confirm", **scope)
    assert (done.status_code, done.headers["location"]) == (303, "/emergency-stop")
    (stop,) = console.get("/emergency-stop", format="json").json()["stops"]
    assert (stop["scope"], stop["name"], stop["reason"]) == ("workflow", "ask", HOSTILE)
    assert (
        submit(console, "/emergency-stop/release", "/emergency-stop", scope="workflow", name="ask").status_code == 303
    )
    model = console.get("/emergency-stop", format="json").json()
    assert model["stops"] == []
    assert [row["topic"] for row in model["history"]] == ["emergency.released", "emergency.stopped"]
    assert HOSTILE not in console.get("/emergency-stop").text


def test_everything_is_stopped_only_by_a_word(console: Api) -> None:
    assert "Type STOP" in console.get("/emergency-stop/confirm").text
    for word in ("", "stop", "STOP it"):
        refused = submit(
            console, "/emergency-stop", "/emergency-stop/confirm", scope="global", running="cancel", word=word
        )
        assert refused.status_code == 422
    assert console.get("/emergency-stop", format="json").json()["stops"] == []
    submit(console, "/emergency-stop", "/emergency-stop/confirm", scope="global", running="cancel", word="STOP")
    (stop,) = console.get("/emergency-stop", format="json").json()["stops"]
    assert (stop["scope"], stop["running"]) == ("global", "cancel")


def test_a_form_that_was_not_made_by_a_page_changes_nothing(console: Api) -> None:
    for fields in ({}, {"csrf": "0" * 64}):
        answer = console.client.post(
            "/emergency-stop", data={"scope": "queue", "name": "q", "running": "finish", **fields}
        )
        assert answer.status_code == 403
    assert console.get("/emergency-stop", format="json").json()["stops"] == []


@pytest.mark.parametrize("query", ["scope=queue", "scope=queue&name=a/b", "scope=what"])
def test_what_cannot_be_stopped_is_refused_by_name(console: Api, query: str) -> None:
    problem(console.client.get(f"/emergency-stop/confirm?{query}", headers={"accept": "*/*"}), 422, "INPUT_INVALID")


@pytest.mark.asyncio
async def test_who_did_what_is_one_list_in_pages(console: Api) -> None:
    async with WorkflowEngine(console.store) as engine:
        await engine.specs.put(WAIT, by="eve")
        for number in range(60):
            await engine.emergency.enable(Scope("queue", f"q{number}"), reason=HOSTILE, by="ada")
        await engine.emergency.disable(EVERYTHING)
    first = console.get("/audit/control", format="json").json()
    assert len(first["rows"]) == 50 and first["next"] is not None
    rest = console.client.get(f"/audit/control{first['next']}&format=json").json()
    versions = [(row["about"], row["version"]) for row in [*first["rows"], *rest["rows"]]]
    assert len(versions) == len(set(versions)) == 61 and rest["next"] is None
    assert versions[-1] == ("specs", 1) and rest["rows"][-1]["by"] == "eve"
    only = console.get("/audit/control", about="specs", format="json").json()
    assert [row["topic"] for row in only["rows"]] == ["spec.registered"]
    assert HOSTILE not in console.get("/audit/control").text
    assert console.get("/audit/control", about="elsewhere").status_code == 422
