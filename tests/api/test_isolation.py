"""Every operation of the OpenAPI document, asked by nobody, by who may not, and by another tenant.

Operations that somebody adds are taken in by themselves; one whose path has a parameter that is not known here fails,
and so does one that needs a body that is not known here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import httpx2
import pytest

from refold import open_store
from refold.api.app import create_app
from refold.compose import WorkflowEngine
from refold.eventstore.memory import MemoryStore
from refold.tests.api.client import WAIT, Api, problem
from refold.tests.support.served import served

THEIRS = "theirs"
"""The tenant whose things the others must not see."""

MISSING = {
    "run_id": "run-missing-1",
    "key_id": "0123456789ABCDEF",
    "workflow_type": "type-missing-1",
    "schedule_id": "schedule-missing-1",
    "endpoint_id": "ep_missing-1",
    "account": "budget%2Ftenant%2Fmissing%2Ftotal",
    "policy": "policy-1",
    "name": "name-1",
    "code": "SKILL_ERROR",
    "job_id": "job-0123456789abcdef0123456789abcdef",
}
"""By path parameter, an id of the same length and alphabet as the one of `made`, of what does not exist."""

BODIES: dict[str, Any] = {
    "POST /v1/runs": {"spec": WAIT},
    "POST /v1/runs/{run_id}/signal": {"name": "go"},
    "POST /v1/runs/{run_id}/query": {"name": "state", "timeout_seconds": 0.1},
    "POST /v1/runs/{run_id}/approvals": {"action": "comment", "comment": "x"},
    "POST /v1/plans:evaluate": {"plan": WAIT},
    "POST /v1/specs:simulate": {"spec": WAIT},
    "POST /v1/keys": {"name": "new", "scopes": ["read"]},
    "POST /v1/specs": {"spec": WAIT},
    "PUT /v1/specs/{workflow_type}": {"spec": WAIT},
    "POST /v1/specs:validate": {"spec": WAIT},
    "POST /v1/schedules": {"schedule": {}},
    "POST /v1/policies:validate": {"policy": {}},
    "POST /v1/webhooks": {"url": "https://hooks.example.com/", "patterns": ["run.*"]},
}
"""A body that the operation takes, where an empty one will not do."""

ELSEWISE = {
    "GET /v1/failure-codes/{code}": 200,  # the same for everybody
    "PUT /v1/specs/{workflow_type}": 422,  # the spec is of another type
}
"""Operations that have something else to say than 404 of what does not exist."""

OPEN = {"GET /health", "GET /ready"}
"""What is told to everybody: it says nothing of anybody."""


class Operation(NamedTuple):
    """One of the document: its method, its path with parameters, and the scopes that it names."""

    method: str
    path: str
    scopes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{([^}:]+)[^}]*\}", self.path)

    def ask(self, client: httpx2.Client, ids: dict[str, str], headers: dict[str, str]) -> httpx2.Response:
        path = re.sub(r"\{([^}:]+)[^}]*\}", lambda found: ids[found[1]], self.path)
        body = None if self.method == "GET" else BODIES.get(str(self), {})
        return client.request(self.method, path, json=body, headers=headers)


def operations() -> list[Operation]:
    store = MemoryStore()
    document: dict[str, Any] = create_app(WorkflowEngine(store), store, "").openapi()
    found: list[Operation] = []
    for path, item in document["paths"].items():
        for method, told in item.items():
            schemes: list[dict[str, list[str]]] = told.get("security", [])
            named = [scopes for scheme in schemes for scopes in scheme.values()]
            assert not named or all(scopes == named[0] for scopes in named)
            found.append(Operation(method.upper(), path, tuple(named[0]) if named else ()))
    return found


OPERATIONS = operations()
GUARDED = [each for each in OPERATIONS if str(each) not in OPEN]
WITH_IDS = [each for each in GUARDED if each.parameters]


class World(NamedTuple):
    """A server with something of `THEIRS`, keys by who has them, and the ids of what there is."""

    client: httpx2.Client
    keys: dict[str, dict[str, str]]
    made: dict[str, str]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Keys of another tenant with every scope, and one with none that is of use."""
    every = ("run", "read", "audit", "operate", "admin")
    with closing(open_store("memory:")) as store:

        async def make() -> tuple[dict[str, str], str, str]:
            async with WorkflowEngine(store) as engine:
                theirs = await engine.access.create("theirs", every, tenant=THEIRS)
                texts = {"theirs": theirs.text}
                texts["ours"] = (await engine.access.create("ours", every, tenant="ours")).text
                for scope in every:
                    texts[scope] = (await engine.access.create(scope, [scope], tenant="ours")).text
                spec = {**WAIT, "workflow_type": "type-present-1"}
                await engine.specs.put(spec, tenant=THEIRS)
                await engine.webhooks.subscribe(
                    "https://hooks.example.com/", ["run.*"], "whk", tenant=THEIRS, endpoint_id="ep_present-1"
                )
                job, _ = await engine.jobs.ask(
                    "bulk", {"verb": "pause", "run_ids": ["run-present-1"]}, 1, tenant=THEIRS
                )
                return texts, theirs.key.key_id, job.asked.job_id

        texts, key_id, job_id = asyncio.run(make())
        keys = {name: {"authorization": f"Bearer {text}"} for name, text in texts.items()}
        with served(store) as url, httpx2.Client(base_url=url, timeout=60) as client:
            api = Api(client, store, url)
            started = client.post("/v1/runs", json={"spec": WAIT, "run_id": "run-present-1"}, headers=keys["theirs"])
            assert started.status_code == 201
            made = {"run_id": "run-present-1", "key_id": key_id, "workflow_type": "type-present-1", "job_id": job_id}
            yield World(api.client, keys, {**MISSING, **made, "endpoint_id": "ep_present-1"})


def test_the_document_names_a_scope_for_all_that_is_not_open_to_everybody() -> None:
    assert {str(each) for each in OPERATIONS if not each.scopes} == OPEN
    assert all(each.scopes[0] in ("run", "read", "audit", "operate", "admin") for each in GUARDED)


def test_every_parameter_of_a_path_has_an_example_here() -> None:
    unknown = {name for each in OPERATIONS for name in each.parameters} - MISSING.keys()
    assert not unknown, f"add {unknown} to MISSING, and make one in `world`"


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_nobody_is_told_anything_without_a_key(world: World, operation: Operation) -> None:
    problem(operation.ask(world.client, world.made, {}), 401, "CREDENTIALS_REFUSED")


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_no_other_scope_will_do(world: World, operation: Operation) -> None:
    for scope in {"run", "read", "audit", "operate", "admin"} - {operation.scopes[0]}:
        told = problem(operation.ask(world.client, world.made, world.keys[scope]), 403, "SCOPE_MISSING")
        assert f"the scope {operation.scopes[0]}" in told["detail"]


@pytest.mark.parametrize("operation", [each for each in GUARDED if "all-tenants" in each.scopes], ids=str)
def test_what_concerns_every_tenant_is_not_for_one(world: World, operation: Operation) -> None:
    problem(operation.ask(world.client, world.made, world.keys["ours"]), 403, "SCOPE_MISSING")


@pytest.mark.parametrize("operation", [each for each in WITH_IDS if "all-tenants" not in each.scopes], ids=str)
def test_what_another_tenant_has_is_told_of_as_what_does_not_exist(world: World, operation: Operation) -> None:
    theirs = operation.ask(world.client, world.made, world.keys["ours"])
    missing = operation.ask(world.client, MISSING, world.keys["ours"])
    # A server that was not told where files lie says so of whatever it is asked.
    expected = 409 if '"NOT_CONFIGURED"' in missing.text else ELSEWISE.get(str(operation), 404)
    assert (theirs.status_code, missing.status_code) == (expected, expected), theirs.text[:300]
    assert _without(theirs, world.made) == _without(missing, MISSING)
    known = [name for name in theirs.headers if name != "date"]
    assert [theirs.headers[name] for name in known] == [missing.headers[name] for name in known]


@pytest.mark.parametrize("operation", [each for each in GUARDED if "all-tenants" not in each.scopes], ids=str)
def test_nothing_of_another_tenant_is_in_any_answer(world: World, operation: Operation) -> None:
    answer = operation.ask(world.client, MISSING, world.keys["ours"])
    assert not any(
        named.encode() in answer.content for named in (*(set(world.made.values()) - set(MISSING.values())), THEIRS)
    )


def _without(answer: httpx2.Response, ids: dict[str, str]) -> bytes:
    """The body without the ids that were asked for."""
    body = answer.content
    for named in ids.values():
        body = body.replace(named.encode(), b"*")
    return body
