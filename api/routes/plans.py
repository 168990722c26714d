"""Plans and specs that are looked at and not run: would they be allowed, and what would they do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.errors import InvalidError
from ...core.policy.document import Policy
from ...core.runtime.admission import DEFAULT_QUEUE
from ...projections.simulating import Question
from ..answers import answer
from ..answers.plans import Evaluation, Simulated
from ..bodies import Body, documented, read
from ..callers import Reader
from ..names import Queue
from ..ports import Given, Ports

router = APIRouter(prefix="/v1", tags=["plans"])
"""`/v1/plans:evaluate` and `/v1/specs:simulate`."""


class _Circumstances(Body):
    """For whom it would run. `policy` is asked besides the server's own; `inputs` are laid over the spec's."""

    inputs: dict[str, Any] | None = None
    queue: Queue = DEFAULT_QUEUE
    agent_id: Annotated[str, Field(max_length=200)] | None = None
    policy: dict[str, Any] | None = None


class EvaluateBody(_Circumstances):
    """A plan; unless its `source` is "", an untrusted planner's."""

    plan: dict[str, Any]
    source: Literal["", "planner"] = "planner"


class SimulateBody(_Circumstances):
    """A spec."""

    spec: dict[str, Any]
    source: Literal["", "planner"] = ""


@router.post(
    "/plans:evaluate",
    response_model=Evaluation,
    openapi_extra=documented(EvaluateBody),
    summary="Would this plan be allowed, and why not",
)
async def evaluate(request: Request, ports: Given, caller: Reader) -> Response:
    """By sandbox, policies, budgets and limits as they stand. Nothing is run, and nothing recorded.

    A plan that would be refused, or that is none, is answered with 200 too: its `status` says so.
    """
    body = await read(request, EvaluateBody)
    found = await ports.ask(lambda: _question(ports, caller.tenant, body, body.source).examine(body.plan).evaluation)
    return answer(found.to_json())


@router.post(
    "/specs:simulate",
    response_model=Simulated,
    openapi_extra=documented(SimulateBody),
    summary="What this spec would do",
)
async def simulate(request: Request, ports: Given, caller: Reader) -> Response:
    """Its cost, its time by what was recorded, its critical path, and all that `plans:evaluate` says."""
    body = await read(request, SimulateBody)
    found = await ports.ask(lambda: _question(ports, caller.tenant, body, body.source).simulate(body.spec))
    return answer(found.to_json())


def _question(ports: Ports, tenant: str, body: _Circumstances, source: str) -> Question:
    policies = [ports.engine.policy, None if body.policy is None else _policy(body.policy)]
    return Question(
        policy=[each for each in policies if each is not None],
        inputs=body.inputs,
        agent_id=body.agent_id,
        tenant=tenant,
        source=source,
        queue=body.queue,
        store=ports.store,
    )


def _policy(document: dict[str, Any]) -> Policy:
    try:
        return Policy.parse(document)
    except InvalidError as error:
        moved = [each._replace(pointer=f"/policy{each.pointer}") for each in error.problems]
        raise InvalidError(moved) from None
