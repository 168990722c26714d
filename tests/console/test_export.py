"""The export: one file that stands alone and can be verified offline."""

from __future__ import annotations

import hashlib
import json
import re

from refold.tests.api.client import Api
from refold.tests.console.test_run_page import FAILS, run


def test_an_export_refers_to_nothing_and_its_events_hash_to_what_it_says(console: Api) -> None:
    run(console.store, FAILS, "r")
    response = console.get("/runs/r/export")
    assert response.headers["content-disposition"] == 'attachment; filename="r.html"'
    assert not re.search(r'(?:src|href)="(?!#|/runs/r/events)', response.text)
    (told,) = re.findall(r'<script type="application/json" id="events">(.*?)</script>', response.text, re.DOTALL)
    document = json.loads(told)
    assert document["proof"]["ok"] and len(document["events"]) == console.get("/v1/runs/r").json()["events"]
    previous = None
    for event in document["events"]:
        stored = "\0".join([event["stream"], str(event["version"]), event["topic"], event["state"]])
        assert hashlib.sha256(stored.encode()).hexdigest() == event["hash"]
        assert json.loads(event["state"]).get("prev") == previous
        previous = event["hash"]


def test_what_does_not_fit_into_an_event_is_in_the_export_too(console: Api) -> None:
    spec = {"workflow_type": "large", "steps": [{"step_id": "a", "skill_id": "echo", "inputs": {"x": "é" * 70_000}}]}
    run(console.store, spec, "r")
    (told,) = re.findall(r'id="events">(.*?)</script>', console.get("/runs/r/export").text, re.DOTALL)
    payloads = json.loads(told)["payloads"]
    assert payloads and all(hashlib.sha256(text.encode()).hexdigest() == digest for digest, text in payloads.items())


def test_a_run_that_does_not_exist_has_no_export(console: Api) -> None:
    assert console.get("/runs/none/export").status_code == 404
