"""Migrations: numbered SQL files, each applied once, in order, its checksum kept so that later edits are noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from ..core.errors import StoreRefusedError
from ..core.hashing import sha256_hex


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str
    checksum: str


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations for `sqlite` or `postgres`, in order; numbered 1, 2, … without a gap."""
    folder = files("refold.eventstore") / "sql" / dialect
    found: list[Migration] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            number, _, name = entry.name.removesuffix(".sql").partition("_")
            sql = entry.read_text(encoding="utf-8")
            found.append(Migration(int(number), name, sql, sha256_hex(sql.encode())))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StoreRefusedError(f"the migrations for {dialect} are not numbered without a gap")
    return tuple(found)


def pending(dialect: str, applied: Mapping[int, str]) -> Sequence[Migration]:
    """The migrations still to apply to a database that has `applied` (number to checksum).

    Raises StoreRefusedError when the database was made by a newer program, or with other SQL under the same number.
    """
    known = migrations(dialect)
    newest = max(applied, default=0)
    if newest > len(known):
        raise StoreRefusedError(
            f"the database is at migration {newest}, this program knows {len(known)}: upgrade Refold"
        )
    for migration in known:
        checksum = applied.get(migration.number)
        if checksum is not None and checksum != migration.checksum:
            raise StoreRefusedError(f"migration {migration.number} was applied with other contents than it has today")
    return [migration for migration in known if migration.number not in applied]
