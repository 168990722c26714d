"""The store itself: whether it answers, is of this program's schema, and has the time that we have."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...compose import DEFAULT_URL
from ...core.checks import Check
from ...core.errors import IntegrityError, StoreRefusedError
from ...eventstore.migrate import Migration, pending
from ...eventstore.store import Store
from ...projections.runner import recorded_at
from .patient import Patient

SKEW_WARNING, SKEW_FAILED = 1.0, 30.0
"""Seconds between this clock and the database's: leases last for ten."""

_SAMPLES = 5
_CONNECT_SECONDS = 2


def reached(patient: Patient) -> Check:
    """`store`: the database answers."""
    if patient.file is not None and not patient.file.exists():
        if patient.url == DEFAULT_URL and not patient.named:
            # Nobody has mistyped it: this is how everything begins.
            detail = f"there is no database yet: the first run makes {patient.file} in this folder"
            return Check("store", "warning", detail=detail, fix="refold migrate")
        detail = f"there is no database {patient.file}; it is made by migrate"
        return Check("store", "failed", detail=detail, fix=f"refold migrate --database {shlex.quote(patient.url)}")
    began = time.perf_counter()
    if patient.is_postgres:
        why = _refused(patient.url)
        if why:
            return Check("store", "failed", detail=f"{patient.url}: {why}", fix=_way_in(patient.url, why))
    try:
        patient.store.dispatch.now()
    except (StoreRefusedError, IntegrityError) as error:
        # SQLite needs the file, and a log (WAL) beside it, whole, on a disk of this machine and for this user.
        path = patient.file.absolute() if patient.file is not None else Path()
        fix = f"ls -ld {shlex.quote(str(path))} {shlex.quote(str(path.parent))}"
        if isinstance(error, IntegrityError):
            fix = f"sqlite3 {shlex.quote(str(path))} 'PRAGMA integrity_check'"
        return Check("store", "failed", detail=f"{patient.url}: {error}", fix=fix)
    took = time.perf_counter() - began
    return Check("store", "ok", round(took, 6), patient.seconds, "s", patient.url)


def _refused(url: str) -> str:
    """Why the server cannot be connected to, "" if it can: a pool would only say that it has waited in vain."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.Error as error:
        return " ".join(str(error).split())
    return ""


def _way_in(url: str, why: str) -> str:
    """What to do about a server that refuses a connection, or is not there."""
    if found := re.search('database "([^"]+)" does not exist', why):
        return f"createdb {shlex.quote(found[1])}"
    if "authentication" in why or "password" in why or "no pg_hba.conf entry" in why:
        return f"psql {shlex.quote(url)} -c 'SELECT 1'"
    return "systemctl start postgresql"


def schema(patient: Patient) -> Check:
    """`schema`: all migrations of this program were applied, and none of a newer one."""
    try:
        lacking = _lacking(patient)
    except StoreRefusedError as error:
        if "upgrade" in str(error):
            return Check("schema", "failed", detail=str(error), fix="pip install --upgrade refold")
        detail = f"{error}: export it with the version that made it, and import it into a new database"
        return Check("schema", "failed", detail=detail, fix=patient.command("store export FILE"))
    names = ", ".join(f"{each.number:04} {each.name}" for each in lacking)
    if lacking:
        return Check(
            "schema", "failed", len(lacking), 0, "missing", f"to be applied: {names}", patient.command("migrate")
        )
    return Check("schema", "ok", 0, 0, "missing")


def _lacking(patient: Patient) -> Sequence[Migration]:
    try:
        applied = dict(patient.ask("SELECT number, checksum FROM refold_migrations"))
    except StoreRefusedError as error:
        if "no Refold schema" not in str(error):
            raise
        applied = dict[int, str]()
    return pending("postgres" if patient.is_postgres else "sqlite", applied)


def migrate(patient: Patient) -> str:
    """Apply what lacks."""
    migrated = getattr(patient.store, "migrate")()  # noqa: B009
    return f"applied {', '.join(f'{each.number:04} {each.name}' for each in migrated)}" if migrated else ""


class _Sample(NamedTuple):
    took: float
    skew: float


def clock(patient: Patient) -> Check:
    """`clock`: this host and the database agree on the time, and no event of the log lies in the future."""
    skew = _skew(patient.store)
    ahead = _ahead(patient.store)
    apart = max(abs(skew), ahead)
    state = "failed" if apart > SKEW_FAILED else "warning" if apart > SKEW_WARNING else "ok"
    if state == "ok":
        return Check("clock", "ok", round(apart, 6), SKEW_WARNING, "s")
    if abs(skew) >= ahead:
        detail = f"this host is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the database"
    else:
        detail = f"the latest event was recorded {ahead:.1f} s in the future: a clock was ahead, or has gone back"
    return Check("clock", state, round(apart, 6), SKEW_WARNING, "s", detail, "timedatectl set-ntp true")


def _skew(store: Store) -> float:
    """By how many seconds the database is ahead of this host: the quickest of some samples, less half its way."""
    samples: list[_Sample] = []
    for _ in range(_SAMPLES):
        began, at = time.perf_counter(), time.time()
        there = store.dispatch.now() / 1_000_000
        took = time.perf_counter() - began
        samples.append(_Sample(took, there - at - took / 2))
    best = min(samples)
    # Within half the way there and back nobody can tell.
    return 0.0 if abs(best.skew) <= best.took / 2 else best.skew


def _ahead(store: Store) -> float:
    last = store.last_position()
    found = store.follow(last - 1, 1) if last else []
    at = recorded_at(found[0]) if found else None
    return 0.0 if at is None else max(0.0, (at - store.dispatch.now()) / 1_000_000)
