"""Whatever is sent, the answer is a problem document of the caller's fault, and nothing is recorded."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from refold.api import bodies
from refold.core.errors import StoreUnreachableError
from refold.core.failures import FAILURES
from refold.core.ports import Record
from refold.tests.api.client import ECHO, WAIT, Api, problem

JSON = {"content-type": "application/json"}


def send(api: Api, body: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.post("/v1/runs", content=body, headers={**JSON, **named})


def raw(api: Api, data: bytes) -> bytes:
    """What the server answers to `data` as it stands on the wire."""
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer and answer.endswith(b"}"):
                break
        return answer


DEEP = b'{"spec": ' + b"[" * 5000 + b"]" * 5000 + b"}"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", ""),
        (b"nonsense", ""),
        (b'{"seed": 1, "seed": 2}', "/seed"),
        (b'{"seed": NaN}', "/seed"),
        (b'{"seed": 1e999}', "/seed"),
        (b'{"seed": ' + b"9" * 100_000 + b"}", "/seed"),
        (b'{"run_id": "\\ud800"}', "/run_id"),
        (b'{"run_id": "a\x00b"}', "/run_id"),
        (b'{"run_id": "\xff"}', ""),
        (b"\xef\xbb\xbf{}", ""),
        (b"{} {}", ""),
    ],
)
def test_what_is_no_json_is_a_400_with_its_place(memory_api: Api, body: bytes, pointer: str) -> None:
    document = problem(send(memory_api, body), 400, "INPUT_INVALID")
    assert [each["pointer"] for each in document["problems"]] == [pointer]


def test_nesting_that_only_attacks_have_is_refused(memory_api: Api) -> None:
    document = problem(send(memory_api, DEEP), 400, "INPUT_INVALID")
    assert "nested deeper" in document["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ("text", ""),
        ({}, ""),
        ({"spec": WAIT, "workflow": "w"}, ""),
        ({"spec": WAIT, "version": "1"}, "/version"),
        ({"spec": []}, "/spec"),
        ({"spec": WAIT, "sped": 1}, "/sped"),
        ({"spec": WAIT, "a/b~": 1}, "/a~1b~0"),
        ({"spec": WAIT, "run_id": "a/b"}, "/run_id"),
        ({"spec": WAIT, "run_id": "x" * 100_000}, "/run_id"),
        ({"spec": WAIT, "run_id": 5}, "/run_id"),
        ({"spec": WAIT, "run_id": ""}, "/run_id"),
        ({"spec": WAIT, "seed": -1}, "/seed"),
        ({"spec": WAIT, "seed": 1.5}, "/seed"),
        ({"spec": WAIT, "seed": True}, "/seed"),
        ({"spec": WAIT, "seed": "1"}, "/seed"),
        ({"spec": WAIT, "queue": "a b"}, "/queue"),
        ({"spec": WAIT, "queue": "x" * 100_000}, "/queue"),
        ({"spec": WAIT, "priority": 2_000_000}, "/priority"),
        ({"spec": WAIT, "inputs": []}, "/inputs"),
        ({"spec": WAIT, "inputs": {"big": "x" * 2_100_000}}, "/inputs"),
        ({"workflow": "x" * 201}, "/workflow"),
    ],
)
def test_a_body_that_does_not_fit_is_a_422_with_a_pointer(memory_api: Api, body: Any, pointer: str) -> None:
    document = problem(send(memory_api, json.dumps(body).encode()), 422, "INPUT_INVALID")
    assert [each["pointer"] for each in document["problems"]] == [pointer], document
    assert len(json.dumps(document)) < 5_000
    assert memory_api.get("/v1/runs").json()["runs"] == []


def test_of_many_problems_the_first_are_told(memory_api: Api) -> None:
    body = {**{f"field{number}": 1 for number in range(200_000)}, "seed": "x"}
    problems = problem(send(memory_api, json.dumps(body).encode()), 422, "INPUT_INVALID")["problems"]
    assert [each["pointer"] for each in problems[:3]] == ["/field0", "/field1", "/field2"]
    assert len(problems) < 100 and "more than" in problems[-1]["reason"]


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({}, "/spec"),
        ({"workflow_type": "x", "steps": []}, "/spec/steps"),
        ({**WAIT, "oops": 1}, "/spec/oops"),
        ({**WAIT, "steps": [{"step_id": "a", "skill_id": "x", "inputs": {"t": "${b}"}}]}, "/spec/steps/0/inputs/t"),
    ],
)
def test_a_spec_that_cannot_run_is_a_422_with_pointers_into_the_body(
    memory_api: Api, spec: dict[str, Any], pointer: str
) -> None:
    document = problem(memory_api.start(spec), 422, "SPEC_INVALID")
    assert document["problems"][0]["pointer"] == pointer


def test_an_input_that_is_not_given_is_named(memory_api: Api) -> None:
    (entry,) = problem(memory_api.start(ECHO), 422, "INPUT_INVALID")["problems"]
    assert entry["pointer"] == "/inputs" and "'text'" in entry["reason"]


def test_what_is_no_name_of_a_workflow_is_refused(memory_api: Api) -> None:
    body = {"workflow": "order\n\x1b[31m", "version": "2"}
    (entry,) = problem(memory_api.post("/v1/runs", body), 422, "INPUT_INVALID")["problems"]
    assert entry["pointer"] == "/workflow" and "\x1b" not in entry["reason"]


def test_a_workflow_that_only_workers_may_know_waits_for_them(memory_api: Api) -> None:
    answer = memory_api.post("/v1/runs", {"workflow": "order", "inputs": {"n": 1}})
    assert answer.status_code == 201 and answer.json()["status"] == "queued"


@pytest.mark.parametrize("path", ["/v1", "/v1/runs/", "/v1/runs/r/nothing", "/v1//runs", "/v1/runs/a%2Fb"])
def test_an_unknown_path_is_a_404(memory_api: Api, path: str) -> None:
    problem(memory_api.client.get(path), 404, "ROUTE_UNKNOWN")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v1/runs"), ("POST", "/health"), ("PUT", "/v1/runs/r")])
def test_an_unknown_method_is_a_405_that_says_which_there_are(memory_api: Api, method: str, path: str) -> None:
    answer = memory_api.client.request(method, path)
    problem(answer, 405, "ROUTE_UNKNOWN")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "name",
    [
        "%00",
        "a%00b",
        "%ff",
        "%ed%a0%80",
        "%zz",
        "%",
        "a%20b",
        "..%5c",
        "-a",
        "%E2%80%AE",
        "x" * 60_000,
        "%F0%9F%92%A9",
    ],
)
@pytest.mark.parametrize("rest", ["", "/events", "/result", "/verify"])
def test_a_run_id_that_cannot_be_is_a_422(memory_api: Api, name: str, rest: str) -> None:
    answer = raw(memory_api, f"GET /v1/runs/{name}{rest} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 422 "), answer[:300]
    assert json.loads(body)["code"] == "INPUT_INVALID" and len(body) < 1000


@pytest.mark.parametrize(
    "query",
    [
        "/v1/runs?limit=0",
        "/v1/runs?limit=1000000",
        "/v1/runs?limit=x",
        "/v1/runs?limit=" + "9" * 5000,
        "/v1/runs?cursor=abc",
        "/v1/runs?cursor=-1",
        "/v1/runs?cursor=0",
        "/v1/runs?cursor=1%00",
        "/v1/runs?cursor=" + "9" * 40,
        "/v1/runs?cursor=%FF",
        "/v1/runs?cursor=",
        "/v1/runs?status=done",
        "/v1/runs?staus=failed",
        "/v1/runs/r/events?after=-1",
        "/v1/runs/r/events?after=1e3",
        "/v1/runs/r/events?after=99999999999999999999999",
        "/v1/runs/r/events?limit=501",
        "/v1/runs/r/result?wait=61",
        "/v1/runs/r/result?wait=-1",
        "/v1/runs/r/result?wait=nan",
        "/v1/runs/r/result?wait=inf",
        "/v1/runs/r/result?wiat=1",
    ],
)
def test_a_parameter_that_cannot_be_is_a_422_that_names_it(memory_api: Api, query: str) -> None:
    memory_api.start()
    document = problem(memory_api.client.get(query), 422, "INPUT_INVALID")
    (entry,) = document["problems"]
    assert f"'{query.partition('?')[2].partition('=')[0]}'" in entry["reason"]
    assert len(json.dumps(document)) < 2000


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json-patch+json", "application/json; charset=latin-1"])
def test_a_body_that_is_not_said_to_be_json_is_a_415(memory_api: Api, kind: str) -> None:
    for path in ("/v1/runs", "/v1/runs/r/cancel", "/v1/runs/r/pause"):
        answer = memory_api.client.post(path, content=b"{}", headers={"content-type": kind})
        problem(answer, 415, "INPUT_INVALID")
    problem(send(memory_api, b"x", content_encoding="gzip"), 415, "INPUT_INVALID")


def test_a_body_of_any_length_is_refused_before_it_is_read(memory_api: Api) -> None:
    head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for announced in (b"4000001", b"9" * 18):
        assert raw(memory_api, head + b"Content-Length: " + announced + b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_cut_off_at_the_limit(memory_api: Api) -> None:
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(80):
            taken += 100_000
            yield b" " * 100_000

    problem(memory_api.client.post("/v1/runs", content=chunks(), headers=JSON), 413, "INPUT_TOO_LARGE")


def test_the_largest_body_is_read(memory_api: Api) -> None:
    body = json.dumps({"spec": WAIT}).encode()
    padded = body + b" " * (bodies.MAX_BODY_BYTES - len(body))
    assert send(memory_api, padded).status_code == 201
    problem(send(memory_api, padded + b" "), 413, "INPUT_TOO_LARGE")


def test_a_body_that_does_not_come_is_a_408(memory_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{"
    assert raw(memory_api, head).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
def test_an_idempotency_key_that_cannot_be_is_refused(memory_api: Api, key: str) -> None:
    answer = memory_api.client.post(
        "/v1/runs", json={"spec": WAIT}, headers=[(b"idempotency-key", key.encode("latin-1"))]
    )
    assert "Idempotency-Key" in problem(answer, 422, "INPUT_INVALID")["detail"]


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("signal", {}, ""),
        ("signal", {"name": ""}, "/name"),
        ("signal", {"name": "a b"}, "/name"),
        ("signal", {"name": "x" * 100_000}, "/name"),
        ("signal", {"name": "go", "key": ""}, "/key"),
        ("signal", {"name": "go", "payload": "x" * 2_100_000}, "/payload"),
        ("cancel", {"reason": "x" * 2001}, "/reason"),
        ("cancel", {"reason": None}, "/reason"),
        ("cancel", {"raeson": "x"}, "/raeson"),
        ("pause", {"key": 7}, "/key"),
        ("resume", {"reason": "x"}, "/reason"),
    ],
)
def test_a_message_that_cannot_be_is_refused(memory_api: Api, verb: str, body: Any, pointer: str) -> None:
    memory_api.start()
    document = problem(memory_api.post(f"/v1/runs/r/{verb}", body), 422, "INPUT_INVALID")
    assert [each["pointer"] for each in document["problems"]] == [pointer]
    assert memory_api.get("/v1/runs/r/verify").json()["messages"] == 0


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost:x", "", "[::2]"]
)
def test_another_name_than_a_loopback_one_is_misdirected(memory_api: Api, host: str) -> None:
    answer = raw(memory_api, f"GET /v1/runs HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421 ") and b"problem+json" in answer, answer


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080"])
def test_loopback_names_are_served_and_no_page_of_another_origin_is(memory_api: Api, host: str) -> None:
    answer = memory_api.client.get("/v1/runs", headers={"host": host, "origin": "http://evil.example"})
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_a_400(memory_api: Api, data: bytes) -> None:
    answer = raw(memory_api, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"problem+json" in head, answer[:300]
    assert json.loads(body)["code"] == "INPUT_INVALID"
    assert memory_api.get("/health").status_code == 200


def test_our_own_fault_is_a_500_that_tells_nothing(
    memory_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret-of-ours")

    monkeypatch.setattr(memory_api.store, "heads", broken)
    monkeypatch.setattr(memory_api.store, "read", broken)
    answer = memory_api.get("/v1/runs/r")
    problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text and "secret-of-ours" in caplog.text


def test_a_log_that_was_altered_is_told_wherever_it_is_read(memory_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_api.start()
    read = memory_api.store.read

    def altered(*arguments: Any) -> list[Record]:
        return [record._replace(state=record.state.replace(b"ask", b"asx")) for record in read(*arguments)]

    def broken(*arguments: Any) -> list[Record]:
        return [record._replace(state=b"{") for record in read(*arguments)]

    monkeypatch.setattr(memory_api.store, "read", altered)
    verdict = memory_api.get("/v1/runs/r/verify").json()
    assert not verdict["ok"] and verdict["chain"]["findings"]
    monkeypatch.setattr(memory_api.store, "read", broken)
    problem(memory_api.get("/v1/runs/r"), 500, "INTEGRITY_BROKEN")
    assert [run["status"] for run in memory_api.get("/v1/runs").json()["runs"]] == ["unreadable"]
    (event,) = memory_api.get("/v1/runs/r/events").json()["events"]
    assert event["fault"] and event["at"] is event["data"] is None
    assert not memory_api.get("/v1/runs/r/verify").json()["ok"]


def test_a_store_that_is_away_is_a_503_without_its_address(memory_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnreachableError("no answer from postgresql://user:secret@host")

    for name in ("last_position", "read", "runs", "heads"):
        monkeypatch.setattr(memory_api.store, name, away)
    ready = memory_api.get("/ready")
    assert ready.status_code == 503 and "secret" not in ready.text
    assert [(each["name"], each["status"]) for each in ready.json()["checks"]] == [("store", "failed")]
    for path in ("/v1/runs", "/v1/runs/r", "/v1/runs/r/events"):
        answer = memory_api.get(path)
        problem(answer, 503, "STORE_UNREACHABLE")
        assert "secret" not in answer.text and answer.headers["retry-after"]
    assert memory_api.get("/health").status_code == 200


def test_the_openapi_document_describes_every_route(memory_api: Api) -> None:
    document = memory_api.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["description"] for operation in operations)
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["4XX"]["content"]
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    assert [path for path, post in posts.items() if "requestBody" not in post] == ["/v1/runs/{run_id}/verify"]
    assert set(document["paths"]) >= {"/v1/runs", "/v1/runs/{run_id}/events", "/v1/workers", "/health", "/ready"}
    assert {"ROUTE_UNKNOWN", "WORKFLOW_UNKNOWN"} <= FAILURES.keys()
