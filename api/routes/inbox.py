"""The approvals of all runs. Deciding is a matter of one run: `/v1/runs/{run_id}/approvals`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Response
from pydantic import Field

from ...projections.approval_inbox import InboxFilter, inbox
from ..answers import answer
from ..answers.approvals import ApprovalPage
from ..callers import Reader
from ..pages import PageParameters, Text, cursor_of, key_of
from ..ports import Given
from ..projected import behind

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])
"""`GET /v1/approvals`."""


class InboxParameters(PageParameters):
    """Which approvals."""

    status: Annotated[
        Literal["open", "granted", "rejected", "expired", "cancelled"] | None, Field(description="That stand so.")
    ] = None
    approver: Annotated[Text | None, Field(description="That this person may still decide.")] = None
    run: Annotated[Text | None, Field(description="Of this run.")] = None


@router.get("", response_model=ApprovalPage, summary="The approvals of all runs")
async def list_approvals(ports: Given, caller: Reader, wanted: Annotated[InboxParameters, Query()]) -> Response:
    """From their projection where a projector keeps it, else from the logs."""
    key = cast("tuple[int, str, str] | None", key_of(wanted.cursor, int, str, str))
    chosen = InboxFilter(caller.tenant, wanted.status, wanted.approver, wanted.run)
    page = await ports.ask(inbox, ports.store, chosen, wanted.limit, key)
    rows: list[dict[str, Any]] = [{k: v for k, v in row.items() if k != "tenant"} for row in page.rows]
    cursor = None if page.next_key is None else cursor_of(*page.next_key)
    read = None if page.read is None else behind(page.read)
    return answer({"approvals": rows, "next_cursor": cursor, "behind": read})
