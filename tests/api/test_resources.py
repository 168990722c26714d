"""The resources besides runs: each answers what its command tells, and every tenant only of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from refold import SkillRegistry, open_store
from refold.api.places import Places
from refold.core.addresses import Allowed
from refold.core.failures import FAILURES
from refold.projections.golden_keys import GoldenKeys, new_secret
from refold.projections.golden_proof import recorded
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.projector import Projector, known_projections
from refold.replay.bundle_proof import prove_bundle
from refold.replay.bundles import read_bundle
from refold.replay.signing_keys import VerifierKey
from refold.replay.tree_folder import TreeFolder
from refold.tests.api.client import ECHO, Api, problem
from refold.tests.support.audited import LOG_KEY, signed, tree_of
from refold.tests.support.served import served, working
from refold.tests.support.workflows import SOON_SECONDS, spec, step

Placed = Callable[[Places], Api]


@pytest.fixture
def placed(tmp_path: Path) -> Iterator[Placed]:
    """Serves the store in memory with these places."""
    opened: list[Any] = []

    def serve(places: Places) -> Api:
        store = open_store("memory:")
        server = served(store, places)
        client = httpx2.Client(base_url=(base := server.__enter__()), timeout=60)
        opened.append((client, server, store))
        return Api(client, store, base)

    yield serve
    for client, server, store in opened:
        client.close()
        server.__exit__(None, None, None)
        store.close()


def projected(api: Api) -> None:
    """Let a projector take in the whole log."""

    async def run() -> None:
        projector = Projector(api.store, list(known_projections().values()))
        following = asyncio.create_task(projector.run())
        end, last = time.monotonic() + SOON_SECONDS, api.store.last_position()
        while {each.position >= last for each in api.store.tables.generations()} != {True}:
            assert time.monotonic() < end, "the projections do not come up"
            await asyncio.sleep(0.01)
        projector.drain()
        await following

    asyncio.run(run())


def ended(api: Api, run_id: str) -> None:
    """Have a worker work until the run has ended or waits."""
    with working(api.store, SkillRegistry()):
        end = time.monotonic() + SOON_SECONDS
        while api.get(f"/v1/runs/{run_id}").json()["status"] in ("queued", "running"):
            assert time.monotonic() < end, "the run does not come to rest"
            time.sleep(0.01)


def pages(api: Api, path: str, name: str, **parameters: Any) -> list[Any]:
    """All rows of a list, read one by one."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = api.get(path, limit=1, **parameters, **cursor)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert len(document[name]) <= 1
        found += document[name]
        if document["next_cursor"] is None:
            return found
        cursor = {"cursor": document["next_cursor"]}


FAILING = spec(step("bad", "transform", expression="nonsense(("), workflow_type="fails")
ASKING = spec(step("ask", "approval", inputs={"reason": "ship it", "approvers": ["ada", "bob"]}), workflow_type="asks")


def test_a_spec_is_registered_once_and_told_with_its_tag(api: Api) -> None:
    body = {"spec": {**ECHO, "version": "1+b"}}
    made = api.client.put("/v1/specs/hello", json=body)
    assert made.status_code == 201 and made.json()["new"]
    assert api.post("/v1/specs", body).status_code == 200
    where = made.headers["location"]
    found = api.get(where)
    assert found.json()["spec"]["steps"] and found.json()["latest"]
    again = api.client.get(where, headers={"if-none-match": f'"other", {found.headers["etag"]}'})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == found.headers["etag"]
    other = {"spec": {**ECHO, "version": "1+b", "metadata": {"x": 1}}}
    problem(api.post("/v1/specs", other), 409, "SPEC_CONFLICT")
    api.post("/v1/specs", {"spec": {**ECHO, "version": "2"}})
    assert [each["version"] for each in pages(api, "/v1/specs", "specs")] == ["1+b", "2"]
    assert api.get("/v1/specs/hello").json()["version"] == "2"
    problem(api.get("/v1/specs/nobody"), 404, "SPEC_NOT_FOUND")
    wrong = problem(api.client.put("/v1/specs/other", json=body), 422, "INPUT_INVALID")
    assert wrong["problems"][0]["pointer"] == "/spec/workflow_type"


def test_a_spec_is_validated_without_being_recorded(memory_api: Api) -> None:
    good = memory_api.post("/v1/specs:validate", {"spec": ECHO}).json()
    assert good["valid"] and good["steps"] == ["a"] and good["workflow_type"] == "hello"
    bad = memory_api.post("/v1/specs:validate", {"spec": {**ECHO, "steps": []}}).json()
    assert not bad["valid"] and bad["problems"][0]["pointer"] == "/spec/steps"
    assert memory_api.store.last_position() == 0


def test_the_inbox_tells_the_same_by_the_logs_and_by_the_projection(api: Api) -> None:
    for run_id in ("a", "b"):
        api.start(ASKING, run_id)
        ended(api, run_id)
    logs = pages(api, "/v1/approvals", "approvals")
    assert [each["run_id"] for each in logs] == ["b", "a"] and api.get("/v1/approvals").json()["behind"] is None
    projected(api)
    assert pages(api, "/v1/approvals", "approvals") == logs[::-1]
    api.post("/v1/runs/a/approvals", {"action": "grant", "by": "ada"})
    assert len(pages(api, "/v1/approvals", "approvals", status="open", approver="bob", run="b")) == 1
    assert pages(api, "/v1/approvals", "approvals", approver="eve") == []


def test_failures_are_listed_counted_and_explained(api: Api) -> None:
    problem(api.get("/v1/failures"), 503, "PROJECTION_NOT_BUILT")
    for run_id in ("a", "b"):
        api.start(FAILING, run_id)
        ended(api, run_id)
    projected(api)
    found = pages(api, "/v1/failures", "failures", kind="step", since="2020-01-01T00:00:00Z")
    assert [each["run_id"] for each in found] == ["b", "a"] and found[0]["step_id"] == "bad"
    code = found[0]["code"]
    assert pages(api, "/v1/failures", "failures", category=found[0]["category"], run="a")
    assert pages(api, "/v1/failures", "failures", until="2020-01-01T00:00:00+02:00") == []
    counted = api.client.get("/v1/failures:counts?by=code&by=kind&workflow=fails").json()
    assert {"code": code, "kind": "step", "failures": 2} in counted["rows"]
    assert api.get("/v1/costs").json()["rows"] == []
    assert api.get(f"/v1/failure-codes/{code}").json() == FAILURES[code].to_json()
    assert len(api.get("/v1/failure-codes").json()["failure_codes"]) == len(FAILURES)


def test_a_budget_is_topped_up_and_told(api: Api) -> None:
    account = "budget/agent/ada/total"
    made = api.post(f"/v1/budgets/{account}/top-ups", {"cents": 12.5, "reason": "more work"})
    assert made.status_code == 201 and made.json()["cents"] == 12.5
    shown = api.get(f"/v1/budgets/{account}").json()
    assert shown["extra"] == 12.5 and [each["reason"] for each in shown["top_ups"]] == ["more work"]
    assert [each["account"] for each in pages(api, "/v1/budgets", "accounts", prefix="budget/")] == [account]
    problem(api.get("/v1/budgets/budget/agent/eve/total"), 404, "RESOURCE_NOT_FOUND")
    problem(api.get("/v1/budgets/budget/agent/e%00ve/total"), 404, "RESOURCE_NOT_FOUND")
    refused = problem(api.post(f"/v1/budgets/{account}/top-ups", {"cents": 0.0, "reason": "x"}), 422, "INPUT_INVALID")
    assert refused["problems"][0]["pointer"] == "/cents"


def test_a_policy_is_adopted_once_under_its_name_and_version(memory_api: Api) -> None:
    api, body = memory_api, {"policy": {"policy": "house", "version": "1", "rules": []}}
    said = api.post("/v1/policies:validate", body).json()
    assert said["valid"] and not api.post("/v1/policies:validate", {"policy": {"policy": 1}}).json()["valid"]
    assert [api.post("/v1/policies", body).status_code for _ in range(2)] == [201, 200]
    assert api.get("/v1/policies/house").json()["sha256"] == said["sha256"]
    assert [each["policy"] for each in pages(api, "/v1/policies", "policies")] == ["house"]
    assert api.get("/v1/policies:current").json()["policy"] is None
    problem(api.get("/v1/policies/other"), 404, "RESOURCE_NOT_FOUND")


def test_the_secret_of_a_webhook_is_told_once_and_lies_in_the_key_file(placed: Placed, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    api = placed(Places(webhook_keys=keys, webhook_allowed=Allowed(http=True)))
    body = {"url": "https://hooks.example.com/a", "patterns": ["run.*"]}
    made = api.post("/v1/webhooks", body)
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    endpoint, secret = made.json()["endpoint_id"], made.json()["secret"]
    assert secret in keys.read_text() and keys.stat().st_mode & 0o777 == 0o600
    shown = api.get(f"/v1/webhooks/{endpoint}")
    assert secret not in shown.text and shown.json()["waiting"] == 0
    assert "secret" not in api.get("/v1/webhooks").json()["webhooks"][0]
    rotated = api.post(f"/v1/webhooks/{endpoint}/rotate", {"overlap": "1h"}).json()
    assert rotated["secret"] != secret and rotated["replaced"] == made.json()["key_id"]
    assert not api.post(f"/v1/webhooks/{endpoint}/disable", {"reason": "noise"}).json()["enabled"]
    assert api.post(f"/v1/webhooks/{endpoint}/enable").json()["enabled"]
    changed = api.client.patch(f"/v1/webhooks/{endpoint}", json={"patterns": ["run.failed"]}).json()
    assert changed["patterns"] == ["run.failed"] and changed["url"] == body["url"]
    assert api.get(f"/v1/webhooks/{endpoint}/deliveries").json() == {"deliveries": [], "next_cursor": None}
    assert api.get("/v1/webhooks/dead-letters").json() == {"deliveries": [], "next_cursor": None}
    assert api.post(f"/v1/webhooks/{endpoint}/deliveries:replay").json() == {"replayed": 0}
    replay = {"message_id": "msg_none"}
    problem(api.post(f"/v1/webhooks/{endpoint}/deliveries:replay", replay), 404, "RESOURCE_NOT_FOUND")
    assert api.client.delete(f"/v1/webhooks/{endpoint}").status_code == 204
    assert secret not in keys.read_text() and rotated["secret"] not in keys.read_text()
    problem(api.client.delete(f"/v1/webhooks/{endpoint}"), 404, "RESOURCE_NOT_FOUND")


def test_what_cannot_be_subscribed_leaves_no_secret(placed: Placed, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    api = placed(Places(webhook_keys=keys))
    refused = api.post("/v1/webhooks", {"url": "http://127.0.0.1/", "patterns": ["run.*"]})
    assert refused.status_code in (403, 422), refused.text
    assert "whsec" not in keys.read_text()
    os.chmod(keys, 0o644)
    body = {"url": "https://hooks.example.com/", "patterns": ["run.*"]}
    document = problem(api.post("/v1/webhooks", body), 409, "NOT_CONFIGURED")
    assert str(tmp_path) not in str(document)


def test_a_schedule_is_made_paused_triggered_and_ended(api: Api) -> None:
    body = {"schedule": {"schedule_id": "nightly", "spec": ECHO, "inputs": {"text": "x"}, "cron": "0 2 * * *"}}
    made = api.post("/v1/schedules", body)
    assert made.status_code == 201 and made.headers["location"] == "/v1/schedules/nightly"
    assert api.post("/v1/schedules", body).json()["schedule"] == made.json()["schedule"]
    times = api.get("/v1/schedules/nightly/times", count=3).json()["times"]
    assert len(times) == 3 and all("T02:00:00" in each for each in times)
    assert api.post("/v1/schedules/nightly/pause", {"reason": "holidays"}).json()["status"] == "paused"
    assert api.post("/v1/schedules/nightly/resume").json()["status"] != "paused"
    assert api.post("/v1/schedules/nightly/trigger", {"key": "k"}).status_code == 202
    assert [each["run_id"] for each in pages(api, "/v1/schedules", "schedules")] == ["nightly"]
    assert api.client.delete("/v1/schedules/nightly").status_code == 202
    ended(api, "nightly")
    problem(api.client.delete("/v1/schedules/nightly"), 409, "RUN_ENDED")
    assert api.get("/v1/schedules").json()["schedules"] == []
    problem(api.get("/v1/schedules/no"), 404, "RESOURCE_NOT_FOUND")
    document = problem(api.post("/v1/schedules", {"schedule": {"schedule_id": "x"}}), 422, "INPUT_INVALID")
    assert {each["pointer"] for each in document["problems"]} == {"/schedule"}


def test_an_emergency_stop_tells_how_many_runs_it_holds(api: Api) -> None:
    where = "/v1/control/emergency-stop"
    assert api.get(where).json() == {"status": "RUNNING", "stops": [], "holds": None}
    api.start(run_id="a")
    api.start(run_id="b", queue="slow")
    projected(api)
    made = api.post(where, {"scope": "queue", "name": "slow", "reason": "it burns"}).json()
    assert (made["status"], made["enabled"]["holds"], made["holds"]) == ("STOPPED", 1, 1)
    assert api.post(where, {"reason": "all of it"}).json()["enabled"]["name"] == "default"
    assert api.get(where).json()["holds"] == 2
    released = api.post(f"{where}/release", {"scope": "queue", "name": "slow"}).json()
    assert [each["name"] for each in released["released"]] == ["slow"] and released["status"] == "STOPPED"
    document = problem(api.post(where, {"scope": "queue"}), 422, "INPUT_INVALID")
    assert document["problems"][0]["pointer"] == "/name"
    events = api.get("/v1/control/emergency/events", limit=2).json()
    assert [each["topic"] for each in events["events"]] == ["emergency.stopped"] * 2 and events["next_after"] == 2
    assert {"name": "emergency", "events": 3} in pages(api, "/v1/control", "streams")
    problem(api.get("/v1/control/nothing/events"), 404, "RESOURCE_NOT_FOUND")


def test_projections_say_how_far_they_are_behind_and_can_stand_still(api: Api) -> None:
    api.start()
    assert "runs" in api.get("/v1/projections").json()["missing"]
    problem(api.get("/v1/projections/runs"), 503, "PROJECTION_NOT_BUILT")
    projected(api)
    (runs,) = [each for each in api.get("/v1/projections").json()["projections"] if each["name"] == "runs"]
    assert (runs["lag_events"], runs["state"], runs["parked"]) == (0, "idle", 0)
    assert api.post("/v1/projections/runs/pause").json()["generations"][0]["state"] == "paused"
    assert api.post("/v1/projections/runs/resume").json()["generations"][0]["state"] == "idle"
    assert api.get("/v1/projections/runs/parked").json()["parked"] == []
    assert api.post("/v1/projections/runs/retry").json()["retried"] == 0
    retry = {"tenant": "default", "run_id": "r"}
    problem(api.post("/v1/projections/runs/retry", retry), 404, "RESOURCE_NOT_FOUND")
    problem(api.get("/v1/projections/other"), 404, "RESOURCE_NOT_FOUND")


def test_the_workers_are_told_in_short(memory_api: Api) -> None:
    assert memory_api.get("/workers/status").json()["status"] == "none"
    with working(memory_api.store):
        end = time.monotonic() + SOON_SECONDS
        while (told := memory_api.get("/v1/workers/status").json())["status"] != "ok":
            assert time.monotonic() < end, "no worker reports"
            time.sleep(0.01)
    assert (told["workers"], told["working"], told["lost"], told["queues"]) == (1, 1, 0, ["default"])


def test_a_run_is_proved_to_be_in_the_tree_and_leaves_as_a_bundle(placed: Placed, tmp_path: Path) -> None:
    api = placed(Places(tree=tmp_path / "tree", goldens=tmp_path / "goldens"))
    api.start(ECHO, "r", inputs={"text": "x"})
    ended(api, "r")
    problem(api.get("/v1/runs/r/bundle"), 404, "RESOURCE_NOT_FOUND")
    tree = tree_of(api.store, tmp_path / "tree")
    tree.write("checkpoint", signed(tree).data)
    told = api.get("/v1/audit/tree").json()
    assert told["size"] == told["head"]["size"] == tree.size and told["head"]["root"] == told["root"]
    bundle = api.get("/v1/runs/r/bundle")
    assert bundle.headers["content-type"] == "application/zip"
    assert prove_bundle(read_bundle(bundle.content), LOG_KEY.verifier, [], None, 0).ok
    proofs = api.get("/v1/runs/r/inclusion", limit=1).json()
    assert proofs["next_after"] == 1 and proofs["proofs"][0]["leaf"] == 0
    one = api.get("/v1/audit/inclusion", position=1).json()
    assert one["proof"] == proofs["proofs"][0]
    grown = api.get("/v1/audit/consistency", old=1).json()
    assert grown["new"] == tree.size and grown["new_root"] == tree.head_root.hex()
    problem(api.get("/v1/audit/consistency", old=10**6), 422, "INPUT_INVALID")
    api.start(ECHO, "late", inputs={"text": "x"})
    document = problem(api.get("/v1/runs/late/bundle"), 409, "TREE_BEHIND")
    assert str(tmp_path) not in str(document)
    problem(api.get("/v1/runs/none/bundle"), 404, "RUN_NOT_FOUND")
    assert TreeFolder(tmp_path / "tree").size == tree.size


def test_a_certificate_is_never_looked_for_where_the_key_says(placed: Placed, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"body": {}}')
    (tmp_path / "key.pem").write_bytes(LOG_KEY.verifier.pem())
    api = placed(Places(certificates=tmp_path))
    assert [each["name"] for each in pages(api, "/v1/audit/certificates", "certificates")] == ["c.json"]
    assert api.get("/v1/audit/certificates/c.json").json() == {"body": {}}
    problem(api.get("/v1/audit/certificates/..%2Fkey.json"), 404, "ROUTE_UNKNOWN")
    problem(api.get("/v1/audit/certificates/key.pem"), 404, "RESOURCE_NOT_FOUND")
    where = "/v1/audit/certificates:verify"
    assert api.post(where, {"certificate": {}}).json()["standing"] == "malformed"
    path = str(tmp_path / "key.pem")
    document = problem(api.post(where, {"certificate": {}, "key": path}), 422, "INPUT_INVALID")
    assert document["problems"][0]["pointer"] == "/key" and "no verifier key" in str(document)
    assert VerifierKey.parse(LOG_KEY.verifier.text()) == LOG_KEY.verifier


def test_a_golden_is_told_with_its_signature_and_proved_by_the_log(placed: Placed, tmp_path: Path) -> None:
    keys = GoldenKeys("k1", {"k1": new_secret()})
    keys.save(tmp_path / "keys.json")
    api = placed(Places(goldens=tmp_path / "goldens", golden_keys=tmp_path / "keys.json"))
    api.start(ECHO, "r", inputs={"text": "x"})
    ended(api, "r")
    unsigned = api.get("/v1/runs/r/golden").json()
    golden = recorded(api.store, "r", "default")
    assert golden is not None
    assert unsigned["data"].encode() == golden.data and unsigned["signature"] is None
    problem(api.get("/v1/runs/r/golden/verify"), 404, "RESOURCE_NOT_FOUND")
    GoldenRecorder(tmp_path / "goldens", keys).write([golden])
    found = api.get("/v1/runs/r/golden")
    assert found.json()["data"].encode() == golden.data and "k1" in found.json()["signature"]
    assert [each["run_id"] for each in pages(api, "/v1/goldens", "goldens")] == ["r"]
    assert api.get("/v1/runs/r/golden/verify").json()["ok"]
    (tmp_path / "goldens" / "default" / found.json()["name"]).write_bytes(golden.data.replace(b'"x"', b'"y"'))
    assert not api.get("/v1/runs/r/golden/verify").json()["ok"]


def test_only_what_is_sensitive_can_be_erased(memory_api: Api) -> None:
    memory_api.start()
    problem(memory_api.post("/v1/runs/none/erase"), 404, "RUN_NOT_FOUND")
    problem(memory_api.post("/v1/runs/r/erase", {"reason": "asked"}), 422, "INPUT_INVALID")


def test_a_cursor_that_is_none_is_refused(memory_api: Api) -> None:
    projected(memory_api)
    for path in ("/v1/specs", "/v1/approvals", "/v1/failures", "/v1/budgets", "/v1/policies", "/v1/control"):
        for cursor in ("e30", "WzFd.", "%00", "W10", "WyJhIiwyLDNd"):
            problem(memory_api.get(path, cursor=cursor), 422, "INPUT_INVALID")
        problem(memory_api.get(path, limit=0), 422, "INPUT_INVALID")
        problem(memory_api.get(path, strange=1), 422, "INPUT_INVALID")
