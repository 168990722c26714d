"""`refold budgets`: what is spent, held and left, top-ups, and the comparison with the log."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import WorkflowEngine, open_store
from ...core.accounts import check_budget, check_cents, is_budget, is_past
from ...core.budget_events import BudgetToppedUp
from ...core.budget_log import BudgetLog
from ...core.errors import CallError, Problem
from ...core.ids import BUDGETS
from ...core.ledger import MILLIONTHS, Account, Hold
from ...core.runtime.admission import MAX_LABEL, check_text
from ...eventstore.log import EventLog
from ...eventstore.tiered import TieredStore
from ...projections.budget_view import account_json, hold_json, left_in, top_up_json
from ...replay.budgets import verify_ledger
from ..settings import store_patience
from .faults import BROKEN, OK
from .output import clock, console, plain, write_json
from .progress import watched
from .reading import existing_store
from .signals import run_until_stopped
from .specs import login
from .streams import note

_BAR = 24
"""Characters of a bar."""


def list_accounts(prefix: str, database: str | None, json: bool, *, past: bool = False) -> int:
    """Write the accounts of periods that go on, or those of past ones; returns the exit code."""
    with existing_store(database) as store:
        now, holds = store.dispatch.now(), store.ledger.holds(prefix)
        found = [each for each in store.ledger.accounts(prefix) if is_past(each.name, now) == past]
    waiting = Counter(hold.account for hold in holds if not hold.granted)
    if json:
        for account in found:
            write_json(account_json(account, waiting[account.name], now))
    elif found:
        console().print(_table(found, waiting, now))
    else:
        note("no budget's period is over yet" if past else "nothing was asked for yet")
    return OK


def show_account(name: str, database: str | None, json: bool) -> int:
    """Write one account with its holds and top-ups; returns the exit code. Raises CallError."""
    with existing_store(database) as store:
        now = store.dispatch.now()
        holds = [hold for hold in store.ledger.holds(name) if hold.account == name]
        found = [each for each in store.ledger.accounts(name) if each.name == name]
        top_ups = [each for each in BudgetLog(EventLog(store, "").events(BUDGETS)).top_ups if each.account == name]
    if not found:
        raise CallError(Problem("", f"there is no account {ascii(name)[:60]}", "see: refold budgets list"))
    account, waiting = found[0], Counter(hold.account for hold in holds if not hold.granted)
    if json:
        shown = account_json(account, waiting[name], now)
        write_json({**shown, "holds": [*map(hold_json, holds)], "top_ups": [*map(top_up_json, top_ups)]})
        return OK
    screen = console()
    screen.print(_table([account], waiting, now))
    if holds:
        screen.print(_hold_table(holds))
    for each in top_ups:
        line = f"{clock(each.at)}  {each.cents:+g} ct  {plain(each.by) or 'nobody said who'}: {plain(each.reason)}"
        screen.print(line, soft_wrap=True)
    return OK


def list_holds(prefix: str, database: str | None, json: bool) -> int:
    """Write who holds and who waits; returns the exit code."""
    with existing_store(database) as store:
        holds = store.ledger.holds(prefix)
    if json:
        for hold in holds:
            write_json(hold_json(hold))
    elif holds:
        console().print(_hold_table(holds))
    else:
        note("nothing is held, and nobody waits")
    return OK


def top_up(account: str, cents: float, reason: str, by: str | None, database: str | None, json: bool) -> int:
    """Record a top-up and carry it out; returns the exit code. Raises CallError."""
    check_budget(account)
    check_cents(cents)
    who = login() if by is None else check_text("--by", by, MAX_LABEL)
    with closing(open_store(database)) as store:

        async def work() -> BudgetToppedUp:
            async with WorkflowEngine(store, patience=store_patience()) as engine:
                return await engine.budgets.top_up(account, cents, reason, who)

        known = any(each.name == account for each in store.ledger.accounts(account))
        event = run_until_stopped(work)
        (row,) = (each for each in store.ledger.accounts(account) if each.name == account)
        now = store.dispatch.now()
    if json:
        write_json({**top_up_json(event), "left": account_json(row, 0, now)["left"] if known else None})
        return OK
    if not known:
        note("nothing was asked of this account yet: look whether the name is right")
    left_now = f", {_amount(row, left_in(row, now))} left" if known else ""
    console().print(f"{plain(account)}: {cents:+g} ct{left_now}", soft_wrap=True)
    return OK


def verify(rebuild: bool, database: str | None, json: bool) -> int:
    """Compare the ledger with the log, and with `rebuild` put in what the log says; returns the exit code."""
    with existing_store(database) as store, watched("counting") as told:
        found = verify_ledger(store, rebuild=rebuild, told=told) if isinstance(store, TieredStore) else []
    if json:
        write_json({"ok": not found, "rebuilt": rebuild and bool(found), "differences": [d._asdict() for d in found]})
    else:
        for each in found:
            budget = is_budget(each.account)
            has, should = (f"{n / MILLIONTHS:g} ct" if budget else str(n) for n in (each.has, each.should))
            of = f" of {each.stream}, step {each.step}" if each.stream else ""
            console().print(plain(f"{each.what}  {each.account}{of}: {has}, by the log {should}"), soft_wrap=True)
        verdict = "as the log says" if not found else "put right" if rebuild else "not as the log says"
        console().print(f"{verdict}  differences: {len(found)}")
    return BROKEN if found and not rebuild else OK


def _amount(account: Account, amount: int) -> str:
    return f"{amount / MILLIONTHS:g} ct" if account.kind == "budget" else str(amount)


def _table(accounts: list[Account], waiting: Counter[str], now: int) -> Table:
    table = Table("account", "used", "spent", "held", "left", "of", "wait", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for each in accounts:
        remaining = left_in(each, now)
        of = each.capacity + each.extra
        taken = of - remaining if each.kind == "rate" else each.reserved
        spent = _amount(each, each.spent) if each.kind == "budget" else ""
        held = "" if each.kind == "rate" else _amount(each, each.reserved)
        row = (plain(each.name), _bar(each.spent, taken, of), spent, held, _amount(each, remaining), _amount(each, of))
        table.add_row(*row, str(waiting[each.name] or ""))
    return table


def _bar(spent: int, held: int, of: int) -> str:
    """`█` is spent, `▒` is held, `·` is left."""
    if of <= 0:
        return "█" * _BAR if spent or held else "·" * _BAR
    full = min(round(_BAR * spent / of), _BAR)
    both = min(max(round(_BAR * (spent + held) / of), full), _BAR)
    return "█" * full + "▒" * (both - full) + "·" * (_BAR - both)


def _hold_table(holds: list[Hold]) -> Table:
    table = Table("account", "run", "step", "attempt", "amount", "", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    for each in holds:
        amount = f"{each.amount / MILLIONTHS:g} ct" if is_budget(each.account) else str(each.amount)
        row = (each.account, each.stream, each.step, str(each.attempt), amount)
        table.add_row(*map(plain, row), "held" if each.granted else "waits")
    return table
