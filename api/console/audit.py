"""For auditors: the tree over the log with its signed head, and the proofs of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.errors import IntegrityError
from ...core.ids import check_run_id, stream_of
from ...eventstore.store import Store
from ...replay.inclusion import consistency_of, inclusion_of_run
from ...replay.verify import verify_run
from ..auditing import head_json, opened, signed
from ..callers import Auditor, Caller
from ..ports import Given, Ports
from ..problems import Refusal
from .control import control_model
from .pages import PageParameters, page
from .words import segment

router = APIRouter(include_in_schema=False)
"""`/audit` and `/audit/runs/{run_id}`."""

_ROWS, _EVENTS = 8, 200

_Size = Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]


class AuditParameters(PageParameters):
    """A run to be proved; or from which size of the tree to which its consistency is."""

    run: Annotated[str, Field(max_length=200)] | None = None
    old: _Size | None = None
    new: _Size | None = None


@router.get("/audit")
async def audit_page(
    request: Request, ports: Given, caller: Auditor, wanted: Annotated[AuditParameters, Query()]
) -> Response:
    """The tree, a proof of its consistency if one is asked for, and what was decided lately."""
    if wanted.run is not None:
        return Response(status_code=303, headers={"location": f"/audit/runs/{segment(check_run_id(wanted.run))}"})
    sizes = None if wanted.old is None else (int(wanted.old), None if wanted.new is None else int(wanted.new))
    model = await ports.ask(_audit_model, ports, caller, sizes)
    return await page(request, ports, caller, "audit.html", model)


@router.get("/audit/runs/{run_id}")
async def run_proof_page(
    request: Request, run_id: str, ports: Given, caller: Auditor, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The verdict on a run, made at this moment, and where its events are in the tree."""
    verdict = await ports.ask(verify_run, ports.store, run_id, caller.tenant)
    model = {**verdict.to_json(), "inclusion": await ports.ask(_inclusion, ports, run_id, caller.tenant)}
    return await page(request, ports, caller, "audit_run.html", model)


def _audit_model(ports: Ports, caller: Caller, sizes: tuple[int, int | None] | None) -> dict[str, Any]:
    decided = control_model(ports.store, caller, None, None, _ROWS)
    root = ports.places.tree if caller.everywhere else None
    return {
        "tree": None if root is None else _tree(root, ports.store),
        "consistency": None if root is None or sizes is None else _consistency(root, *sizes),
        "decisions": decided["rows"],
        "more": decided["next"] is not None,
    }


def _tree(root: Path, store: Store) -> dict[str, Any]:
    """How the tree stands beside the log; `fault` says why it cannot be told."""
    told: dict[str, Any] = {"size": None, "root": None, "position": None, "head": None, "fault": None}
    told["log_position"] = store.last_position()
    try:
        with opened(root) as tree:
            told |= {"size": tree.size, "root": tree.head_root.hex(), "position": tree.position}
            if tree.checkpoint() is not None:
                with signed(root, store) as found:
                    told["head"] = head_json(found.note)
    except (Refusal, IntegrityError) as error:
        told["fault"] = str(error)
    return told


def _consistency(root: Path, old: int, new: int | None) -> dict[str, Any]:
    with opened(root) as tree:
        until = tree.size if new is None else new
        if not old <= until <= tree.size:
            return {"old": old, "new": until, "fault": f"the tree has {tree.size} leaves; the older size comes first"}
        return {**consistency_of(tree, old, until), "fault": None}


def _inclusion(ports: Ports, run_id: str, tenant: str) -> dict[str, Any] | None:
    """Where the run's events are under the signed head; None where there is no tree, `fault` where they are not."""
    root = ports.places.tree
    if root is None:
        return None
    try:
        with signed(root, ports.store, stream_of(tenant, run_id)) as (tree, note):
            proofs = inclusion_of_run(ports.store, tree, note.head.size, run_id, tenant, 0, _EVENTS)
            return {"head": head_json(note), "proofs": proofs, "most": _EVENTS, "fault": None}
    except (Refusal, IntegrityError) as error:
        return {"head": None, "proofs": [], "most": _EVENTS, "fault": str(error)}
