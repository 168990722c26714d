"""Runs reached over HTTP: the other side of docs/api.md.

Every request may be sent again: runs have their ids and messages their keys before they are sent. So a server that is
away for a while, or whose answer is lost, costs patience and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

import httpx2
import orjson

from ...core import errors
from ...core.canonical import decode
from ...core.errors import CallError, InvalidError, NotCanonicalError, Problem, RefoldError, StoreUnreachableError
from ...core.ids import check_run_id
from ...core.runtime.functions.workflow import Workflow
from ...core.runtime.payloads import payload_of
from ...core.spec import WorkflowSpec
from .gateway import ListedRun, Order, RunList, Verb

WAIT_SECONDS = 30.0
"""How long one request for a result waits; then it is sent again."""

ANSWER_SECONDS = 20.0
"""How long the server may take beyond what it was asked to wait."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

_ERRORS: dict[str, type[RefoldError]] = {
    kind.code: kind
    for kind in (
        errors.SpecError,
        errors.SpecConflictError,
        errors.SpecNotFoundError,
        errors.WorkflowNotFoundError,
        errors.RunNotFoundError,
        errors.RunConflictError,
        errors.IdempotencyConflictError,
        errors.RunOwnedError,
        errors.RunEndedError,
        errors.ApprovalNotFoundError,
        errors.ApprovalDecidedError,
        errors.ApproverUnknownError,
        errors.DelegationRefusedError,
        errors.QueryUnansweredError,
        errors.StoreRefusedError,
        errors.OwnershipLostError,
        errors.IntegrityError,
    )
}
"""The class of each code of a problem document that is not a CallError."""


class HttpGateway:
    """Fulfils `Gateway` with a server at `url`; while it does not answer it is asked again, for `patience` seconds."""

    def __init__(self, url: str, patience: float):
        host = httpx2.URL(url).host
        self._url = url.rstrip("/")
        self._patience = patience
        # What is on this machine is not to be looked for behind a proxy.
        self._client = httpx2.AsyncClient(base_url=f"{self._url}/v1/", trust_env=not _is_here(host))

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

    async def page(self, status: str | None, attributes: Mapping[str, str], limit: int, cursor: str | None) -> RunList:
        """See `Gateway.page`."""
        given: dict[str, Any] = {"limit": limit, "status": status, "cursor": cursor}
        parameters = {name: value for name, value in given.items() if value is not None}
        parameters["attribute"] = [f"{name}={value}" for name, value in attributes.items()]
        told = await self._send("GET", "runs", parameters=parameters)
        return RunList(tuple(ListedRun(**row) for row in told["runs"]), told["next_cursor"])

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._client.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        seconds: float = 0,
    ) -> Any:
        """The answer's JSON. Raises what the problem document of another answer says, and StoreUnreachableError."""
        content = None if body is None else _bytes_of(body)
        headers = {} if body is None else {"content-type": "application/json"}
        give_up, pause = time.monotonic() + self._patience, _SHORTEST_PAUSE
        while True:
            try:
                response = await self._client.request(
                    method,
                    path,
                    content=content,
                    headers=headers,
                    params=parameters,
                    timeout=httpx2.Timeout(ANSWER_SECONDS, read=seconds + ANSWER_SECONDS),
                )
                error = None if response.is_success else _error_of(response)
                if error is None:
                    return orjson.loads(response.content)
                if not isinstance(error, StoreUnreachableError):
                    raise error
            except (httpx2.TransportError, orjson.JSONDecodeError) as fault:
                error = StoreUnreachableError(f"{self._url} does not answer: {type(fault).__name__}: {fault}")
            if time.monotonic() + pause > give_up:
                raise error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


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


def _error_of(response: httpx2.Response) -> RefoldError:
    """The error that the problem document stands for."""
    try:
        document: dict[str, Any] = orjson.loads(response.content)
        code, detail = str(document["code"]), str(document["detail"])
        problems = [Problem(each["pointer"], each["reason"], each["fix"]) for each in document["problems"]]
    except (ValueError, KeyError, TypeError):
        # No problem document: something stands between us and the server.
        return StoreUnreachableError(f"{response.url} answered {response.status_code}, and not as Refold does")
    if code == StoreUnreachableError.code:
        return StoreUnreachableError(detail)
    kind = _ERRORS.get(code, CallError if code.endswith("_INVALID") or problems else RefoldError)
    if issubclass(kind, InvalidError):
        return kind(problems or [Problem("", detail)])
    return kind(detail)
