"""Specs: the registry by type and version, and whether a spec could run."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from ...core.errors import InvalidError, Problem, SpecError
from ...core.plan import Plan, plan_of
from ...core.runtime.specs import Registered
from ...core.spec import WorkflowSpec
from ...core.spec_problems import NAME
from ...projections.times import iso
from ..answers import answer
from ..answers.specs import RegisteredSpec, SpecPage, Validated, WholeSpec
from ..bodies import Body, documented, read
from ..callers import Caller, Operator, Reader
from ..etags import tagged
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..pages import PageParameters, Parameters, cut, moved
from ..ports import Given, Ports

router = APIRouter(prefix="/v1", tags=["specs"])
"""`/v1/specs` and `/v1/specs:validate`."""

_Type = Annotated[str, Path(pattern=NAME, description="A workflow type.")]
_Name = Annotated[str, Field(pattern=NAME)]


class SpecBody(Body):
    """A spec."""

    spec: dict[str, Any]


class ListParameters(PageParameters):
    """Which specs."""

    workflow_type: Annotated[_Name | None, Field(description="Of this type only.")] = None


class VersionParameters(Parameters):
    """Which version."""

    version: Annotated[_Name | None, Field(description="The latest of its type unless given.")] = None


_REGISTERED: dict[int | str, dict[str, Any]] = {
    201: {"model": WholeSpec, "description": "It is registered; Location says where it is."},
    200: {"model": WholeSpec, "description": "It was registered before, with the same content."},
    409: {"description": "This version is registered with another content."},
}


@router.get("/specs", response_model=SpecPage, summary="List registered specs")
async def list_specs(ports: Given, caller: Reader, wanted: Annotated[ListParameters, Query()]) -> Response:
    """By type and version, without their content."""
    every = await ports.engine.specs.list(caller.tenant)
    chosen = [each for each in every if wanted.workflow_type in (None, each.workflow_type)]
    chosen.sort(key=_key)
    shown, cursor = cut(chosen, wanted, _key)
    return answer({"specs": [_told(each) for each in shown], "next_cursor": cursor})


@router.post(
    "/specs",
    status_code=201,
    responses=_REGISTERED,
    openapi_extra=documented(SpecBody, KEY_HEADER),
    summary="Register a spec",
)
async def register_spec(request: Request, ports: Given, caller: Operator) -> Response:
    """Under the type and version that it says. Again with the same content changes nothing."""
    key, body = idempotency_key(request), await read(request, SpecBody)
    spec, _ = await ports.ask(_parsed, body.spec)
    await claim(ports, caller, request, key, body)
    return await _put(ports, caller, spec)


@router.get("/specs/{workflow_type:path}", response_model=WholeSpec, summary="A registered spec")
async def get_spec(
    request: Request,
    workflow_type: _Type,
    ports: Given,
    caller: Reader,
    wanted: Annotated[VersionParameters, Query()],
) -> Response:
    """Of a version, else the one of its type that was registered last."""
    return tagged(request, _whole(await ports.engine.specs.get(workflow_type, wanted.version, caller.tenant)))


@router.put(
    "/specs/{workflow_type:path}",
    responses=_REGISTERED,
    response_model=WholeSpec,
    openapi_extra=documented(SpecBody),
    summary="Register a spec under its name",
)
async def put_spec(
    request: Request,
    workflow_type: _Type,
    ports: Given,
    caller: Operator,
    wanted: Annotated[VersionParameters, Query()],
) -> Response:
    """As `POST /v1/specs`; the spec must say the type, and the version if one is given."""
    spec, _ = await ports.ask(_parsed, (await read(request, SpecBody)).spec)
    for pointer, named, says in (
        ("/spec/workflow_type", workflow_type, spec.workflow_type),
        ("/spec/version", wanted.version, spec.version),
    ):
        if named not in (None, says):
            raise InvalidError(Problem(pointer, f"the URL names another one, {named!r}", "have both say the same"))
    return await _put(ports, caller, spec)


@router.post(
    "/specs:validate", response_model=Validated, openapi_extra=documented(SpecBody), summary="Whether this spec can run"
)
async def validate_spec(request: Request, ports: Given, _caller: Reader) -> Response:
    """Every fault with its place. Nothing is recorded; a spec that cannot run is answered with 200 too."""
    body = await read(request, SpecBody)
    try:
        spec, plan = await ports.ask(_parsed, body.spec)
    except SpecError as error:
        problems = [each._asdict() for each in error.problems]
        about: dict[str, Any] = {"workflow_type": None, "version": None, "spec_hash": None, "steps": []}
        return answer({"valid": False, "problems": problems, **about})
    about = {"workflow_type": spec.workflow_type, "version": spec.version, "spec_hash": spec.sha256}
    return answer({"valid": True, "problems": [], **about, "steps": [step.step_id for step in plan.steps]})


async def _put(ports: Ports, caller: Caller, spec: WorkflowSpec) -> Response:
    made = await ports.engine.specs.put(spec, caller.name, caller.tenant)
    where = {"location": f"/v1/specs/{made.workflow_type}?version={made.version.replace('+', '%2B')}"}
    return answer(_whole(made), 201 if made.new else 200, where)


def _parsed(document: dict[str, Any]) -> tuple[WorkflowSpec, Plan]:
    try:
        spec = WorkflowSpec.parse(document)
        return spec, plan_of(spec.canonical)
    except SpecError as error:
        raise moved(error, "/spec") from None


def _key(each: Registered) -> str:
    return f"{each.workflow_type}#{each.version}"


def _told(each: Registered) -> dict[str, Any]:
    return RegisteredSpec(
        workflow_type=each.workflow_type,
        version=each.version,
        latest=each.latest,
        spec_hash=each.spec_hash,
        registered_at=iso(each.at),
        by=each.by,
    ).model_dump()


def _whole(each: Registered) -> dict[str, Any]:
    return {**_told(each), "new": each.new, "spec": orjson.Fragment(each.payload.data)}
