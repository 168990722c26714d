"""Runs reached over HTTP: the other side of docs/api.md.

Every request may be sent again: runs have their ids, messages and forks their keys, before they are sent. So a server
that is away for a while, lets nobody in, or whose answer is lost, costs patience and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import orjson

from ...core.canonical import decode
from ...core.errors import CallError, NotCanonicalError, RefoldError, StoreUnreachableError
from ...core.ids import check_run_id
from ...core.runtime.functions.workflow import Workflow
from ...core.runtime.payloads import payload_of
from ...core.runtime.tracing import current_traceparent
from ...core.spec import WorkflowSpec
from .filters import Wanted
from .gateway import ListedRun, Order, Origin, RunList, Verb
from .patience import Patience
from .problems import error_of, retry_after
from .sse import blocks_of

WAIT_SECONDS = 30.0
"""How long one request for a result waits; then it is sent again."""

ANSWER_SECONDS = 20.0
"""How long the server may take beyond what it was asked to wait."""

QUIET_SECONDS = 45.0
"""After how long without a sign of life a stream of events counts as broken: the server sends one every 15 s."""

LONGEST_RETRY = 10.0
"""For how many seconds at most a server may have a client wait that lost its stream."""

_PAGE = 500
_STREAM = "text/event-stream"


class HttpGateway:
    """Fulfils `Gateway` with a server at `url`; while it does not answer it is asked again, for `patience` seconds."""

    def __init__(self, url: str, patience: float, *, api_key: str | None = None, tenant: str | None = None):
        """`api_key` is shown as a bearer token (RFC 6750), `tenant` is said to a server whose key is for all."""
        host = httpx2.URL(url).host
        self._url = url.rstrip("/")
        self._patience = patience
        said = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        if tenant is not None:
            said["refold-tenant"] = tenant
        # What is on this machine is not to be looked for behind a proxy.
        self._options: Any = {"base_url": f"{self._url}/v1/", "headers": said, "trust_env": not _is_here(host)}
        self._client = httpx2.AsyncClient(**self._options)
        self._streams: httpx2.AsyncClient | None = None

    async def start(self, order: Order) -> Mapping[str, Any]:
        """See `Gateway.start`."""
        body: dict[str, Any] = {"run_id": order.run_id, "inputs": order.inputs, "seed": order.seed}
        body |= {"queue": order.queue, "priority": order.priority, **_named(order.what)}
        return await self._send("POST", "runs", body)

    async def look(self, run_id: str) -> Mapping[str, Any]:
        """See `Gateway.look`."""
        return await self._send("GET", _path(run_id))

    async def wait(self, run_id: str, seconds: float) -> Mapping[str, Any]:
        """See `Gateway.wait`."""
        seconds = min(seconds, WAIT_SECONDS)
        return await self._send("GET", f"{_path(run_id)}/result", parameters={"wait": seconds}, seconds=seconds)

    async def signal(self, run_id: str, name: str, payload: Any, key: str) -> None:
        """See `Gateway.signal`."""
        await self._send("POST", f"{_path(run_id)}/signal", {"name": name, "payload": payload, "key": key})

    async def tell(self, verb: Verb, run_id: str, key: str, reason: str = "", *, force: bool = False) -> None:
        """See `Gateway.tell`."""
        body: dict[str, Any] = {"key": key}
        if verb != "resume":
            body["reason"] = reason
        if verb == "cancel":
            body["force"] = force
        await self._send("POST", f"{_path(run_id)}/{verb}", body)

    async def query(self, run_id: str, name: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        """See `Gateway.query`."""
        body = {"name": name, "arguments": arguments, "timeout_seconds": seconds}
        return (await self._send("POST", f"{_path(run_id)}/query", body, seconds=seconds))["answer"]

    async def decide(self, run_id: str, act: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Gateway.decide`."""
        return await self._send("POST", f"{_path(run_id)}/approvals", act)

    async def approvals(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        """See `Gateway.approvals`."""
        return (await self._send("GET", f"{_path(run_id)}/approvals"))["approvals"]

    async def page(self, wanted: Wanted, limit: int, cursor: str | None) -> RunList:
        """See `Gateway.page`."""
        parameters = {**wanted.parameters(), "limit": limit}
        told = await self._send("GET", "runs", parameters=parameters | ({} if cursor is None else {"cursor": cursor}))
        return RunList(tuple(ListedRun(**row) for row in told["runs"]), told["next_cursor"])

    async def counts(self, wanted: Wanted) -> Mapping[str, int]:
        """See `Gateway.counts`."""
        return (await self._send("GET", "/runs:counts", parameters=wanted.parameters()))["counts"]

    async def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Mapping[str, Any]]:
        """See `Gateway.events`."""
        if follow:
            async with aclosing(self._followed(f"{_path(run_id)}/events", after)) as events:
                async for event in events:
                    yield event
            return
        following: int | None = after
        while following is not None:
            page = await self._send("GET", f"{_path(run_id)}/events", parameters={"after": following, "limit": _PAGE})
            for event in page["events"]:
                yield event
            following = page["next_after"]

    async def fork(self, origin: Origin) -> Mapping[str, Any]:
        """See `Gateway.fork`."""
        body = {"run_id": origin.new_id, "queue": origin.queue}
        if not origin.retry:
            body |= {"from_step": origin.from_step, "changes": origin.changes}
        path = f"{_path(origin.run_id)}/{'retry' if origin.retry else 'fork'}"
        # Under a key the new run is the same, though the old one may have gone on when this is sent again.
        return await self._send("POST", path, body, key=uuid4().hex)

    async def diff(self, a: str, b: str) -> Mapping[str, Any]:
        """See `Gateway.diff`."""
        return await self._send("GET", "/runs:diff", parameters={"a": check_run_id(a), "b": check_run_id(b)})

    async def verify(self, run_id: str) -> Mapping[str, Any]:
        """See `Gateway.verify`."""
        return await self._send("GET", f"{_path(run_id)}/verify")

    async def close(self) -> None:
        """See `Gateway.close`."""
        if self._streams is not None:
            await self._streams.aclose()
        await self._client.aclose()

    async def _followed(self, path: str, after: int) -> AsyncGenerator[Mapping[str, Any]]:
        """The events of a stream to its end; a lost connection is taken up again behind the last event."""
        patience = Patience(self._patience)
        if self._streams is None:
            # A stream holds its connection for as long as a run may take: they are not to crowd out requests.
            self._streams = httpx2.AsyncClient(**self._options, limits=httpx2.Limits())
        while True:
            wait = None
            headers = {"accept": _STREAM, "accept-encoding": "identity", "last-event-id": str(after)}
            timeout = httpx2.Timeout(ANSWER_SECONDS, read=QUIET_SECONDS)
            error: RefoldError = StoreUnreachableError(f"{self._url} ended a stream of events before its end")
            try:
                async with self._streams.stream("GET", path, headers=headers, timeout=timeout) as response:
                    await _check_stream(response)
                    patience.renew()
                    async with aclosing(blocks_of(response.aiter_bytes())) as blocks:
                        async for block in blocks:
                            wait = wait if block.retry is None else min(block.retry, LONGEST_RETRY)
                            if block.event == "end":
                                return
                            event = orjson.loads(block.data) if block.data else None
                            if event is not None and event["version"] > after:
                                after = event["version"]
                                yield event
            except _Refused as refused:
                error, wait = refused.error, refused.wait
                if not isinstance(error, StoreUnreachableError):
                    raise error from None
            except (httpx2.TransportError, orjson.JSONDecodeError) as fault:
                error = self._away(fault)
            await patience.pause(error, wait)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        seconds: float = 0,
        key: str | None = None,
    ) -> Any:
        """The answer's JSON. A `path` with a colon in it begins with a slash, or it would be read as a URL. Raises what
        the problem document of another answer says, and StoreUnreachableError."""
        content = None if body is None else _bytes_of(body)
        headers = {} if body is None else {"content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        if (trace := current_traceparent()) is not None:
            headers["traceparent"] = trace
        patience = Patience(self._patience)
        while True:
            wait = None
            try:
                response = await self._client.request(
                    method,
                    path,
                    content=content,
                    headers=headers,
                    params=parameters,
                    timeout=httpx2.Timeout(ANSWER_SECONDS, read=seconds + ANSWER_SECONDS),
                )
                if response.is_success:
                    return orjson.loads(response.content)
                error, wait = error_of(response), retry_after(response)
                if not isinstance(error, StoreUnreachableError):
                    raise error
            except (httpx2.TransportError, orjson.JSONDecodeError) as fault:
                error = self._away(fault)
            await patience.pause(error, wait)

    def _away(self, fault: Exception) -> StoreUnreachableError:
        return StoreUnreachableError(f"{self._url} does not answer: {type(fault).__name__}: {fault}")


class _Refused(Exception):
    """What was answered instead of a stream."""

    def __init__(self, error: RefoldError, wait: float | None):
        super().__init__(str(error))
        self.error = error
        self.wait = wait


async def _check_stream(response: httpx2.Response) -> None:
    if not response.is_success:
        await response.aread()
        raise _Refused(error_of(response), retry_after(response))
    kind = response.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != _STREAM:
        raise _Refused(StoreUnreachableError(f"{response.url} answered {kind[:60]!a}, which is no stream"), None)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(run_id: str) -> str:
    return f"runs/{quote(check_run_id(run_id), safe='')}"


def _named(what: Any) -> dict[str, Any]:
    """How the body of a start says what is to be started."""
    if isinstance(what, Workflow):
        return {"workflow": what.workflow_type, "version": what.version}
    if isinstance(what, str):
        name, _, version = what.partition("#")
        return {"workflow": name, **({"version": version} if version else {})}
    return {"spec": decode(WorkflowSpec.parse(what).canonical)}


def _bytes_of(body: Mapping[str, Any]) -> bytes:
    try:
        return payload_of(dict(body)).data
    except NotCanonicalError as error:
        raise CallError(error.problems) from error
