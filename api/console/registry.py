"""What is registered or was adopted: specs and policies, as they stand in the log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.events import PolicyAdopted
from ...core.policy.document import Policy
from ...core.policy.words import sentences
from ...core.runtime.specs import Registered
from ...projections.times import iso
from ..callers import Reader, ServiceReader
from ..ports import Given
from ..problems import Refusal
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/specs`, `/specs/{workflow_type}`, `/policies` and `/policies/{name}`."""

_Version = Annotated[str, Field(max_length=300)]


class VersionParameters(PageParameters):
    """Which version; the latest unless given."""

    version: _Version | None = None


@router.get("/specs")
async def specs_page(
    request: Request, ports: Given, caller: Reader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The tenant's registered specs."""
    found = await ports.engine.specs.list(caller.tenant)
    return await page(request, ports, caller, "specs.html", {"specs": [_spec(each) for each in found]})


@router.get("/specs/{workflow_type:path}")
async def spec_page(
    request: Request, workflow_type: str, ports: Given, caller: Reader, wanted: Annotated[VersionParameters, Query()]
) -> Response:
    """One version of a spec, whole."""
    found = await ports.engine.specs.get(workflow_type, wanted.version, caller.tenant)
    versions = [
        each.version
        for each in await ports.engine.specs.list(caller.tenant)
        if each.workflow_type == found.workflow_type
    ]
    model = {**_spec(found), "versions": versions, "spec": found.payload.value}
    return await page(request, ports, caller, "spec.html", model)


@router.get("/policies")
async def policies_page(
    request: Request, ports: Given, caller: ServiceReader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The policies that were ever in use, the latest first, and the server's own."""
    own = ports.engine.policy
    found = [_policy(each) for each in await ports.engine.policies.adopted()]
    model = {"policies": found[::-1], "own": None if own is None else {"name": own.policy, "version": own.version}}
    return await page(request, ports, caller, "policies.html", model)


@router.get("/policies/{name}")
async def policy_page(
    request: Request, name: str, ports: Given, caller: ServiceReader, wanted: Annotated[VersionParameters, Query()]
) -> Response:
    """What one of them says, in sentences and whole."""
    found = [
        each
        for each in await ports.engine.policies.adopted()
        if each.name == name and wanted.version in (None, each.version)
    ]
    if not found:
        raise Refusal(HTTPStatus.NOT_FOUND, f"no policy {name[:60]!a} was ever in use")
    document: Any = found[-1].document.value
    says = list(sentences(await ports.ask(Policy.parse, document)))
    model = {**_policy(found[-1]), "says": says, "document": document}
    return await page(request, ports, caller, "policy.html", model)


def _spec(each: Registered) -> dict[str, Any]:
    told = {"workflow_type": each.workflow_type, "version": each.version, "latest": each.latest}
    return {**told, "spec_hash": each.spec_hash, "registered_at": iso(each.at), "by": each.by}


def _policy(each: PolicyAdopted) -> dict[str, Any]:
    named = {"name": each.name, "version": each.version, "sha256": each.sha256}
    return {**named, "adopted_at": iso(each.at), "by": each.by}
