"""Two runs beside each other, and the first place where they do not agree."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.divergence import VOLATILE_FIELDS, RunFacts, StepFacts, divergences
from ...core.runtime.registry import SkillRegistry
from ...eventstore.store import Store
from ...projections.run_view import look_at
from ...replay.comparing import verified_facts
from ..callers import Auditor
from ..ports import Given
from .pages import PageParameters, page
from .words import query, segment

router = APIRouter(include_in_schema=False)
"""`/diff`."""

SHOWN = 200
"""So many differences, and so many steps, are shown."""

_SKILLS = SkillRegistry()


class DiffParameters(PageParameters):
    """Which runs."""

    a: Annotated[str, Field(max_length=300)] | None = None
    b: Annotated[str, Field(max_length=300)] | None = None


@router.get("/runs/{run_id}/diff/{other}")
async def diff_link(run_id: str, other: str, caller: Auditor) -> Response:
    """The same page, from the page of a run."""
    return Response(status_code=303, headers={"location": f"/diff{query({'a': run_id, 'b': other})}"})


@router.get("/diff")
async def diff_page(
    request: Request, ports: Given, caller: Auditor, wanted: Annotated[DiffParameters, Query()]
) -> Response:
    """In what two runs differ, and of which class each difference is."""
    if wanted.a is None or wanted.b is None:
        model: dict[str, Any] = {"a": wanted.a, "b": wanted.b, "compared": None}
    else:
        model = await ports.ask(_model, ports.store, wanted.a, wanted.b, caller.tenant)
    return await page(request, ports, caller, "diff.html", model)


def _model(store: Store, a: str, b: str, tenant: str) -> dict[str, Any]:
    left, right = (verified_facts(store, each, tenant, _is_deterministic) for each in (a, b))
    found = divergences(left, right, VOLATILE_FIELDS)
    steps = _aligned(left, right)
    differing = [row for row in steps if not row["equal"]]
    return {
        "a": a,
        "b": b,
        "compared": {
            "equal": not found,
            "kinds": dict(Counter(each.kind for each in found)),
            "differences": [each.to_json() for each in found[:SHOWN]],
            "total": len(found),
            "first": _first(store, tenant, (a, b), (left, right), found[0].event) if found else None,
            "left": _head(store, tenant, a, left),
            "right": _head(store, tenant, b, right),
            "steps": differing[:SHOWN],
            "differing_steps": len(differing),
            "equal_steps": len(steps) - len(differing),
        },
    }


def _is_deterministic(skill_id: str) -> bool | None:
    known = _SKILLS.find(skill_id)
    return None if known is None else known.deterministic


def _head(store: Store, tenant: str, run_id: str, facts: RunFacts) -> dict[str, Any]:
    """What stands at the head of a side; of one that is broken only what is wrong."""
    if facts.fault is not None:
        return {"run_id": run_id, "link": f"/runs/{segment(run_id)}", "fault": facts.fault, "status": "unreadable"}
    run = look_at(store, run_id, tenant).to_json()
    names = ("status", "workflow_type", "workflow_version", "seed", "error_code", "workflow_hash", "started_at")
    return {"run_id": run_id, "link": f"/runs/{segment(run_id)}", "fault": None, **{name: run[name] for name in names}}


def _aligned(left: RunFacts, right: RunFacts) -> list[dict[str, Any]]:
    """The steps of both, by their ids."""
    ones, others = ({step.step_id: step for step in side.steps} for side in (left, right))
    return [_row(step_id, ones.get(step_id), others.get(step_id)) for step_id in {**ones, **others}]


def _row(step_id: str, one: StepFacts | None, other: StepFacts | None) -> dict[str, Any]:
    sides = [
        None if step is None else {"status": step.status, "hash": step.step_hash, "error_code": step.error_code}
        for step in (one, other)
    ]
    same = one is not None and other is not None and _shown(one) == _shown(other)
    return {"step_id": step_id, "left": sides[0], "right": sides[1], "equal": same}


def _shown(step: StepFacts) -> tuple[Any, ...]:
    return step.index, step.skill_id, step.seed, step.status, step.inputs_hash, step.output, step.error_code


def _first(
    store: Store, tenant: str, runs: tuple[str, str], sides: tuple[RunFacts, RunFacts], event: str
) -> dict[str, Any]:
    """The values on either side of the first difference: the inputs, a step's outcome, or the output."""
    if event == "run_start":
        faults = [side.fault for side in sides]
        values = faults if any(faults) else [_beginning(store, tenant, run_id) for run_id in runs]
        return {"event": event, "what": "how they began", "left": values[0], "right": values[1]}
    if event == "run_end":
        ends = [{"status": each.status, "output": each.output, "error_code": each.error_code} for each in sides]
        return {"event": event, "what": "how they ended", "left": ends[0], "right": ends[1]}
    index = event.removeprefix("step ")
    found = [next((step for step in side.steps if str(step.index) == index), None) for side in sides]
    outcomes = [
        None
        if step is None
        else {"status": step.status, "output": step.output, "error_code": step.error_code, "inputs": step.inputs_hash}
        for step in found
    ]
    named = next((step.step_id for step in found if step is not None), index)
    return {"event": event, "what": f"step {named}", "left": outcomes[0], "right": outcomes[1]}


def _beginning(store: Store, tenant: str, run_id: str) -> dict[str, Any]:
    started = look_at(store, run_id, tenant).state.started
    spec = None if started.spec is None else started.spec.value
    told = {"workflow": f"{started.workflow_type}#{started.workflow_version}", "seed": started.seed}
    return {**told, "inputs": started.inputs.value, "spec": spec, "source": started.source}
