"""The ledger in a SQL database: its guarded rows, and requests answered on them.

Requests are answered one call at a time, whoever asks: SQLite has one writer anyway, and PostgreSQL takes a lock of its
own, which a commit that changes the ledger takes too, before that of the appends. So what is checked still holds when
it is changed, and no two transactions can wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from ..core.ledger import Account, Answer, Hold, Limit, Request
from ..core.ledger_page import Entry, Page, Step
from ..core.ledger_rules import GRACE, NOBODY, Ahead
from .dispatch import Dialect, Query

AT_ONCE = 200
"""Requests answered in one transaction: a call with more does not keep the others waiting until all are answered."""


class Exchange(NamedTuple):
    """A transaction that nobody else asks in at the same time. `ask` puts several questions at once, each a statement
    with its parameters, and gives the rows of each; `put` runs a statement for each row of parameters."""

    ask: Callable[[Sequence[tuple[str, Sequence[Any]]]], list[list[tuple[Any, ...]]]]
    put: Callable[[str, Sequence[Sequence[Any]]], object]


_ACCOUNT = "name, kind, reserved, spent, extra, full_at, capacity, token_seconds"

_ACCOUNTS = f"""
SELECT {_ACCOUNT}, EXISTS (SELECT 1 FROM ledger_holds h WHERE h.account = name AND NOT h.granted)
FROM ledger_accounts
WHERE name {{among}} OR name IN (SELECT h.account FROM ledger_holds h WHERE h.stream {{among}} AND h.step {{among}})
"""

_PUT_ACCOUNT = f"""
INSERT INTO ledger_accounts ({_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, reserved = excluded.reserved, spent = excluded.spent,
extra = excluded.extra, full_at = excluded.full_at, capacity = excluded.capacity,
token_seconds = excluded.token_seconds
"""

_NOW = "SELECT {now}, (SELECT coalesce(max(ticket), 0) FROM ledger_holds)"

# A run that is just being ended has ended: what it would get now, nobody would give back.
_LIVE = "SELECT stream FROM dispatch WHERE stream {among} {undeleted}"

_ENTRIES = """
SELECT stream, step, attempt, ticket, granted, until, account, amount FROM ledger_holds
WHERE stream {among} AND step {among}
"""

_AHEAD = """
SELECT count(*), coalesce(sum(amount), 0) FROM ledger_holds
WHERE account = ? AND NOT granted AND ticket < ? AND until >= ? AND amount <= ?
"""


class SQLLedger:
    """The tables `ledger_accounts` and `ledger_holds`; fulfils `refold.core.ledger.Ledger`.

    `undeleted` are the words that keep rows that were read from being deleted before a transaction ends.
    """

    def __init__(
        self,
        read: Query,
        exchange: Callable[[], AbstractContextManager[Exchange]],
        dialect: Dialect,
        undeleted: str = "",
    ):
        self._read = read
        self._exchange = exchange
        self._dialect = dialect
        self._undeleted = undeleted

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        answers: list[Answer] = []
        for start in range(0, len(requests), AT_ONCE):
            some = requests[start : start + AT_ONCE]
            names = {limit.account for request in some for limit in request.limits}
            with self._page({(each.stream, each.step) for each in some}, names) as page:
                answers += [page.ask(request) for request in some]
        return answers

    def withdraw(self, stream: str, step: str) -> None:
        """See `Ledger.withdraw`."""
        with self._page({(stream, step)}, set()) as page:
            page.withdraw((stream, step))

    def accounts(self, prefix: str = "") -> list[Account]:
        """See `Ledger.accounts`."""
        sql = f"SELECT {_ACCOUNT} FROM ledger_accounts WHERE name >= ? AND name < ? ORDER BY name"
        return [Account(*row) for row in self._read(self._sql(sql), _between(prefix))]

    def holds(self, prefix: str = "") -> list[Hold]:
        """See `Ledger.holds`."""
        sql = (
            "SELECT account, stream, step, attempt, amount, granted FROM ledger_holds "
            "WHERE account >= ? AND account < ? ORDER BY ticket, account"
        )
        return [Hold(*of, granted=bool(granted)) for *of, granted in self._read(self._sql(sql), _between(prefix))]

    @contextmanager
    def _page(self, steps: set[Step], names: set[str]) -> Generator[Page]:
        """A page with what `steps` have and the accounts of these `names`, kept when nothing was raised."""
        with self._exchange() as exchange:
            page, before = self._opened(exchange, steps, names)
            yield page
            self._keep(exchange, page, before)

    def _opened(self, exchange: Exchange, steps: set[Step], names: set[str]) -> tuple[Page, set[Step]]:
        listed = self._dialect.listed
        streams = listed(sorted({stream for stream, _ in steps}))
        numbers = listed(sorted({step for _, step in steps}))
        ((now_and_ticket,), live, rows, found) = exchange.ask(
            [
                (self._sql(_NOW), ()),
                (self._sql(_LIVE), (streams,)),
                (self._sql(_ENTRIES), (streams, numbers)),
                (self._sql(_ACCOUNTS), (listed(sorted(names)), streams, numbers)),
            ]
        )
        now, ticket = int(now_and_ticket[0] * 1_000_000), now_and_ticket[1]
        entries: dict[Step, Entry] = {}
        for stream, step, attempt, number, granted, until, account, amount in rows:
            if (stream, step) in steps:
                new = Entry(stream, step, attempt, number, bool(granted), until)
                entries.setdefault((stream, step), new).amounts[account] = amount
        lines = {row[0] for row in found if row[8]}
        others = _Others(lambda given: exchange.ask([(self._sql(_AHEAD), given)])[0][0], lines, now, ticket, entries)
        accounts = {row[0]: Account(*row[:8]) for row in found}
        return Page(now, ticket, (row[0] for row in live), accounts, entries, others), set(entries)

    def _keep(self, exchange: Exchange, page: Page, before: set[Step]) -> None:
        if page.changed_accounts:
            exchange.put(self._sql(_PUT_ACCOUNT), [page.accounts[name] for name in sorted(page.changed_accounts)])
        gone = sorted(page.changed_entries & before)
        if gone:
            exchange.put(self._sql("DELETE FROM ledger_holds WHERE stream = ? AND step = ?"), gone)
        changed = (page.entries.get(step) for step in sorted(page.changed_entries))
        rows = [
            (e.stream, e.step, account, e.attempt, amount, e.granted, e.ticket, e.until)
            for e in changed
            if e is not None
            for account, amount in e.amounts.items()
        ]
        if rows:
            exchange.put(self._sql("INSERT INTO ledger_holds VALUES (?, ?, ?, ?, ?, ?, ?, ?)"), rows)

    def _sql(self, text: str) -> str:
        d = self._dialect
        filled = text.replace("{now}", d.now).replace("{among}", d.among).replace("{undeleted}", self._undeleted)
        return filled.replace("?", d.mark)


class _Others:
    """Who stands in line beside those on a page."""

    def __init__(
        self,
        count: Callable[[Sequence[Any]], tuple[Any, ...]],
        lines: set[str],
        now: int,
        ticket: int,
        entries: Mapping[Step, Entry],
    ):
        self._count = count
        self._lines = lines
        self._now = now
        self._ticket = ticket
        # As the rows say, for the page changes its entries.
        mine = [entry for entry in entries.values() if not entry.granted]
        self._mine = [
            (e.ticket, account, n) for e in mine for account, n in e.amounts.items() if e.waits_for(account, now)
        ]
        self._known: dict[tuple[str, int, int], Ahead] = {}

    def __call__(self, limit: Limit, ticket: int, most: int) -> Ahead:
        if limit.account not in self._lines:
            return NOBODY
        key = (limit.account, min(ticket, self._ticket + 1), most)
        if key not in self._known:
            self._known[key] = self._counted(*key)
        return self._known[key]

    def _counted(self, account: str, ticket: int, most: int) -> Ahead:
        waiters, amount = self._count((account, ticket, self._now - GRACE, most))
        mine = [n for number, name, n in self._mine if name == account and number < ticket and n <= most]
        return Ahead(waiters - len(mine), int(amount) - sum(mine))


def _between(prefix: str) -> tuple[str, str]:
    """The bounds of all names that begin so."""
    return prefix, f"{prefix}\U0010ffff"
