"""A ledger told as simply as can be, to compare stores with: one list of wishes, everything counted anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from refold.core.ledger import Account, Answer, Deferred, Granted, Hold, Limit, Refused, Request

GRACE = 5_000_000


@dataclass
class Wish:
    """What one attempt has (`granted`) or waits for."""

    stream: str
    step: str
    attempt: int
    ticket: int
    amounts: dict[str, int]
    granted: bool = False
    until: int = 0


@dataclass
class ModelLedger:
    """Wishes in the order of tickets, and of each account what was spent, added, and when its bucket is full."""

    now: int = 0
    tickets: int = 0
    live: set[str] = field(default_factory=set[str])
    wishes: list[Wish] = field(default_factory=list[Wish])
    spent: dict[str, int] = field(default_factory=dict[str, int])
    extra: dict[str, int] = field(default_factory=dict[str, int])
    full_at: dict[str, int] = field(default_factory=dict[str, int])

    def reserved(self, account: str) -> int:
        """What is granted of an account."""
        return sum(wish.amounts.get(account, 0) for wish in self.wishes if wish.granted)

    def holds(self) -> list[Hold]:
        """As a ledger shows them."""
        return [
            Hold(account, wish.stream, wish.step, wish.attempt, wish.amounts[account], wish.granted)
            for wish in sorted(self.wishes, key=lambda wish: wish.ticket)
            for account in sorted(wish.amounts)
        ]

    def agrees_with(self, account: Account) -> bool:
        """Whether a store's row says the same."""
        name = account.name
        if account.kind == "rate":
            return account.full_at == self.full_at.get(name, 0)
        row = (account.reserved, account.spent, account.extra)
        return row == (self.reserved(name), self.spent.get(name, 0), self.extra.get(name, 0))

    def ask(self, request: Request) -> Answer:
        """Answer it as the rules say."""
        mine = self.wish_of(request.stream, request.step)
        if mine is not None and mine.attempt < request.attempt:
            self.wishes.remove(mine)
            mine = None
        if mine is not None and mine.attempt == request.attempt and mine.granted:
            return Granted()
        if request.stream not in self.live or (mine is not None and mine.attempt > request.attempt):
            return Deferred(request.limits[0].account, self.now + 1_000_000)
        if mine is None:
            self.tickets += 1
            mine = Wish(request.stream, request.step, request.attempt, self.tickets, {})
        turns = {limit.account: self.turn(limit, mine.ticket) for limit in request.limits}
        for limit in request.limits:
            at = turns[limit.account]
            if at is None or (at > self.now and not limit.waits):
                self.wishes = [wish for wish in self.wishes if wish is not mine]
                return Refused(limit.account, max(self.left(limit), 0))
        if mine not in self.wishes:
            self.wishes.append(mine)
        late = {name: at for name, at in turns.items() if at is not None and at > self.now}
        if late:
            lines = set(late) | set(mine.amounts)
            mine.amounts = {limit.account: limit.amount for limit in request.limits if limit.account in lines}
            mine.until = max(late.values())
            return Deferred(next(name for name in late if late[name] == mine.until), mine.until)
        mine.granted, mine.amounts = True, {limit.account: limit.amount for limit in request.limits}
        for limit in request.limits:
            if limit.kind == "rate":
                begun = max(self.full_at.get(limit.account, 0), self.now)
                self.full_at[limit.account] = begun + limit.amount * round(limit.token_seconds * 1e6)
        return Granted()

    def wish_of(self, stream: str, step: str) -> Wish | None:
        """What a step has."""
        return next((wish for wish in self.wishes if (wish.stream, wish.step) == (stream, step)), None)

    def most(self, limit: Limit) -> int:
        """What could be had if everything came back."""
        name = limit.account
        budget = self.extra.get(name, 0) - self.spent.get(name, 0) if limit.kind == "budget" else 0
        return limit.capacity + budget

    def left(self, limit: Limit) -> int:
        """What is left."""
        if limit.kind == "rate":
            missing = max(self.full_at.get(limit.account, 0) - self.now, 0)
            return limit.capacity - ceil(missing / round(limit.token_seconds * 1e6))
        return self.most(limit) - self.reserved(limit.account)

    def turn(self, limit: Limit, ticket: int) -> int | None:
        """When it can be had, None for never."""
        if limit.amount > self.most(limit) and limit.kind != "budget":
            return None
        ahead = [
            wish.amounts[limit.account]
            for wish in self.wishes
            if not wish.granted
            and wish.ticket < ticket
            and limit.account in wish.amounts
            and wish.until >= self.now - GRACE
            and wish.amounts[limit.account] <= self.most(limit)
        ]
        if self.left(limit) - sum(ahead) >= limit.amount:
            return self.now
        if limit.kind == "rate":
            each = round(limit.token_seconds * 1e6)
            missing = sum(ahead) + limit.amount - limit.capacity
            return max(self.full_at.get(limit.account, 0), self.now) + missing * each
        rounds = sum(ahead) // limit.capacity if limit.kind == "concurrency" else len(ahead)
        least = 5_000_000 if limit.amount > self.most(limit) else 0
        return self.now + min(max((1 + rounds) * 100_000, least), 30_000_000)

    def settle(self, stream: str, step: str, attempt: int, spent: int) -> None:
        """End what the attempt has."""
        mine = self.wish_of(stream, step)
        if mine is not None and mine.attempt == attempt:
            self.wishes.remove(mine)
            for name in mine.amounts if mine.granted else ():
                if name.startswith("budget/"):
                    self.spent[name] = self.spent.get(name, 0) + spent

    def end(self, stream: str) -> None:
        """End a run."""
        self.live.discard(stream)
        self.wishes = [wish for wish in self.wishes if wish.stream != stream]
