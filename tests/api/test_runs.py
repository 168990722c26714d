"""Runs over HTTP, on every store: started, listed, looked at, told, waited for and proved."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from refold.compose import BUILD
from refold.eventstore.chain import event_hash
from refold.tests.api.client import ECHO, WAIT, Api, problem
from refold.tests.support.served import working


def test_a_new_run_is_a_201_with_its_place_and_the_same_again_a_200(api: Api) -> None:
    first = api.start(queue="slow", priority=3, seed=7)
    assert (first.status_code, first.headers["location"]) == (201, "/v1/runs/r")
    run = first.json()
    assert (run["run_id"], run["status"], run["queue"], run["priority"], run["seed"]) == ("r", "queued", "slow", 3, 7)
    assert run["unserved"] == "no worker on queue slow"
    again = api.start(queue="slow", priority=3, seed=7)
    assert again.status_code == 200 and again.json() == run
    assert api.get(first.headers["location"]).json() == run
    other = problem(api.start(seed=8), 409, "RUN_CONFLICT")
    assert "another seed" in other["detail"]


def test_a_run_without_an_id_gets_one_and_a_key_makes_it_the_same_run(api: Api) -> None:
    one, two = api.start(run_id=None).json(), api.start(run_id=None).json()
    assert one["run_id"] != two["run_id"]
    body = {"spec": WAIT}
    first, again = (api.post("/v1/runs", body, Idempotency_Key="order 17") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["run_id"] == again.json()["run_id"]
    assert api.post("/v1/runs", body, Idempotency_Key="order 18").json()["run_id"] != first.json()["run_id"]
    problem(api.post("/v1/runs", {**body, "seed": 1}, Idempotency_Key="order 17"), 409, "IDEMPOTENCY_CONFLICT")
    named = api.post("/v1/runs", {**body, "run_id": "named"}, Idempotency_Key="order 19")
    assert named.headers["location"] == "/v1/runs/named"


def test_of_many_that_start_the_same_run_at_once_exactly_one_made_it(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.start().status_code, range(8)))
    assert sorted(answers) == [200] * 7 + [201]


def test_a_list_goes_on_where_it_ended_and_can_be_filtered(api: Api) -> None:
    for number in range(5):
        api.start(run_id=f"r{number}")
    api.post("/v1/runs/r1/cancel")
    first = api.get("/v1/runs", limit=2).json()
    assert [run["run_id"] for run in first["runs"]] == ["r4", "r3"]
    api.start(run_id="newer")
    second = api.get("/v1/runs", limit=3, cursor=first["next_cursor"]).json()
    assert [run["run_id"] for run in second["runs"]] == ["r2", "r1", "r0"]
    assert second["next_cursor"] is None
    cancelled = api.get("/v1/runs", status="cancelled").json()
    assert [(run["run_id"], run["status"]) for run in cancelled["runs"]] == [("r1", "cancelled")]
    assert api.get("/v1/runs", status="failed").json() == {"runs": [], "next_cursor": None, "index": None}


def test_an_ended_run_shows_its_result_and_its_events(api: Api) -> None:
    api.start(ECHO, inputs={"text": "hi"})
    with working(api.store):
        result = api.get("/v1/runs/r/result", wait=60)
    assert result.status_code == 200
    run = result.json()
    assert (run["status"], run["success"], run["output"]) == ("completed", True, {"a": {"text": "hi"}})
    assert run["ended_at"] == run["updated_at"] >= run["started_at"]
    assert api.get("/v1/runs/r").json() == run
    events = api.get("/v1/runs/r/events").json()
    assert [event["topic"] for event in events["events"]] == ["run.started", "step.completed", "run.completed"]
    assert events["events"][-1]["at"] == run["ended_at"] and events["next_after"] is None
    page = api.get("/v1/runs/r/events", after=1, limit=1).json()
    assert page == {"events": events["events"][1:2], "next_after": 2}


def test_the_chain_can_be_checked_with_what_is_served(api: Api) -> None:
    api.start()
    api.post("/v1/runs/r/pause")
    served = api.get("/v1/runs/r/events").json()["events"]
    stored = [event_hash(r.stream, r.version, r.topic, r.state) for r in api.store.read("default/r")]
    assert [event["hash"] for event in served] == stored and len(served) == 2
    assert [event["predecessor"] for event in served] == [None, stored[0]]


def test_a_result_that_is_waited_for_comes_with_the_end(api: Api) -> None:
    api.start()
    assert api.get("/v1/runs/r/result").status_code == 202
    begun = time.monotonic()
    assert api.get("/v1/runs/r/result", wait=0.3).status_code == 202
    assert time.monotonic() - begun >= 0.3
    with working(api.store), ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(api.get, "/v1/runs/r/result", wait=60) for _ in range(3)]
        # Those who wait occupy nobody: the server goes on answering.
        assert api.get("/health").json() == {"status": "healthy", "build": BUILD}
        sent = api.post("/v1/runs/r/signal", {"name": "go", "payload": [1, None]})
        assert sent.status_code == 202
        ends = [future.result() for future in waiting]
    assert [(end.status_code, end.json()["output"]) for end in ends] == [(200, {"ask": [1, None]})] * 3


def test_a_waiting_run_says_what_it_waits_for(api: Api) -> None:
    api.start()
    with working(api.store):
        _comes_to(api, "waiting")
    waiting = api.get("/v1/runs/r").json()
    assert waiting["waiting_for"] == [
        {"step_id": "ask", "signal": "go", "child": None, "approval": None, "until": None}
    ]
    assert [run["status"] for run in api.get("/v1/runs").json()["runs"]] == ["waiting"]


def test_a_paused_run_goes_on_in_a_worker_once_resumed_and_not_in_the_server(api: Api) -> None:
    api.start(ECHO, inputs={"text": "hi"})
    assert api.post("/v1/runs/r/pause", {"reason": "lunch"}).json()["status"] == "paused"
    assert api.post("/v1/runs/r/resume").json()["status"] == "running"
    assert api.get("/v1/runs/r/result", wait=0.5).status_code == 202
    with working(api.store):
        assert api.get("/v1/runs/r/result", wait=60).json()["status"] == "completed"


def test_a_message_with_a_key_is_one_message_however_often_it_is_sent(api: Api) -> None:
    api.start()
    for _ in range(2):
        api.post("/v1/runs/r/signal", {"name": "go", "key": "k"})
        api.post("/v1/runs/r/signal", {"name": "go"}, Idempotency_Key="header")
    assert api.get("/v1/runs/r/verify").json()["messages"] == 2


def test_an_ended_run_takes_no_messages(api: Api) -> None:
    api.start()
    gone = api.post("/v1/runs/r/cancel", {"reason": "not needed"}).json()
    assert (gone["status"], gone["message"], gone["error_code"]) == ("cancelled", "not needed", "RUN_CANCELLED")
    for verb, body in (("cancel", {}), ("pause", {}), ("resume", {}), ("signal", {"name": "go"})):
        problem(api.post(f"/v1/runs/r/{verb}", body), 409, "RUN_ENDED")


def test_a_run_is_proved_over_http(api: Api) -> None:
    api.start()
    api.post("/v1/runs/r/cancel")
    verdict = api.get("/v1/runs/r/verify").json()
    assert verdict["ok"] and verdict["chain"]["ok"] and verdict["fold"]["ok"]
    assert verdict["workflow_hash"] == api.get("/v1/runs/r").json()["workflow_hash"]
    assert api.client.post("/v1/runs/r/verify").json() == verdict


def test_what_is_stored_takes_every_character(api: Api) -> None:
    text = "\0 \x1f \u2028 𝄞 é"
    api.start(ECHO, inputs={"text": text})
    api.post("/v1/runs/r/signal", {"name": "go", "payload": {text: text}, "key": text})
    api.post("/v1/runs/r/pause", {"reason": text})
    api.post("/v1/runs/r/resume", {"key": text + "2"})
    with working(api.store):
        assert api.get("/v1/runs/r/result", wait=60).json()["output"] == {"a": {"text": text}}
    assert api.get("/v1/runs/r/verify").json()["ok"]


def test_workers_are_listed_with_what_they_serve(api: Api) -> None:
    assert api.get("/v1/workers").json() == {"workers": []}
    with working(api.store):
        deadline = time.monotonic() + 30
        while not (workers := api.get("/v1/workers").json()["workers"]):
            assert time.monotonic() < deadline, "the worker does not report itself"
    assert workers[0]["queues"] == ["default"] and "echo" in workers[0]["skills"] and not workers[0]["lost"]


def test_runs_that_are_not_there_are_problems(api: Api) -> None:
    for path in ("", "/events", "/result", "/verify"):
        missing = problem(api.get(f"/v1/runs/nobody{path}"), 404, "RUN_NOT_FOUND")
        assert "nobody" in missing["detail"]
    for verb, body in (("cancel", {}), ("pause", {}), ("resume", {}), ("signal", {"name": "go"})):
        problem(api.post(f"/v1/runs/nobody/{verb}", body), 404, "RUN_NOT_FOUND")
    assert api.get("/ready").json()["status"] == "ready"


def _comes_to(api: Api, status: str) -> None:
    deadline = time.monotonic() + 30
    while api.get("/v1/runs/r").json()["status"] != status:
        assert time.monotonic() < deadline, f"the run does not come to be {status}"
        time.sleep(0.02)
