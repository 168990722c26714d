"""Queries of runs in memory; fulfils `refold.core.ports.QueryStore`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock

from ..core.ports import Question
from .queries import CLAIM_SECONDS, KEEP_SECONDS


@dataclass(slots=True)
class _Row:
    question: Question
    asked_at: float
    claimed_until: float = 0.0
    answer: str | None = None


class MemoryQueries:
    """Rows in a dict, under the store's lock."""

    def __init__(self, lock: RLock, seconds: Callable[[], float]):
        self._lock = lock
        self._seconds = seconds
        self._rows: dict[str, _Row] = {}

    def ask(self, question: Question) -> None:
        """See `QueryStore.ask`."""
        with self._lock:
            now = self._seconds()
            self._rows = {key: row for key, row in self._rows.items() if row.asked_at > now - KEEP_SECONDS}
            self._rows[question.id] = _Row(question, now)

    def pending(self) -> list[Question]:
        """See `QueryStore.pending`."""
        with self._lock:
            since = self._seconds() - KEEP_SECONDS
            return [row.question for row in self._rows.values() if row.asked_at > since and self._is_open(row)]

    def claim(self, question_id: str) -> bool:
        """See `QueryStore.claim`."""
        with self._lock:
            row = self._rows.get(question_id)
            if row is None or not self._is_open(row):
                return False
            row.claimed_until = self._seconds() + CLAIM_SECONDS
            return True

    def _is_open(self, row: _Row) -> bool:
        return row.answer is None and row.claimed_until <= self._seconds()

    def answer(self, question_id: str, answer: str) -> None:
        """See `QueryStore.answer`."""
        with self._lock:
            row = self._rows.get(question_id)
            if row is not None and row.answer is None:
                row.answer = answer

    def answered(self, question_id: str) -> str | None:
        """See `QueryStore.answered`."""
        with self._lock:
            row = self._rows.get(question_id)
            return None if row is None else row.answer

    def withdraw(self, question_id: str) -> None:
        """See `QueryStore.withdraw`."""
        with self._lock:
            self._rows.pop(question_id, None)
