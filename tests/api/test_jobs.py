"""Jobs over HTTP: many runs at once, proofs with certificates, rebuilds; what is refused, and whose they are."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from refold.core.errors import JobNotFoundError
from refold.projections.jobs import jobs_of
from refold.replay.certificate import check_certificate
from refold.replay.signing_keys import AUDIT_KEY, SigningKey
from refold.tests.api.client import WAIT, Api, problem
from refold.tests.support.job_driven import bulk, kept, memory_engine, messages
from refold.tests.support.served import working

PATIENCE_SECONDS = 60


STREAM = {"accept": "text/event-stream"}


def ended(api: Api, location: str, *statuses: str) -> dict[str, Any]:
    """The job once it stands so (completed, unless told otherwise)."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (job := api.get(location).json())["status"] not in (statuses or ("completed", "failed", "stopped")):
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def test_a_filter_chooses_the_runs_that_a_job_cancels_and_what_starts_later_is_not_touched(memory_api: Api) -> None:
    for number in range(12):
        memory_api.start(run_id=f"ask-{number}")
    memory_api.start({**WAIT, "workflow_type": "other"}, "other")
    memory_api.post("/v1/runs/ask-0/cancel")
    body = {"filter": {"workflow_type": "ask", "started_after": "2020-01-01"}, "reason": "wrong prices"}
    dry = memory_api.post("/v1/runs:cancel", {**body, "dry_run": True}).json()
    assert (dry["runs"], dry["complete"], dry["first"][0]) == (11, True, "ask-11")
    assert memory_api.get("/v1/jobs").json()["jobs"] == [], "a dry run does nothing"
    asked = memory_api.post("/v1/runs:cancel", body, idempotency_key="k")
    assert asked.status_code == 202 and asked.json()["status"] == "queued"
    again = memory_api.post("/v1/runs:cancel", body, idempotency_key="k")
    assert again.headers["location"] == asked.headers["location"]
    problem(memory_api.post("/v1/runs:pause", body, idempotency_key="k"), 409, "JOB_CONFLICT")
    memory_api.start(run_id="late")
    with kept(memory_api.store):
        job = ended(memory_api, asked.headers["location"])
    assert (job["status"], job["result"], job["findings"]) == ("completed", {"told": 11, "failed": 0}, [])
    assert job["progress"] | {"rate": None} == {
        "done": 11,
        "total": 11,
        "failed": 0,
        "rate": None,
        "seconds_left": None,
    }
    page = memory_api.get("/v1/runs", limit=50).json()["runs"]
    left = {run["run_id"] for run in page if run["status"] != "cancelled"}
    assert left == {"other", "late"}
    assert memory_api.get("/v1/runs/ask-5").json()["message"] == "wrong prices"


def test_named_runs_are_told_and_those_that_cannot_be_are_findings(memory_api: Api) -> None:
    memory_api.start(run_id="a")
    memory_api.start(run_id="b")
    memory_api.post("/v1/runs/b/cancel")
    asked = memory_api.post("/v1/runs:pause", {"run_ids": ["a", "b", "nobody", "a"]})
    with kept(memory_api.store):
        job = ended(memory_api, asked.headers["location"])
    assert job["result"] == {"told": 1, "failed": 2}
    assert {each["run_id"]: each["code"] for each in job["findings"]} == {"b": "RUN_ENDED", "nobody": "RUN_NOT_FOUND"}
    assert memory_api.get("/v1/runs/a").json()["status"] == "paused"


def test_failed_runs_are_retried_once_for_each_job(memory_api: Api) -> None:
    failing = {"workflow_type": "f", "steps": [{"step_id": "x", "skill_id": "http_call", "inputs": {"url": "nowhere"}}]}
    memory_api.start(failing, "f")
    with working(memory_api.store):
        memory_api.get("/v1/runs/f/result", wait=30)
    asked = memory_api.post("/v1/runs:retry", {"filter": {}})
    with kept(memory_api.store):
        job = ended(memory_api, asked.headers["location"])
    assert job["result"] == {"told": 1, "failed": 0}
    assert f"f~{job['job_id']}" in [run["run_id"] for run in memory_api.get("/v1/runs").json()["runs"]]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/runs:cancel", {}, ""),
        ("/v1/runs:cancel", {"filter": {}, "run_ids": ["a"]}, ""),
        ("/v1/runs:cancel", {"filter": {"colour": "red"}}, "/filter/colour"),
        ("/v1/runs:cancel", {"filter": {"started_after": "soon"}}, "/filter/started_after"),
        ("/v1/runs:cancel", {"filter": {"started_after": "0001-01-01T00:00:00+23:59"}, "reason": 1}, "/reason"),
        ("/v1/runs:resume", {"run_ids": ["a", "../b"]}, "/run_ids/1"),
        ("/v1/runs:pause", {"run_ids": []}, "/run_ids"),
        ("/v1/runs:pause", {"filter": {}, "force": True}, "/force"),
        ("/v1/replays", {"proofs": ["magic"]}, "/proofs/0"),
        ("/v1/replays", {"run_ids": ["a"], "status": "failed"}, "/run_ids"),
        ("/v1/replays", {"sample": {}}, "/sample"),
        ("/v1/projections/runs/rebuild", {"compare": "yes"}, "/compare"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_pointer(memory_api: Api, path: str, body: Any, pointer: str) -> None:
    document = problem(memory_api.post(path, body), 422, "INPUT_INVALID")
    assert [each["pointer"] for each in document["problems"]] == [pointer]


def test_a_replay_proves_runs_and_its_certificate_is_signed(
    memory_api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate("audit")
    file = tmp_path / "key.pem"
    key.save(file)
    monkeypatch.setenv(AUDIT_KEY, str(file))
    for name in "abc":
        memory_api.start(run_id=name)
    problem(memory_api.post("/v1/replays", {"run_ids": ["a", "nobody"]}), 404, "RUN_NOT_FOUND")
    whole = memory_api.post("/v1/replays").headers["location"]
    some = memory_api.post("/v1/replays", {"run_ids": ["a", "b"], "proofs": ["chain"]}).headers["location"]
    problem(memory_api.get(f"{whole}/certificate"), 409, "JOB_CONFLICT")
    with kept(memory_api.store):
        assert ended(memory_api, whole)["result"]["verdicts"]["equal"] == 3
        job = ended(memory_api, some)
    assert (job["result"]["runs"], job["result"]["ok"], job["findings"]) == (2, True, [])
    data = memory_api.get(f"{whole}/certificate").content
    assert check_certificate(data, key.verifier, memory_api.store).standing == "valid"
    assert [each["job_id"] for each in memory_api.get("/v1/replays").json()["jobs"]] == [
        some.rpartition("/")[2],
        whole.rpartition("/")[2],
    ]
    problem(memory_api.post(f"{whole}/stop"), 409, "JOB_CONFLICT")


def test_a_projection_is_rebuilt_and_compared_with_the_one_that_is_read(memory_api: Api) -> None:
    memory_api.start()
    path = "/v1/projections/runs/rebuild"
    with kept(memory_api.store):
        first = ended(memory_api, memory_api.post(path).headers["location"])
        second = ended(memory_api, memory_api.post(path, {"compare": True}).headers["location"])
    assert (first["result"]["switched"], first["result"]["equal"]) == (True, None)
    assert (second["result"]["equal"], second["result"]["generation"]) == (True, 2)
    problem(memory_api.post("/v1/projections/nothing/rebuild"), 404, "RESOURCE_NOT_FOUND")


def test_a_job_is_told_as_it_goes_on_until_it_has_ended_and_nothing_is_told_again(memory_api: Api) -> None:
    memory_api.start()
    location = memory_api.post("/v1/runs:pause", {"filter": {}}).headers["location"]
    told: list[tuple[int, str]] = []
    with kept(memory_api.store), memory_api.client.stream("GET", f"{location}/events", headers=STREAM) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                told.append((int(value), ""))
            elif name == "data":
                told[-1] = (told[-1][0], json.loads(value)["status"])
    assert [version for version, _ in told] == sorted({version for version, _ in told})
    assert told[-1][1] == "completed"
    for last, rest in ((told[-1][0] - 1, 1), (told[-1][0], 0), (10**9, 0)):
        headers = {**STREAM, "last-event-id": str(last)}
        with memory_api.client.stream("GET", f"{location}/events", headers=headers) as stream:
            assert sum(line.startswith("data: ") for line in stream.iter_lines()) == rest
    problem(memory_api.client.get(f"{location}/events", headers={"last-event-id": "x"}), 422, "INPUT_INVALID")


def test_jobs_are_listed_page_by_page_and_one_that_waits_can_be_stopped_and_resumed(memory_api: Api) -> None:
    made = [memory_api.post("/v1/runs:pause", {"run_ids": [name]}).json()["job_id"] for name in "abc"]
    first = memory_api.get("/v1/jobs", limit=2).json()
    rest = memory_api.get("/v1/jobs", limit=2, cursor=first["next_cursor"]).json()
    assert [each["job_id"] for each in first["jobs"] + rest["jobs"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert memory_api.get("/v1/jobs", kind="replay").json()["jobs"] == []
    stopped = memory_api.post(f"/v1/jobs/{made[0]}/stop", {"reason": "no"}).json()
    assert stopped["status"] == memory_api.post(f"/v1/jobs/{made[0]}/stop").json()["status"] == "stopped"
    assert memory_api.post(f"/v1/jobs/{made[0]}/resume").json()["status"] == "queued"
    problem(memory_api.get(f"/v1/replays/{made[0]}"), 404, "JOB_NOT_FOUND")
    problem(memory_api.post("/v1/jobs/..%2Fx/stop"), 404, "ROUTE_UNKNOWN")
    problem(memory_api.get("/v1/jobs/ärger"), 404, "JOB_NOT_FOUND")


async def test_the_jobs_of_another_tenant_do_not_exist() -> None:
    async with memory_engine() as engine:
        job = await bulk(engine, "cancel", ["a"])
        for call in (engine.jobs.get, engine.jobs.stop, engine.jobs.resume):
            with pytest.raises(JobNotFoundError, match=r"^there is no such job$"):
                await call(job.asked.job_id, tenant="other")
        assert jobs_of(engine.store, "other", None, 10).jobs == []
        assert jobs_of(engine.store, "defaul", None, 10).jobs == []
        assert messages(engine.store, "a") == 0
