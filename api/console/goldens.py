"""The goldens of the tenant: which runs have one, and where its bytes and its proof are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...projections.golden_files import GoldenFolder
from ...projections.golden_proof import shelf
from ...projections.times import iso
from ..callers import Reader
from ..ports import Given
from .pages import PageParameters, page
from .words import query

router = APIRouter(include_in_schema=False)
"""`/goldens`."""

_ROWS = 50


class GoldenParameters(PageParameters):
    """Those after this run, in order of their names."""

    after: Annotated[str, Field(max_length=200)] | None = None


@router.get("/goldens")
async def goldens_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[GoldenParameters, Query()]
) -> Response:
    """The goldens that lie in the server's folder. Nothing is proved here."""
    root = ports.places.goldens
    model: dict[str, Any] = {"kept": False, "goldens": [], "next": None}
    if root is not None:
        model = await ports.ask(_model, root, caller.tenant, wanted.after)
    provable = ports.places.golden_keys is not None
    return await page(request, ports, caller, "goldens.html", {**model, "provable": provable})


def _model(root: Path, tenant: str, after: str | None) -> dict[str, Any]:
    names = sorted(name for name in GoldenFolder(root).names(tenant) if after is None or name > after)
    found = shelf(root, tenant, names[:_ROWS])
    rows = [
        {"run_id": each.run_id, "ended_at": iso(each.ended_at) if each.ended_at else None, "size": each.size}
        for each in found
    ]
    more = len(names) > _ROWS
    return {"kept": True, "goldens": rows, "next": query({"after": names[_ROWS - 1]}) if more else None}
