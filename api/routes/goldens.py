"""Goldens: which there are, one with its signature, and whether it is what was signed and what the log gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ...core.hashing import sha256_hex
from ...core.ids import check_run_id
from ...projections.golden_faults import GoldenFault
from ...projections.golden_files import GoldenFolder
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_names import GOLDEN, safe_name
from ...projections.golden_proof import shelf, verdict_by_log
from ...projections.golden_recorder import GoldenRecorder
from ...projections.golden_upkeep import Listed
from ...projections.times import iso
from ..answers import answer
from ..answers.goldens import GoldenFile, GoldenPage, GoldenVerdict
from ..callers import Auditor, Reader
from ..etags import tagged
from ..missing import missing
from ..names import RunIdInPath
from ..pages import PageParameters, cut
from ..places import usable
from ..ports import Given

router = APIRouter(prefix="/v1", tags=["goldens"])
"""`/v1/goldens`, `/v1/runs/{run_id}/golden` and its `/verify`."""


@router.get("/goldens", response_model=GoldenPage, summary="List goldens")
async def list_goldens(ports: Given, caller: Reader, wanted: Annotated[PageParameters, Query()]) -> Response:
    """Those of the caller's tenant in the server's folder. Nothing is proved here."""
    root = ports.places.need_goldens()
    names = await ports.ask(GoldenFolder(root).names, caller.tenant)
    shown, cursor = cut(names, wanted, str)
    found = await ports.ask(shelf, root, caller.tenant, shown)
    return answer({"goldens": [_told(each) for each in found], "next_cursor": cursor})


@router.get("/runs/{run_id}/golden", response_model=GoldenFile, summary="The golden of a run, with its signature")
async def get_golden(request: Request, run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """The very bytes, so that it can be verified and compared elsewhere."""
    root = ports.places.need_goldens()
    return tagged(request, await ports.ask(_read, root, caller.tenant, check_run_id(run_id)))


@router.get("/runs/{run_id}/golden/verify", response_model=GoldenVerdict, summary="Prove the golden of a run")
async def verify_golden(run_id: RunIdInPath, ports: Given, caller: Auditor) -> Response:
    """By its own structure, by its signature, and by the log."""
    root, keys = ports.places.need_goldens(), ports.places.need_golden_keys()

    def verified() -> dict[str, Any]:
        _read(root, caller.tenant, check_run_id(run_id))
        with usable("the goldens' keys"):
            recorder = GoldenRecorder(root, GoldenKeys.load(keys))
        return verdict_by_log(recorder, ports.store, run_id, caller.tenant).to_json()

    return answer(await ports.ask(verified))


def _read(root: Path, tenant: str, run_id: str) -> dict[str, Any]:
    name = safe_name(run_id) + GOLDEN
    try:
        stored = GoldenFolder(root).read(tenant, run_id)
    except GoldenFault:
        raise missing("golden of run", run_id) from None
    return {
        "run_id": run_id,
        "tenant": tenant,
        "name": name,
        "ended_at": iso(stored.ended_at),
        "sha256": sha256_hex(stored.data),
        "data": stored.data.decode(errors="replace"),
        "signature": None if stored.signature is None else stored.signature.decode(errors="replace"),
    }


def _told(each: Listed) -> dict[str, Any]:
    ended = iso(each.ended_at) if each.ended_at else None
    return {"run_id": each.run_id, "name": each.name, "ended_at": ended, "size": each.size}
