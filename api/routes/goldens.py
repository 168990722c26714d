"""Goldens: which there are, one with its signature, and whether it is what was signed and what the log gives."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ...core.hashing import sha256_hex
from ...core.ids import check_run_id
from ...projections.golden_faults import GoldenFault
from ...projections.golden_files import GoldenFolder, Stored
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_lines import golden_of
from ...projections.golden_names import GOLDEN, safe_name
from ...projections.golden_proof import shelf, verdict_by_log
from ...projections.golden_recorder import GoldenRecorder
from ...projections.golden_upkeep import Listed
from ...projections.run_view import look_at
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
from ..problems import Refusal

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
    """The very bytes, to be verified and compared elsewhere: those that are kept, else, without a signature, those that
    the log gives. 409 while the run has not ended."""
    view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    if (end := view.state.end) is None:
        raise Refusal(HTTPStatus.CONFLICT, f"run {run_id} has not ended, and so has no golden yet", code="RUN_OPEN")

    def read() -> dict[str, Any]:
        root = ports.places.goldens
        kept = None if root is None else _kept(root, caller.tenant, run_id)
        if kept is not None:
            return _file(run_id, caller.tenant, kept.ended_at, kept.data, kept.signature)
        return _file(run_id, caller.tenant, end.at, golden_of(view.state).data, None)

    return tagged(request, await ports.ask(read))


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


def _read(root: Path, tenant: str, run_id: str) -> Stored:
    found = _kept(root, tenant, run_id)
    if found is None:
        raise missing("golden of run", run_id)
    return found


def _kept(root: Path, tenant: str, run_id: str) -> Stored | None:
    try:
        return GoldenFolder(root).read(tenant, run_id)
    except GoldenFault:
        return None


def _file(run_id: str, tenant: str, ended_at: int, data: bytes, signature: bytes | None) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "tenant": tenant,
        "name": safe_name(run_id) + GOLDEN,
        "ended_at": iso(ended_at),
        "sha256": sha256_hex(data),
        "data": data.decode(errors="replace"),
        "signature": None if signature is None else signature.decode(errors="replace"),
    }


def _told(each: Listed) -> dict[str, Any]:
    ended = iso(each.ended_at) if each.ended_at else None
    return {"run_id": each.run_id, "name": each.name, "ended_at": ended, "size": each.size}
