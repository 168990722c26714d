"""Whether what is acknowledged is on the disk: what the database is told to do, and how long it really takes."""

from __future__ import annotations

import os
import secrets
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ...core.checks import Check
from .patient import Patient

_WANTED = ("fsync", "full_page_writes", "synchronous_commit")
_PROBES = 5
_BLOCK = bytes(4096)

SLOW_SECONDS = 0.1
"""A sync that takes longer makes every append slow."""

HONEST_SECONDS = 10e-6
"""No disk is quicker: what is, has not waited for one."""


def settings(patient: Patient) -> Check:
    """`durability`: the database waits for the disk before it acknowledges."""
    return _postgres(patient) if patient.is_postgres else _sqlite(patient)


def _postgres(patient: Patient) -> Check:
    names = ", ".join(f"'{name}'" for name in _WANTED)
    found = patient.ask(f"SELECT name, setting, source FROM pg_settings WHERE name IN ({names})")
    rows = {name: (value, source) for name, value, source in found}
    wrong = [name for name in _WANTED if rows[name][0] == "off"]
    told = ", ".join(f"{name}={rows[name][0]}" for name in _WANTED)
    if not wrong:
        return Check("durability", "ok", detail=told)
    if os.environ.get("REFOLD_ACCEPT_LOSS") == "1":
        return Check(
            "durability", "warning", detail=f"{told}: REFOLD_ACCEPT_LOSS=1 accepts it", fix="unset REFOLD_ACCEPT_LOSS"
        )
    name = wrong[0]
    (who, where), *_ = patient.ask("SELECT quote_ident(current_user), quote_ident(current_database())")
    reset = _reset(name, rows[name][1], who, where)
    fix = f"psql {shlex.quote(patient.url)} -c {shlex.quote(reset)} -c 'SELECT pg_reload_conf()'"
    return Check("durability", "failed", detail=f"{told}: what is acknowledged could be lost", fix=fix)


def _reset(name: str, source: str, who: str, where: str) -> str:
    """The statement that takes a setting back from where it was made (pg_settings.source)."""
    return {
        "database": f"ALTER DATABASE {where} RESET {name}",
        "user": f"ALTER ROLE {who} RESET {name}",
        "database user": f"ALTER ROLE {who} IN DATABASE {where} RESET {name}",
    }.get(source, f"ALTER SYSTEM SET {name} = on")


def _sqlite(patient: Patient) -> Check:
    mode, synchronous = (patient.access.ask(f"PRAGMA {name}", ())[0][0] for name in ("journal_mode", "synchronous"))
    told = f"journal_mode={mode}, synchronous={synchronous}"
    if mode == "wal" and synchronous >= 2:
        return Check("durability", "ok", detail=told)
    fix = f"sqlite3 {shlex.quote(str(patient.file))} 'PRAGMA journal_mode=wal'"
    return Check("durability", "failed", detail=f"{told}: WAL and FULL (2) are needed", fix=fix)


def latency(patient: Patient) -> Check:
    """`sync`: the time that one sync takes, measured by doing it some times."""
    if patient.is_postgres:
        seconds, place = _commit_seconds(patient.ask), "the database's disk"
    elif patient.file is not None:
        place = str(patient.file.absolute().parent)
        seconds = _file_seconds(Path(place))
    else:
        return Check("sync", "ok", detail="a store in memory has no disk")
    value = round(seconds * 1000, 4)
    if seconds < HONEST_SECONDS:
        detail = f"{place} answers faster than any disk: it is memory, or acknowledges what it has not written"
        return Check("sync", "warning", value, SLOW_SECONDS * 1000, "ms", detail, "lsblk -o NAME,MOUNTPOINT,TYPE,MODEL")
    if seconds > SLOW_SECONDS:
        detail = f"{place} is slow: each append waits for it"
        return Check("sync", "warning", value, SLOW_SECONDS * 1000, "ms", detail, "cat /proc/pressure/io")
    return Check("sync", "ok", value, SLOW_SECONDS * 1000, "ms")


def _file_seconds(folder: Path) -> float:
    path = folder / f".refold-doctor-{secrets.token_hex(8)}"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:

        def probe() -> None:
            os.write(file, _BLOCK)
            os.fsync(file)

        return median(_timed(probe) for _ in range(_PROBES))
    finally:
        os.close(file)
        os.unlink(path)


def _commit_seconds(ask: Callable[..., object]) -> float:
    """How much longer a commit takes that waits for the disk than one that does not; it leaves nothing in any table.

    A message in the write-ahead log (pg_logical_emit_message) has something to be flushed at the commit.
    """
    message = "pg_logical_emit_message(true, 'refold', 'doctor')"

    def commit(waits: str) -> float:
        sql = f"SELECT set_config('synchronous_commit', '{waits}', true), {message}"
        return median(_timed(lambda: ask(sql)) for _ in range(_PROBES))

    commit("off")  # The first one pays for the connection.
    return max(0.0, commit("on") - commit("off"))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
