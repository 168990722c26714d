"""What migrations need of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from .migrate import Migration, pending

_LOCK = 7310203118230114


def applied_to(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[int, str]:
    """The checksums of the migrations that were applied, by number."""
    row = connection.execute("SELECT to_regclass('refold_migrations') IS NOT NULL").fetchone()
    if not (row and row[0]):
        return {}
    return dict(connection.execute("SELECT number, checksum FROM refold_migrations").fetchall())


def migrated(connection: psycopg.Connection[tuple[Any, ...]], lock_seconds: int) -> Sequence[Migration]:
    """Apply what lacks, one process at a time, and tell what that was; `lock_seconds` is for how long the connection
    waits for other locks afterwards."""
    # Outside the transaction: one that was open before may not see what another process has made meanwhile.
    connection.execute("SELECT set_config('lock_timeout', '0', false)")
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        with connection.transaction():
            return _apply(connection)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{lock_seconds}s",))


def _apply(connection: psycopg.Connection[tuple[Any, ...]]) -> Sequence[Migration]:
    applied = applied_to(connection)
    todo = pending("postgres", applied)  # Another process may have been faster.
    if todo and not applied:
        connection.execute(
            "CREATE TABLE refold_migrations (number int PRIMARY KEY, name text NOT NULL, "
            "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    for migration in todo:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO refold_migrations (number, name, checksum) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.checksum),
        )
    return todo
