"""Replays and other jobs: asked for by a form, watched, stopped, and what came of them."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx2

from refold.api.jobs.replays import finding_of
from refold.projections.projector import Projector
from refold.projections.runs import RunsProjection
from refold.tests.api.client import Api
from refold.tests.support.job_driven import kept
from refold.tests.support.workflows import SOON_SECONDS


def submit(console: Api, path: str, page: str, **fields: str | list[str]) -> httpx2.Response:
    """Send a form with the token of `page`."""
    found = re.search(r'name="csrf" value="([^"]+)"', console.get(page).text)
    assert found is not None, f"{page} has no form"
    return console.client.post(path, data={"csrf": found[1], **fields})


def ended(console: Api, place: str) -> dict[str, Any]:
    """The model of a job's page when it has ended."""
    until = time.monotonic() + SOON_SECONDS
    while (model := console.get(place, format="json").json())["live"]:
        assert time.monotonic() < until, "the job does not end"
        time.sleep(0.02)
    return model


def test_a_replay_is_asked_for_by_a_form_and_ends_in_a_certificate(console: Api) -> None:
    for number in range(3):
        console.start(run_id=f"r-{number}")
    with kept(console.store):
        begun = submit(console, "/replays", "/replays", workflow_type="ask", proof="decisions")
        place = begun.headers["location"]
        assert begun.status_code == 303 and place.startswith("/replays/job-")
        model = ended(console, place)
    assert (model["status"], model["title"], model["share"]) == ("completed", "Replay runs of type ask", 1)
    assert model["result"]["verdicts"]["equal"] == 3
    text = console.get(place).text
    assert "✓ Equal to what is recorded" in text and f'href="{place}/certificate"' in text
    certificate = console.get(f"{place}/certificate")
    assert certificate.json()["body"]["tally"]["runs"] == 3
    assert certificate.headers["content-disposition"].startswith("attachment")
    assert place in console.get("/replays").text and place in console.get("/jobs", kind="replay").text


def test_a_job_is_stopped_and_goes_on(console: Api) -> None:
    console.start(run_id="r-1")
    place = submit(console, "/replays", "/replays", run_id="r-1").headers["location"]
    assert "It waits for a server" in console.get(place).text
    assert submit(console, place, place, action="stop", reason="<b>later").status_code == 303
    model = console.get(place, format="json").json()
    assert (model["status"], model["reason"], model["title"]) == ("stopped", "<b>later", "Replay r-1")
    assert "<b>later" not in console.get(place).text
    submit(console, place, place, action="resume")
    with kept(console.store):
        assert ended(console, place)["status"] == "completed"


def test_what_a_replay_finds_is_told_with_class_event_pointer_and_both_values() -> None:
    found = {"kind": "UNSEEDED_RANDOMNESS", "message": "other", "event": 7, "step_id": "get", "pointer": "/a/0"}
    values = {"recorded": "1" * 900, "now": "2", "recorded_hash": None, "advice": "seed it"}
    proofs = {"chain": {"verdict": "equal"}, "execution": {"verdict": "diverged", "divergence": {**found, **values}}}
    assert finding_of({"run_id": "r", "verdict": "diverged", "proofs": proofs}) == {
        "run_id": "r",
        "code": "diverged",
        "proof": "execution",
        "reason": "other",
        "divergence": "UNSEEDED_RANDOMNESS",
        "event": 7,
        "step_id": "get",
        "pointer": "/a/0",
        "recorded": "1" * 500,
        "now": "2",
        "advice": "seed it",
    }


def test_a_projection_is_rebuilt_by_a_job(console: Api) -> None:
    assert Projector(console.store, [RunsProjection()]).runner(RunsProjection()) is not None
    console.start(run_id="r-1")
    with kept(console.store):
        place = submit(console, "/projections/runs/rebuild", "/projections").headers["location"]
        assert place.startswith("/jobs/job-")
        model = ended(console, place)
    assert (model["status"], model["title"]) == ("completed", "Rebuild the projection runs")
    assert model["result"]["switched"] and console.get("/replays/" + model["job_id"]).status_code == 404


def test_what_cannot_be_replayed_is_refused_and_no_job_is_recorded(console: Api) -> None:
    for fields, status in (({"run_id": "none"}, 404), ({"percent": "many"}, 422), ({"status": "odd"}, 422)):
        assert submit(console, "/replays", "/replays", **fields).status_code == status
    assert console.get("/jobs", format="json").json()["jobs"] == []
    assert "Nothing was replayed here yet" in console.get("/replays").text
    assert console.get("/jobs/job-none").status_code == 404
