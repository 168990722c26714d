"""What migrations need of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def applied_to(connection: sqlite3.Connection) -> dict[int, str]:
    """The checksums of the migrations that were applied, by number."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'refold_migrations'").fetchone():
        return {}
    return dict(map(tuple, connection.execute("SELECT number, checksum FROM refold_migrations")))


def statements_of(sql: str) -> Iterable[str]:
    """The single statements of a script; `executescript` would commit the transaction they belong to."""
    statement = ""
    for piece in sql.split(";")[:-1]:
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
