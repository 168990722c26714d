"""A request, as those know it who count how many are under way."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class Visit:
    """One request. `leave` gives its place back, if it has one; it gets another when it asks again."""

    __slots__ = ("_leave", "answered", "gone", "holds", "let_in", "on_gone")

    def __init__(self, leave: Callable[[Visit], None]) -> None:
        self.holds = self.let_in = self.answered = self.gone = False
        self.on_gone: Callable[[], object] | None = None
        self._leave = leave

    def leave(self) -> None:
        """Give the place back."""
        self._leave(self)

    def leave_for_good(self) -> None:
        """The client has gone: what has not begun for it need not begin."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()


CURRENT: ContextVar[Visit | None] = ContextVar("refold_visit", default=None)
"""The request that the current task answers."""


def leave_place() -> None:
    """The current request waits for something to happen, and gives its place back for that time."""
    visit = CURRENT.get()
    if visit is not None:
        visit.leave()
