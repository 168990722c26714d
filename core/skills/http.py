"""The skill that calls HTTP servers."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import orjson

from ..canonical import canonical_json
from ..errors import Failure, NotCanonicalError
from ..exceptions_mapped import code_of_status
from ..runtime.context import StepContext
from ..runtime.skill import skill

MAX_BODY_BYTES = 1_000_000
"""The largest response body that is read, decompressed."""
MAX_TIMEOUT_SECONDS = 3_600
"""The longest `timeout_seconds` that `http_call` takes."""
MAX_REDIRECTS = 10
"""How many redirects are followed, where they are followed at all."""

# RFC 9110, sections 5.1 and 5.5; the standard allows more in a value, but servers do not agree what it means.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FRAMING = {"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
_KEPT_HEADERS = ("content-type", "etag", "location", "last-modified")
_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
"""The methods that `http_call` knows."""


@skill(side_effect=True)
async def http_call(
    context: StepContext,
    url: str,
    method: Method = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    json: Any = None,
    timeout_seconds: float = 30,
    follow_redirects: bool = False,
    accept_status: list[int] | None = None,
) -> dict[str, Any]:
    """Call an HTTP server; return status, a few stable headers, and `json` (when it is exact JSON) or text as `body`.

    POST, PUT, PATCH and DELETE carry the step's key as `Idempotency-Key`, a step that is in a trace its `traceparent`.
    `timeout_seconds` bounds the whole call.
    Statuses from 400 fail the step unless `accept_status` lists them. Proxies and credentials of the environment
    are not used. Messages name the server only, never the path, query or headers, for those may hold secrets.
    """
    server = _server(url)
    content = _content(body, json)
    sent = _headers(headers or {}, json is not None)
    if not 0 < timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise _refused(f"input 'timeout_seconds' is {timeout_seconds:g}, wanted more than 0 to {MAX_TIMEOUT_SECONDS}")
    if method in _CHANGES:
        sent.setdefault("idempotency-key", quote(context.idempotency_key, safe="!#$%&'()*+,/:;=?@[]^`{|}~ "))
    if context.traceparent is not None:
        sent.setdefault("traceparent", context.traceparent)
    import httpx2  # here and not above: `import refold` must be quick

    try:
        async with (
            asyncio.timeout(timeout_seconds),
            httpx2.AsyncClient(
                verify=_tls(), trust_env=False, timeout=timeout_seconds, max_redirects=MAX_REDIRECTS
            ) as client,
            client.stream(method, url, headers=sent, content=content, follow_redirects=follow_redirects) as response,
        ):
            _check_status(response.status_code, accept_status or [], server)
            return _result(response, await _read(response, server))
    # `from None`: the library's errors carry the request, and with it URL and headers.
    except TimeoutError:
        raise Failure("HTTP_UNREACHABLE", f"{server} did not answer within {timeout_seconds:g} s") from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise _refused(f"the request to {server} cannot be sent: {type(error).__name__}") from None
    except httpx2.TooManyRedirects:
        message = f"{server} redirected more than {MAX_REDIRECTS} times"
        raise Failure("HTTP_CLIENT_ERROR", message, retryable=False) from None
    except httpx2.HTTPError as error:
        message = f"{server} could not be reached or broke off: {type(error).__name__}"
        raise Failure("HTTP_UNREACHABLE", message) from None


def _server(url: str) -> str:
    """Scheme, host and port: what a message may show of a URL."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise _refused("input 'url' is no URL") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise _refused("input 'url' must begin with http:// or https:// and name a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme.lower()}://{host}{port}"


def _content(body: str | None, json: Any) -> bytes | None:
    if body is not None and json is not None:
        raise _refused("inputs 'body' and 'json' exclude each other")
    if json is not None:
        return canonical_json(json)
    return body.encode() if body is not None else None


def _headers(given: dict[str, str], is_json: bool) -> dict[str, str]:
    sent: dict[str, str] = {}
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise _refused(f"header {name[:60]!r} is none that a step may set")
        if not _HEADER_VALUE.fullmatch(value):
            raise _refused(f"the value of header {name[:60]!r} holds characters other than printable ASCII")
        sent[name.lower()] = value
    # Compressed answers would have to be unpacked before their size is known.
    sent.setdefault("accept-encoding", "identity")
    if is_json:
        sent.setdefault("content-type", "application/json")
    return sent


def _check_status(status: int, accepted: list[int], server: str) -> None:
    if status < 400 or status in accepted:
        return
    raise Failure(code_of_status(status), f"{server} answered {status}")


async def _read(response: Any, server: str) -> bytes:
    received = bytearray()
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > MAX_BODY_BYTES:
            raise Failure("OUTPUT_TOO_LARGE", f"{server} sent more than {MAX_BODY_BYTES} bytes", retryable=False)
    return bytes(received)


def _result(response: Any, data: bytes) -> dict[str, Any]:
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    result: dict[str, Any] = {"status": response.status_code, "headers": kept}
    media = kept.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        try:
            parsed = orjson.loads(data)
            # Numbers beyond 2^53 would lose digits: such an answer is given as text.
            canonical_json(parsed)
        except (orjson.JSONDecodeError, NotCanonicalError):
            pass
        else:
            return {**result, "json": parsed}
    try:
        return {**result, "body": data.decode(response.charset_encoding or "utf-8", errors="replace")}
    except LookupError:  # a charset that Python does not know
        return {**result, "body": data.decode("utf-8", errors="replace")}


@functools.cache
def _tls() -> ssl.SSLContext:
    """Loading the certificates takes milliseconds; a context has no state of its own, and any loop may use it."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


def _refused(reason: str) -> Failure:
    return Failure("SKILL_INPUT_INVALID", f"skill 'http_call': {reason}", retryable=False)
