"""Budgets, rates and places: what is spent, held and left; and adding to a budget."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.accounts import is_past, part
from ...core.errors import CallError, Problem
from ...eventstore.store import Store
from ...projections.budget_view import account_json
from ..callers import Caller, Reader, ServiceOperator
from ..ports import Given
from .forms import Form, form_of
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/budgets` and what its form sends."""

MOST_ACCOUNTS = 200
"""So many are shown, in order of their names; a prefix leads to others."""


class AccountParameters(PageParameters):
    """Which accounts: those of periods that go on, or of past ones."""

    prefix: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")] | None = None
    past: Annotated[str, Field(pattern=r"^yes$")] | None = None


class TopUpForm(Form):
    """What is added to a budget, in cents, and why."""

    account: str = ""
    cents: str = ""
    reason: str = ""


@router.get("/budgets")
async def budgets_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[AccountParameters, Query()]
) -> Response:
    """The accounts that the caller may know of."""
    prefix, past = wanted.prefix or "", wanted.past is not None
    model = await ports.ask(_accounts, ports.store, caller, prefix, past)
    return await page(request, ports, caller, "budgets.html", {**model, "prefix": prefix, "past": past})


@router.post("/budgets")
async def top_up(request: Request, ports: Given, caller: ServiceOperator) -> Response:
    """Add to a budget, or take away from it."""
    form = await form_of(request, caller, TopUpForm)
    try:
        cents = float(form.cents)
    except ValueError:
        raise CallError(Problem("/cents", "this is no number of cents", "give one, below 0 to take away")) from None
    await ports.engine.budgets.top_up(form.account, cents, form.reason, caller.name)
    return Response(status_code=303, headers={"location": "/budgets"})


def _accounts(store: Store, caller: Caller, prefix: str, past: bool) -> dict[str, Any]:
    own = "" if caller.everywhere else f"budget/tenant/{part(caller.tenant)}/"
    now = store.dispatch.now()
    found = [
        each for each in store.ledger.accounts(own) if each.name.startswith(prefix) and is_past(each.name, now) == past
    ]
    found.sort(key=lambda each: each.name)
    waiting = Counter(hold.account for hold in store.ledger.holds(own) if not hold.granted)
    rows = [account_json(each, waiting[each.name], now) for each in found[:MOST_ACCOUNTS]]
    return {"accounts": [row | _shares(row) for row in rows], "more": len(found) - len(rows)}


def _shares(row: dict[str, Any]) -> dict[str, Any]:
    """What a picture shows of an account: all of it, and the parts that are spent and held."""
    whole, spent = row["capacity"] + row.get("extra", 0), row.get("spent", 0)
    held = row.get("reserved", whole - row["left"])
    return {"whole": whole, "parts": [["spent", spent], ["held", held]]}
