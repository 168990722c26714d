"""`refold erase` and `refold data-keys`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ...compose import DATA_KEYS, WorkflowEngine, data_keys_of
from ...core.errors import CallError, DataKeyError, Problem
from ...core.ids import run_of
from ...eventstore.master_keys import MasterKeys
from ...eventstore.secret_file import alone
from ..settings import store_patience
from .faults import OK
from .output import console, plain, write_json
from .reading import existing_store, missing_file
from .signals import run_until_stopped
from .specs import login


class Erasure(NamedTuple):
    """What is to be erased, why, and by whom."""

    run_id: str | None
    subject: str | None
    finish: bool
    reason: str
    by: str | None
    tenant: str


def erase(wanted: Erasure, keys: str | None, database: str | None, json: bool) -> int:
    """Erase and tell of which runs; returns the exit code."""
    if [wanted.run_id is not None, wanted.subject is not None, wanted.finish].count(True) != 1:
        raise CallError(Problem("", "what is to be erased is not clear", "give a run, or --subject, or --finish"))
    who, patience = login() if wanted.by is None else wanted.by, store_patience()

    async def work() -> list[str]:
        async with WorkflowEngine(store, patience=patience, data_keys=keys) as engine:
            if wanted.run_id is not None:
                return await engine.erasures.run(wanted.run_id, wanted.tenant, wanted.reason, who)
            if wanted.subject is not None:
                return await engine.erasures.subject(wanted.subject, wanted.tenant, wanted.reason, who)
            return [run_of(stream)[1] for stream in await engine.erasures.finish()]

    with existing_store(database, migrate=True) as store:
        runs = run_until_stopped(work)
    if json:
        write_json({"tenant": wanted.tenant, "erased": runs})
    else:
        console().print(f"erased: {', '.join(map(plain, runs)) or 'nothing was left to erase'}", soft_wrap=True)
    return OK


def list_keys(keys: str | None, database: str | None, json: bool) -> int:
    """List the master keys; returns the exit code."""
    masters = MasterKeys.load(_file(keys))
    counts: Counter[str] = Counter()
    if missing_file(database) is None:
        with existing_store(database) as store:
            after = ""
            while page := store.data_keys.rows(after, 500):
                after = page[-1].stream
                counts.update(row.key_id for row in page if row.wrapped is not None)
    for key_id in sorted({*masters.ids, *counts}):
        here, current = key_id in masters.ids, key_id == masters.current
        if json:
            write_json({"key_id": key_id, "current": current, "here": here, "runs": counts[key_id]})
        else:
            told = "current" if current else "" if here else "not in the file"
            console().print(f"{plain(key_id)}  {counts[key_id]} runs  {told}".rstrip(), soft_wrap=True)
    return OK


def rotate(drop: bool, keys: str | None, database: str | None, json: bool) -> int:
    """Make a key current and wrap all data keys with it; returns the exit code."""
    path = _file(keys)
    wrapped = 0
    with alone(path):
        masters = MasterKeys.load(path).rotated() if path.exists() else MasterKeys.new()
        # Saved before it is used: what a key has wrapped must not outlive it.
        masters.save(path)
        if missing_file(database) is None:
            with existing_store(database, migrate=True) as store:
                wrapped = data_keys_of(store, path).rewrap()
        if drop:
            for key_id in masters.ids:
                masters = masters if key_id == masters.current else masters.without(key_id)
            masters.save(path)
    if json:
        write_json({"key_id": masters.current, "ids": masters.ids, "rewrapped": wrapped})
    else:
        console().print(f"current data key: {masters.current}; wrapped anew: {wrapped}", soft_wrap=True)
    return OK


def _file(keys: str | None) -> Path:
    named = keys or os.environ.get(DATA_KEYS)
    if not named:
        raise DataKeyError("no file of data keys is named: give --data-keys FILE or set REFOLD_DATA_KEYS")
    return Path(named)
