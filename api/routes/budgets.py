"""Budgets, rates and places: what is spent, held and left; and adding to a budget."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from ...core.accounts import is_past, part
from ...core.errors import InvalidError, Problem, RequestDoneError
from ...core.runtime.admission import MAX_REASON
from ...eventstore.store import Store
from ...projections.budget_view import account_json, hold_json, top_up_json
from ..answers import answer
from ..answers.budgets import AccountPage, BudgetTopUp, WholeAccount
from ..bodies import Body, documented, read
from ..callers import Caller, Reader, ServiceOperator
from ..idempotency import KEY_HEADER, once
from ..missing import missing
from ..pages import MOST_ROWS, PageParameters, Text, cut
from ..ports import Given

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])
"""`/v1/budgets`."""

_ACCOUNT = r"(?:budget|rate|places)/[^\x00-\x1f\x7f]{1,1800}"
_Account = Annotated[str, Path(description="An account, such as `budget/agent/ada/2026-11`.")]


class AccountParameters(PageParameters):
    """Which accounts."""

    prefix: Annotated[Text | None, Field(description="Those whose names begin so.")] = None
    past: Annotated[bool, Field(description="Those of periods that are over, instead of those that go on.")] = False


class TopUpBody(Body):
    """What is added to the budget, in cents (below 0 it is taken away), and why; both are recorded."""

    cents: float
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]


@router.get("", response_model=AccountPage, summary="Budgets, rates and places as they stand")
async def list_accounts(ports: Given, caller: Reader, wanted: Annotated[AccountParameters, Query()]) -> Response:
    """Those that somebody has asked for. A tenant's caller is told of the tenant's own budgets."""

    def page() -> dict[str, Any]:
        now = ports.store.dispatch.now()
        every = [
            each
            for each in ports.store.ledger.accounts(_prefix(caller, wanted.prefix or ""))
            if each.name.startswith(wanted.prefix or "") and is_past(each.name, now) == wanted.past
        ]
        shown, cursor = cut(sorted(every, key=lambda each: each.name), wanted, lambda each: each.name)
        names = {each.name for each in shown}
        waiting = Counter(
            hold.account for hold in ports.store.ledger.holds(_common(names)) if not hold.granted
        )  # An account can have any number of them; a page looks at those of its accounts alone.
        rows = [account_json(each, waiting[each.name], now) for each in shown]
        return {"accounts": rows, "next_cursor": cursor}

    return answer(await ports.ask(page))


@router.get("/{account:path}", response_model=WholeAccount, summary="One account with its holds and top-ups")
async def get_account(account: _Account, ports: Given, caller: Reader) -> Response:
    """As it stands; 404 for one that nobody has asked for."""
    top_ups = [each for each in (await ports.engine.budgets.read()).top_ups if each.account == account]
    found = await ports.ask(_looked_up, ports.store, account) if _is_visible(caller, account) else None
    if found is None:
        raise missing("account", account)
    return answer({**found, "top_ups": [*map(top_up_json, top_ups)]})


@router.post(
    "/{account:path}/top-ups",
    status_code=201,
    responses={201: {"model": BudgetTopUp, "description": "It is recorded and carried out."}},
    openapi_extra=documented(TopUpBody, KEY_HEADER),
    summary="Add to a budget",
)
async def top_up(request: Request, account: _Account, ports: Given, caller: ServiceOperator) -> Response:
    """Whether anybody has asked for it yet or not. Sent again, it is added again, unless under an Idempotency-Key."""
    body = await read(request, TopUpBody)
    if not re.fullmatch(_ACCOUNT, account):
        raise missing("account", account)
    beside = await once(ports, caller, request, body)
    try:
        made = await ports.engine.budgets.top_up(account, body.cents, body.reason, caller.name, beside=beside)
    except RequestDoneError as done:
        every = (await ports.engine.budgets.read()).top_ups
        made = next(each for each in every if (each.account, each.at) == (account, done.at))
    except InvalidError as error:
        pointer = "/cents" if "cents" in str(error) else ""
        raise InvalidError([Problem(pointer, each.reason, each.fix) for each in error.problems]) from None
    return answer(top_up_json(made), 201)


def _prefix(caller: Caller, prefix: str) -> str:
    """What the names of accounts begin with that the caller may see, and that begin with `prefix`."""
    if caller.everywhere:
        return prefix
    mine = f"budget/tenant/{part(caller.tenant)}/"
    return prefix if prefix.startswith(mine) else mine


def _is_visible(caller: Caller, account: str) -> bool:
    return re.fullmatch(_ACCOUNT, account) is not None and account.startswith(_prefix(caller, ""))


def _common(names: set[str]) -> str:
    """What all names begin with."""
    if not names:
        return "\x7f"
    first, last = min(names), max(names)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _looked_up(store: Store, account: str) -> dict[str, Any] | None:
    now = store.dispatch.now()
    found = [each for each in store.ledger.accounts(account) if each.name == account]
    if not found:
        return None
    holds = [hold for hold in store.ledger.holds(account) if hold.account == account]
    told = account_json(found[0], sum(not hold.granted for hold in holds), now)
    return {**told, "holds": [*map(hold_json, holds[:MOST_ROWS])]}
