"""`refold migrate` and `refold skills`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import open_store
from ...eventstore.migrate import Migration, migrations
from .faults import OK
from .output import cents, console, plain, write_json
from .reading import missing_file, read_skills


@runtime_checkable
class _Migrating(Protocol):
    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]: ...


def migrate_store(dry_run: bool, database: str | None, json: bool) -> int:
    """Apply the migrations that the database lacks, or only name them; returns the exit code."""
    if dry_run and missing_file(database):
        todo: Sequence[Migration] = migrations("sqlite")  # without making the file
    else:
        store = open_store(database, migrate=False)
        todo = store.migrate(dry_run=dry_run) if isinstance(store, _Migrating) else ()
    for migration in todo:
        if json:
            told = {"number": migration.number, "name": migration.name, "checksum": migration.checksum}
            write_json({**told, "applied": not dry_run})
        else:
            verb = "would apply" if dry_run else "applied"
            console().print(f"{verb} {migration.number:04} {migration.name}", soft_wrap=True)
    if not todo and not json:
        console().print("the schema is up to date", soft_wrap=True)
    return OK


def list_skills(modules: Sequence[str], json: bool) -> int:
    """Write what every skill declares; returns the exit code."""
    described = read_skills(modules).describe()
    if json:
        for skill in described:
            write_json(skill)
        return OK
    table = Table("skill", "takes", "nature", "cost", "what it does", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for skill in described:
        does = plain(skill["summary"])
        table.add_row(skill["skill_id"], plain(_takes(skill)), _nature(skill), cents(skill["cost_cents"] or 0), does)
    console().print(table)
    return OK


def _takes(skill: dict[str, Any]) -> str:
    names = [f"{each['name']}{'' if each['required'] else '?'}: {each['type']}" for each in skill["inputs"]]
    return ", ".join([*names, *(["anything"] if skill["other_inputs"] is not None else [])])


def _nature(skill: dict[str, Any]) -> str:
    words = [
        ("deterministic", skill["deterministic"]),
        ("side effect", skill["side_effect"]),
        ("at most once", skill["at_most_once"]),
    ]
    return ", ".join(word for word, holds in words if holds)
