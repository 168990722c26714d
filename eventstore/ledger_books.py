"""The ledger's tables read as a whole, and corrected, while nothing can change them."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.accounts import is_budget
from ..core.ledger import Account, Hold
from ..core.ledger_recount import Books, Difference, Recount
from .access import Access
from .tables_sql import Transaction


def read_books(change: Transaction) -> Books:
    """All of it."""
    accounts = change.ask(
        "SELECT name, kind, reserved, spent, extra, full_at, capacity, token_seconds FROM ledger_accounts", ()
    )
    holds = change.ask("SELECT account, stream, step, attempt, amount, granted FROM ledger_holds", ())
    live = change.ask("SELECT stream FROM dispatch", ())
    return Books(
        [Account(*row) for row in accounts],
        [Hold(*of, granted=bool(granted)) for *of, granted in holds],
        {row[0] for row in live},
    )


def correct(access: Access, change: Transaction, found: Sequence[Difference], recount: Recount) -> None:
    """Put in what the log says."""
    missing = {(each.stream, each.step, each.account) for each in found if each.what == "missing"}
    gone = [(each.stream, each.step, each.account) for each in found if each.what in ("missing", "dead")]
    change.each(access.sql("DELETE FROM ledger_holds WHERE stream = ? AND step = ? AND account = ?"), gone)
    ((ticket,),) = change.ask("SELECT coalesce(max(ticket), 0) + 1 FROM ledger_holds", ())
    rows = [
        (hold.stream, hold.step, hold.account, hold.attempt, hold.amount, True, ticket, 0)
        for hold in recount.holds()
        if (hold.stream, hold.step, hold.account) in missing
    ]
    change.each(access.sql("INSERT INTO ledger_holds VALUES (?, ?, ?, ?, ?, ?, ?, ?)"), rows)
    for each in found:
        if each.what in ("spent", "extra", "reserved"):
            kind = "budget" if is_budget(each.account) else "concurrency"
            put = (
                "INSERT INTO ledger_accounts VALUES (?, ?, 0, 0, 0, 0, 0, 0) ON CONFLICT (name) DO NOTHING",
                f"UPDATE ledger_accounts SET {each.what} = ? WHERE name = ?",
            )
            change.run(access.sql(put[0]), (each.account, kind))
            change.run(access.sql(put[1]), (each.should, each.account))
