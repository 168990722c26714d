"""What the tests of the API share: two workflows, a client, and what a problem document must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from refold.core.failures import FAILURES
from refold.eventstore.store import Store

WAIT = {"workflow_type": "ask", "steps": [{"step_id": "ask", "skill_id": "wait_signal", "inputs": {"name": "go"}}]}
"""A run that waits for the signal `go`."""

ECHO = {"workflow_type": "hello", "steps": [{"step_id": "a", "skill_id": "echo", "inputs": {"text": "${inputs.text}"}}]}
"""A run that ends at once, given `text`."""


@dataclass(frozen=True)
class Api:
    """A client of a server, and the server's store."""

    client: httpx2.Client
    store: Store
    url: str

    def get(self, path: str, **parameters: Any) -> httpx2.Response:
        return self.client.get(path, params=parameters)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, json={} if body is None else body, headers=named)

    def start(self, spec: Any = WAIT, run_id: str | None = "r", **fields: Any) -> httpx2.Response:
        named = {} if run_id is None else {"run_id": run_id}
        return self.post("/v1/runs", {"spec": spec, **named, **fields})


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of the response; fails unless it is one, with this status and code."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    document = response.json()
    entry = FAILURES[code].to_json()
    catalog = {name: entry[name] for name in ("category", "retryable", "recovery", "suggestion", "documentation")}
    assert document.keys() == {"type", "title", "status", "detail", "code", "problems"} | catalog.keys()
    assert catalog.items() <= document.items()
    assert (document["status"], document["code"]) == (status, code), document
    return document
