"""Queries of runs on their way to workers, and answers on their way back, in a SQL database.

Times are the database's. Rows are removed by whoever asks next, a minute after they were written.
"""

from __future__ import annotations

from ..core.ports import Question
from .dispatch import Dialect, Query

KEEP_SECONDS = 60.0
"""A question that is older is of interest to nobody."""

CLAIM_SECONDS = 5.0
"""For how long a worker that has claimed a question keeps others from it."""

MOST_PENDING = 1_000
"""At most this many questions are looked at at once."""


class SQLQueries:
    """The table `queries`; fulfils `refold.core.ports.QueryStore`. `write` runs a statement in its own transaction."""

    def __init__(self, read: Query, write: Query, dialect: Dialect):
        self._read = read
        self._write = write
        self._dialect = dialect

    def _sql(self, text: str) -> str:
        return text.replace("{now}", self._dialect.now).replace("?", self._dialect.mark)

    def ask(self, question: Question) -> None:
        """See `QueryStore.ask`."""
        self._write(self._sql("DELETE FROM queries WHERE asked_at <= {now} - ? RETURNING 1"), (KEEP_SECONDS,))
        sql = (
            "INSERT INTO queries (id, stream, needs, name, arguments, asked_at, claimed_until) "
            "VALUES (?, ?, ?, ?, ?, {now}, 0) RETURNING 1"
        )
        self._write(self._sql(sql), tuple(question))

    def pending(self) -> list[Question]:
        """See `QueryStore.pending`."""
        sql = (
            "SELECT id, stream, needs, name, arguments FROM queries "
            "WHERE answer IS NULL AND claimed_until <= {now} AND asked_at > {now} - ? ORDER BY asked_at, id LIMIT ?"
        )
        return [Question(*row) for row in self._read(self._sql(sql), (KEEP_SECONDS, MOST_PENDING))]

    def claim(self, question_id: str) -> bool:
        """See `QueryStore.claim`."""
        sql = (
            "UPDATE queries SET claimed_until = {now} + ? "
            "WHERE id = ? AND answer IS NULL AND claimed_until <= {now} RETURNING 1"
        )
        return bool(self._write(self._sql(sql), (CLAIM_SECONDS, question_id)))

    def answer(self, question_id: str, answer: str) -> None:
        """See `QueryStore.answer`."""
        sql = "UPDATE queries SET answer = ?, answered_at = {now} WHERE id = ? AND answer IS NULL RETURNING 1"
        self._write(self._sql(sql), (answer, question_id))

    def answered(self, question_id: str) -> str | None:
        """See `QueryStore.answered`."""
        rows = self._read(self._sql("SELECT answer FROM queries WHERE id = ?"), (question_id,))
        return rows[0][0] if rows else None

    def withdraw(self, question_id: str) -> None:
        """See `QueryStore.withdraw`."""
        self._write(self._sql("DELETE FROM queries WHERE id = ? RETURNING 1"), (question_id,))
