"""Policies: those that were ever in use, the server's own, and whether a document is one."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from ...core.errors import InvalidError
from ...core.events import PolicyAdopted
from ...core.policy.document import Policy
from ...core.policy.words import sentences
from ...projections.times import iso
from ..answers import answer
from ..answers.policies import CheckedPolicy, CurrentPolicy, PolicyPage, WholePolicy
from ..bodies import Body, documented, read
from ..callers import Reader, ServiceOperator, ServiceReader
from ..etags import tagged
from ..missing import missing
from ..pages import PageParameters, Parameters, Text, cursor_of, key_of, moved
from ..ports import Given

router = APIRouter(prefix="/v1", tags=["policies"])
"""`/v1/policies`, `/v1/policies:current` and `/v1/policies:validate`. Policies are of the service, not of a tenant."""


class PolicyBody(Body):
    """A policy."""

    policy: dict[str, Any]


class PolicyVersion(Parameters):
    """Which version."""

    version: Text | None = None


_ADOPTED: dict[int | str, dict[str, Any]] = {
    201: {"model": WholePolicy, "description": "It is recorded."},
    200: {"model": WholePolicy, "description": "It was adopted before, with the same content."},
}


@router.get("/policies", response_model=PolicyPage, summary="The policies that were ever in use")
async def list_policies(ports: Given, _caller: ServiceReader, wanted: Annotated[PageParameters, Query()]) -> Response:
    """In the order in which somebody first went by them, without their documents."""
    key = key_of(wanted.cursor, int)
    every = list(await ports.engine.policies.adopted())
    after = 0 if key is None else max(int(key[0]), 0)
    shown = every[after : after + wanted.limit]
    cursor = cursor_of(after + len(shown)) if after + len(shown) < len(every) else None
    return answer({"policies": [_told(each) for each in shown], "next_cursor": cursor})


@router.post(
    "/policies",
    status_code=201,
    responses=_ADOPTED,
    openapi_extra=documented(PolicyBody),
    summary="Put a policy on record as adopted",
)
async def adopt_policy(request: Request, ports: Given, caller: ServiceOperator) -> Response:
    """Its name and version stand for this content from then on. Workers go by the policy that they were started with,
    and put it on record by themselves; this is for those that are to come."""
    document = (await read(request, PolicyBody)).policy
    try:
        policy = await ports.ask(Policy.parse, document)
        known = (await ports.engine.policies.adopted()).is_known(policy)
        await ports.engine.policies.adopt(policy, caller.name)
    except InvalidError as error:
        raise moved(error, "/policy") from None
    found = [each for each in await ports.engine.policies.adopted() if each.sha256 == policy.sha256]
    return answer(_whole(found[-1]), 200 if known else 201)


@router.get("/policies:current", response_model=CurrentPolicy, summary="The policy that this server goes by")
async def current_policy(request: Request, ports: Given, _caller: Reader) -> Response:
    """It is asked about every run that is recorded here. Workers have their own."""
    policy = ports.engine.policy
    if policy is None:
        return tagged(request, {"policy": None, "version": None, "sha256": None, "document": None})
    return tagged(request, {**_named(policy), "document": orjson.Fragment(policy.canonical)})


@router.post(
    "/policies:validate",
    response_model=CheckedPolicy,
    openapi_extra=documented(PolicyBody),
    summary="Whether this is a policy, and what it says",
)
async def validate_policy(request: Request, ports: Given, _caller: Reader) -> Response:
    """In plain sentences. Nothing is recorded; what is no policy is answered with 200 too."""
    body = await read(request, PolicyBody)
    try:
        policy = await ports.ask(Policy.parse, body.policy)
    except InvalidError as error:
        problems = [each._asdict() for each in moved(error, "/policy").problems]
        about: dict[str, Any] = {"policy": None, "version": None, "sha256": None, "says": []}
        return answer({"valid": False, "problems": problems, **about})
    return answer({"valid": True, "problems": [], **_named(policy), "says": list(sentences(policy))})


@router.get("/policies/{policy:path}", response_model=WholePolicy, summary="A policy that was in use")
async def get_policy(
    request: Request, policy: str, ports: Given, _caller: ServiceReader, wanted: Annotated[PolicyVersion, Query()]
) -> Response:
    """Of a version, else the one that was adopted last."""
    every = await ports.engine.policies.adopted()
    found = [each for each in every if each.name == policy and wanted.version in (None, each.version)]
    if not found:
        raise missing("policy", policy if wanted.version is None else f"{policy}#{wanted.version}")
    return tagged(request, _whole(found[-1]))


def _named(policy: Policy) -> dict[str, Any]:
    return {"policy": policy.policy, "version": policy.version, "sha256": policy.sha256}


def _told(adopted: PolicyAdopted) -> dict[str, Any]:
    named = {"policy": adopted.name, "version": adopted.version, "sha256": adopted.sha256}
    return {**named, "adopted_at": iso(adopted.at), "by": adopted.by}


def _whole(adopted: PolicyAdopted) -> dict[str, Any]:
    return {**_told(adopted), "document": orjson.Fragment(adopted.document.data)}
