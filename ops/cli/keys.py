"""`refold keys create`, `list`, `show`, `rotate` and `revoke`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import WorkflowEngine, open_store
from ...core.access_log import Key
from ...core.durations import seconds_of
from ...core.errors import StoreUnreachableError
from ...core.ids import check_tenant
from ...core.runtime.access_control import AccessControl, IssuedKey
from ...core.runtime.admission import MAX_LABEL, check_text
from ...projections.key_view import key_view
from ..settings import store_patience
from .faults import OK
from .output import console, plain, write_json
from .reading import existing_store, missing_file
from .signals import run_until_stopped
from .specs import login
from .streams import note

T = TypeVar("T")


@dataclass(frozen=True)
class Decision:
    """Who decides, where, and how it is told."""

    by: str | None
    database: str | None
    json: bool

    @property
    def who(self) -> str:
        """Who does it. Raises CallError for what is no name."""
        return login() if self.by is None else check_text("--by", self.by, MAX_LABEL)

    def record(self, work: Callable[[AccessControl, str], Coroutine[Any, Any, T]]) -> T:
        """Let `work` record it. Raises what it raises, and StoreError."""
        with closing(open_store(self.database)) as store:

            async def recorded() -> T:
                async with WorkflowEngine(store, patience=store_patience()) as engine:
                    return await work(engine.access, self.who)

            return run_until_stopped(recorded)


def create_key(decision: Decision, name: str, scopes: Sequence[str], tenant: str | None, expires: str | None) -> int:
    """Make a key and write it; returns the exit code."""
    seconds = None if expires is None else seconds_of(expires)

    async def work(access: AccessControl, who: str) -> IssuedKey:
        return await access.create(name, scopes, tenant=tenant, expires_in=seconds, by=who)

    return _tell_secret(decision, decision.record(work))


def rotate_key(decision: Decision, key_id: str, overlap: str) -> int:
    """Make a new secret and write it; returns the exit code."""
    _must_exist(decision.database)
    seconds = seconds_of(overlap)

    async def work(access: AccessControl, who: str) -> IssuedKey:
        return await access.rotate(key_id, overlap_seconds=seconds, by=who)

    return _tell_secret(decision, decision.record(work))


def revoke_key(decision: Decision, key_id: str, reason: str) -> int:
    """Have the key count no more; returns the exit code."""
    _must_exist(decision.database)

    async def work(access: AccessControl, who: str) -> Key:
        return await access.revoke(key_id, reason=reason, by=who)

    key = decision.record(work)
    if decision.json:
        write_json(key_view(key, _now()))
    else:
        console().print(f"key {key.key_id} ({plain(key.name)}) counts no more", soft_wrap=True)
    return OK


def list_keys(tenant: str | None, all_: bool, database: str | None, json: bool) -> int:
    """Write the keys; returns the exit code."""
    found, last = _read(database)
    now = _now()
    if tenant is not None:
        check_tenant(tenant)
    shown = [
        key_view(key, now, last.get(key.key_id))
        for key in found
        if tenant in (None, key.tenant) and (all_ or key.status(now) == "active")
    ]
    if json:
        for told in shown:
            write_json(told)
        return OK
    if not shown:
        console().print("no key: whoever reaches a server on this machine may do everything" if not found else "none")
        return OK
    table = Table("key", "name", "tenant", "scopes", "status", "expires", "last used", box=SIMPLE_HEAD)
    for told in shown:
        cells = [told["key_id"], told["name"], told["tenant"] or "(all)", " ".join(told["scopes"]), told["status"]]
        cells += [(told["expires_at"] or "–")[:19], (told["last_used_at"] or "–")[:19]]
        table.add_row(*map(plain, cells))
    console().print(table)
    return OK


def show_key(key_id: str, database: str | None, json: bool) -> int:
    """Write what is known of a key; returns the exit code."""

    async def one(access: AccessControl) -> Key:
        return await access.get(key_id)

    key, last = _with(database, one)
    told = key_view(key, _now(), last.get(key.key_id))
    if json:
        write_json(told)
        return OK
    for name, value in told.items():
        shown = " ".join(told["scopes"]) if name == "scopes" else "" if value is None else str(value)
        console().print(f"{name:<17} {plain(shown)}".rstrip(), soft_wrap=True)
    return OK


def _read(database: str | None) -> tuple[Sequence[Key], dict[str, int]]:
    async def every(access: AccessControl) -> Sequence[Key]:
        return await access.list()

    return _with(database, every)


def _with(database: str | None, ask: Callable[[AccessControl], Coroutine[Any, Any, T]]) -> tuple[T, dict[str, int]]:
    async def work() -> tuple[T, dict[str, int]]:
        with existing_store(database) as store:
            async with WorkflowEngine(store, patience=store_patience()) as engine:
                return await ask(engine.access), store.key_uses.last()

    return asyncio.run(work())


def _must_exist(database: str | None) -> None:
    if (missing := missing_file(database)) is not None:
        # Whoever revokes a key in the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")


def _tell_secret(decision: Decision, issued: IssuedKey) -> int:
    """The key on stdout, alone on its line; all else on stderr."""
    told = key_view(issued.key, _now())
    if decision.json:
        write_json({"key": issued.text, **told})
        return OK
    whom = "all tenants" if issued.key.tenant is None else f"tenant {issued.key.tenant}"
    note(f"key {issued.key.key_id} ({plain(issued.key.name)}), {' '.join(issued.key.scopes)}, for {whom}")
    note("this is the only time that it is shown:")
    console().print(issued.text, soft_wrap=True)
    return OK


def _now() -> int:
    return time.time_ns() // 1000
