"""`http_call` against a real server on the loopback."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from refold.core.canonical import canonical_json
from refold.core.errors import Failure
from refold.core.runtime.context import StepContext
from refold.core.runtime.payloads import output_of
from refold.core.skills.http import MAX_BODY_BYTES, http_call

CONTEXT = StepContext("r1", "call", 0, 0, 1, "r1:call", {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    released: threading.Event

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/slow":
            self.released.wait(30)
            self.close_connection = True
        elif path == "/cut":
            self._answer(200, b"x" * 10, length=1_000)
            self.close_connection = True
        elif path == "/huge":
            with contextlib.suppress(OSError):
                self._answer(200, b"x" * (MAX_BODY_BYTES + 1))
        elif path == "/bomb":
            self._answer(200, gzip.compress(b"x" * (MAX_BODY_BYTES + 1)), {"Content-Encoding": "gzip"})
        elif path == "/limit":
            self._answer(200, b"x" * MAX_BODY_BYTES)
        elif path == "/moved":
            self._answer(301, b"", {"Location": "/echo"})
        elif path == "/round":
            self._answer(302, b"", {"Location": "/round"})
        elif path == "/away":
            self._answer(302, b"", {"Location": "file:///etc/passwd"})
        elif path.startswith("/status/"):
            self._answer(int(path.rpartition("/")[2]), b"said the server")
        elif path == "/big-number":
            self._answer(200, b'{"id":12345678901234567890}', {"Content-Type": "application/json"})
        elif path == "/bad-json":
            self._answer(200, b"{", {"Content-Type": "application/json"})
        elif path == "/latin":
            self._answer(200, "grün".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"})
        elif path == "/odd-charset":
            self._answer(200, b"x", {"Content-Type": "text/plain; charset=klingon"})
        else:
            self._echo()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _echo(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = {"method": self.command, "path": self.path, "headers": headers, "body": body}
        self._answer(
            200, json.dumps(seen).encode(), {"Content-Type": "application/json", "ETag": '"1"', "X-Other": "1"}
        )

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, as it should on a body too large, is no error here."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    released = threading.Event()
    handler = type("Handler", (_Handler,), {"released": released})
    with _Server(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{running.server_port}"
        finally:
            released.set()
            running.shutdown()
            thread.join()


async def _call(inputs: dict[str, Any], context: StepContext = CONTEXT) -> Any:
    return output_of(await http_call(**http_call.bind(canonical_json(inputs), context))).value


async def _failed(inputs: dict[str, Any], code: str) -> Failure:
    with pytest.raises(Failure) as caught:
        await _call(inputs)
    assert caught.value.step_code == code, str(caught.value)
    return caught.value


async def test_a_get_returns_status_stable_headers_and_json(server: str) -> None:
    result = await _call({"url": f"http://{server}/echo?q=1", "headers": {"X-Trace": "t"}})
    assert result["status"] == 200
    assert result["headers"] == {"content-type": "application/json", "etag": '"1"'}
    seen = result["json"]
    assert (seen["method"], seen["path"], seen["headers"]["x-trace"]) == ("GET", "/echo?q=1", "t")
    assert "idempotency-key" not in seen["headers"] and "body" not in result


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_change_carries_the_steps_key(server: str, method: str) -> None:
    seen = (await _call({"url": f"http://{server}/", "method": method, "json": {"b": 1, "a": None}}))["json"]
    assert (seen["method"], seen["headers"]["idempotency-key"]) == (method, "r1:call")
    assert (seen["body"], seen["headers"]["content-type"]) == ('{"a":null,"b":1}', "application/json")


async def test_a_key_of_ones_own_is_left_alone(server: str) -> None:
    inputs = {"url": f"http://{server}/", "method": "POST", "body": "text", "headers": {"Idempotency-Key": "mine"}}
    seen = (await _call(inputs))["json"]
    assert (seen["headers"]["idempotency-key"], seen["body"]) == ("mine", "text")


async def test_a_key_that_no_header_can_carry_is_escaped(server: str) -> None:
    context = StepContext("r1", "call", 0, 0, 1, "größe\r\nX: 1", {})
    seen = (await _call({"url": f"http://{server}/", "method": "POST"}, context))["json"]
    assert seen["headers"]["idempotency-key"] == "gr%C3%B6%C3%9Fe%0D%0AX: 1"


async def test_head_has_no_body(server: str) -> None:
    result = await _call({"url": f"http://{server}/echo", "method": "HEAD"})
    assert (result["status"], result["body"]) == (200, "")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/big-number", '{"id":12345678901234567890}'),
        ("/bad-json", "{"),
        ("/latin", "grün"),
        ("/odd-charset", "x"),
    ],
)
async def test_what_is_no_exact_json_comes_as_text(server: str, path: str, body: str) -> None:
    result = await _call({"url": f"http://{server}{path}"})
    assert result["body"] == body and "json" not in result


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "HTTP_CLIENT_ERROR"),
        (404, "HTTP_CLIENT_ERROR"),
        (401, "HTTP_DENIED"),
        (403, "HTTP_DENIED"),
        (429, "HTTP_RATE_LIMITED"),
        (500, "HTTP_SERVER_ERROR"),
        (503, "HTTP_SERVER_ERROR"),
    ],
)
async def test_an_error_status_fails_the_step(server: str, status: int, code: str) -> None:
    error = await _failed({"url": f"http://{server}/status/{status}"}, code)
    assert str(error) == f"http://{server} answered {status}"


async def test_an_accepted_status_is_a_result(server: str) -> None:
    result = await _call({"url": f"http://{server}/status/404", "accept_status": [404]})
    assert (result["status"], result["body"]) == (404, "said the server")


async def test_a_redirect_is_a_result_unless_it_is_to_be_followed(server: str) -> None:
    moved = await _call({"url": f"http://{server}/moved"})
    assert (moved["status"], moved["headers"]["location"]) == (301, "/echo")
    followed = await _call({"url": f"http://{server}/moved", "follow_redirects": True})
    assert (followed["status"], followed["json"]["path"]) == (200, "/echo")


async def test_redirects_that_lead_nowhere_are_refused(server: str) -> None:
    await _failed({"url": f"http://{server}/round", "follow_redirects": True}, "HTTP_CLIENT_ERROR")
    await _failed({"url": f"http://{server}/away", "follow_redirects": True}, "SKILL_INPUT_INVALID")


async def test_a_slow_server_is_given_up(server: str) -> None:
    error = await _failed({"url": f"http://{server}/slow", "timeout_seconds": 0.1}, "HTTP_UNREACHABLE")
    assert "within 0.1 s" in str(error) or "Timeout" in str(error)


async def test_a_cut_connection_can_be_tried_again(server: str) -> None:
    error = await _failed({"url": f"http://{server}/cut"}, "HTTP_UNREACHABLE")
    assert error.retryable is None


async def test_nobody_listening_can_be_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        error = await _failed({"url": f"http://127.0.0.1:{taken.getsockname()[1]}/"}, "HTTP_UNREACHABLE")
    assert "ConnectError" in str(error)


@pytest.mark.parametrize("path", ["/huge", "/bomb"])
async def test_a_body_beyond_the_limit_is_not_read(server: str, path: str) -> None:
    await _failed({"url": f"http://{server}{path}"}, "OUTPUT_TOO_LARGE")


async def test_a_body_at_the_limit_is_read(server: str) -> None:
    assert len((await _call({"url": f"http://{server}/limit"}))["body"]) == MAX_BODY_BYTES


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1/x", "http://", "", "http://h:port/", "http://[::1/"]
)
async def test_only_http_urls_are_called(url: str) -> None:
    await _failed({"url": url}, "SKILL_INPUT_INVALID")


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "get"},
        {"method": "TRACE"},
        {"timeout_seconds": 0},
        {"timeout_seconds": 3_601},
        {"body": "x", "json": 1},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X": "grün"}},
        {"headers": {"a b": "x"}},
        {"headers": {"Content-Length": "5"}},
        {"headers": {"host": "elsewhere"}},
        {"accept_status": "404"},
    ],
)
async def test_a_request_that_cannot_be_sent_is_refused(server: str, changed: dict[str, Any]) -> None:
    await _failed({"url": f"http://{server}/", **changed}, "SKILL_INPUT_INVALID")


SECRET = "hunter2-and-more-than-twenty-characters"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"url": "http://user:{secret}@{server}/status/500?key={secret}"}, "HTTP_SERVER_ERROR"),
        ({"url": "http://user:{secret}@{server}/status/404/{secret}/404"}, "HTTP_CLIENT_ERROR"),
        ({"url": "http://user:{secret}@{server}/cut?key={secret}"}, "HTTP_UNREACHABLE"),
        ({"url": "http://user:{secret}@{server}/huge?key={secret}"}, "OUTPUT_TOO_LARGE"),
        ({"url": "http://user:{secret}@127.0.0.1:1/{secret}"}, "HTTP_UNREACHABLE"),
        ({"url": "http://user:{secret}"}, "SKILL_INPUT_INVALID"),
        ({"url": "http://user:{secret}@127.0.0.1:x/"}, "SKILL_INPUT_INVALID"),
        ({"url": "{secret}://user:{secret}@{server}/"}, "SKILL_INPUT_INVALID"),
        ({"url": "http://user:{secret}@{server}/\x01{secret}"}, "SKILL_INPUT_INVALID"),
        ({"url": "http://{server}/", "headers": {"Authorization": "{secret}\n"}}, "SKILL_INPUT_INVALID"),
        ({"url": "http://{server}/", "headers": "Authorization: Bearer {secret}"}, "SKILL_INPUT_INVALID"),
        ({"url": "http://{server}/", "headers": {"Authorization": ["{secret}"]}}, "SKILL_INPUT_INVALID"),
    ],
)
async def test_no_error_gives_a_secret_away(server: str, inputs: dict[str, Any], code: str) -> None:
    text = json.dumps(inputs).replace("{secret}", SECRET).replace("{server}", server)
    error: BaseException | None = await _failed(json.loads(text), code)
    assert error is not None and SECRET not in str(error)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


async def test_credentials_in_the_url_are_sent(server: str) -> None:
    seen = (await _call({"url": f"http://user:pass@{server}/echo"}))["json"]
    assert seen["headers"]["authorization"].startswith("Basic ")


async def test_the_environments_proxy_is_not_used(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await _call({"url": f"http://{server}/echo"}))["status"] == 200
