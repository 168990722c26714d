"""Requests as they come and go: counted, bounded, told to come back later."""

from __future__ import annotations

import json
import logging
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .admission import BUSY, Admission
from .problems import Refusal, problem_of
from .rates import Rates, name_of
from .visits import Visit

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: the upper bounds of the buckets into which answers are counted."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/health", "/ready", "/metrics"})
_VISIT = "refold.visit"
_STREAM = b"text/event-stream"
_log = logging.getLogger("refold.access")


class Traffic:
    """What this process has seen of requests since it began. Labels are bounded: method, template of the route, class
    of the status."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str, str]] = Counter()
        self.seconds: dict[str, list[int]] = {}
        self.seconds_sum: defaultdict[str, float] = defaultdict(float)
        self.under_way = 0
        self.listeners = 0
        self.draining = self.stopping = self.logs = False

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answer has begun, `seconds` after its request came."""
        self.answered[method if method in _METHODS else "OTHER", route, f"{status // 100}xx"] += 1
        buckets = self.seconds.get(route)
        if buckets is None:
            buckets = self.seconds[route] = [0] * (len(BOUNDS) + 1)
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds_sum[route] += seconds


class Turnstile:
    """The outermost middleware: every request passes it, whatever becomes of it."""

    def __init__(self, app: ASGIApp, traffic: Traffic, admission: Admission, rates: Rates):
        self._app = app
        self._traffic = traffic
        self._admission = admission
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traffic, admission = self._traffic, self._admission
        visit = scope[_VISIT] = admission.begin()
        came = time.perf_counter()
        listens = False

        async def sent(message: Message) -> None:
            nonlocal listens
            if message["type"] == "http.response.start":
                visit.answered = True
                admission.leave(visit)
                took = time.perf_counter() - came
                traffic.count(scope["method"], _route(scope), message["status"], took)
                if traffic.logs:
                    _tell(scope, message["status"], took)
                if _is_stream(message["headers"]):
                    listens = True
                    traffic.listeners += 1
                if traffic.draining:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        traffic.under_way += 1
        try:
            self._let_in(scope)
            await self._app(scope, receive, sent)
        except Refusal as refusal:
            if visit.answered:
                raise
            await problem_of(refusal)(scope, receive, sent)
        finally:
            traffic.under_way -= 1
            traffic.listeners -= listens
            admission.leave(visit)

    def _let_in(self, scope: Scope) -> None:
        if scope["path"] in _PROBES:
            return
        if self._traffic.stopping:
            headers = {"retry-after": "1"}
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server is about to stop", code=BUSY, headers=headers)
        if self._rates.rate.per_second:
            client = scope.get("client")
            self._rates.take(name_of(_credentials(scope["headers"]), client[0] if client else ""))


def left(scope: Mapping[str, Any]) -> None:
    """The client of the request of `scope` has gone: called by the server when the connection is lost."""
    visit = scope.get(_VISIT)
    if isinstance(visit, Visit):
        visit.leave_for_good()


def _credentials(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    for name, value in headers:
        if name == b"authorization":
            return value
    return None


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(_STREAM) for name, value in headers)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """A line for the log: no header, and no query, where attributes are searched for."""
    client = scope.get("client")
    told = {
        "client": client[0] if client else None,
        "method": scope["method"][:20],
        "path": scope["path"][:300],
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    _log.info("%s", json.dumps(told))


def _route(scope: Scope) -> str:
    """The template of the route: never what the client made up."""
    return getattr(scope.get("route"), "path", "none")
