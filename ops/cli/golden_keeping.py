"""`refold golden rotate-key`, `resign`, `retention`, `archive` and `restore`: each leaves a record of who did it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, contextmanager

from ...compose import WorkflowEngine, open_store
from ...core.durations import seconds_of
from ...core.errors import CallError, Problem
from ...core.golden_events import (
    GoldenArchived,
    GoldenArchiveResigned,
    GoldenEvent,
    GoldenKeyRotated,
    GoldenResigned,
    GoldenRestored,
    GoldenRetentionSet,
)
from ...core.golden_log import GoldenLog
from ...core.ids import check_tenant
from ...core.runtime.admission import MAX_LABEL, check_text
from ...eventstore.secret_file import alone
from ...eventstore.store import Store
from ...projections.golden_archives import Archive
from ...projections.golden_decisions import GoldenDecisions
from ...projections.golden_keys import GoldenKeys, new_secret
from ...projections.golden_upkeep import (
    RETENTION_SECONDS,
    archive,
    check_recorded,
    due,
    finish_archiving,
    resign_all,
    restore,
)
from ..settings import store_patience
from .faults import BROKEN, OK
from .goldens import Place
from .output import console, plain, write_json
from .progress import watched
from .reading import existing_store
from .signals import run_until_stopped
from .specs import login
from .streams import note


def rotate_key(place: Place, key_id: str | None, overlap: str, by: str | None) -> int:
    """Make a key current, recording it first: a key that nobody recorded is never in use. Returns the exit code."""
    path, who, now = place.key_file(), _who(by), _now()
    overlap_seconds = seconds_of(overlap)
    with alone(path):
        before = place.load() if path.exists() else None
        with _decisions(place) as decide:
            # A key that was recorded by a process which died before it saved it will never be.
            taken = decide.recorded(None).key_ids.union(() if before is None else before.ids)
            name = key_id or _next(taken)
            if name in taken:
                raise CallError(Problem("", f"there was a key {name!r} already", "choose another id"))
            if before is not None:
                rotated, replaced = before.rotated(name, now, overlap_seconds), before.current
            else:
                rotated, replaced = GoldenKeys(name, {name: new_secret()}), None
            retired_at = None if replaced is None else rotated.ids[replaced]
            decide(lambda at: GoldenKeyRotated(at, rotated.current, replaced, retired_at, who))
        rotated.save(path)
    if place.json:
        write_json({"key_id": rotated.current, "replaced": replaced, "retired_at": retired_at})
    else:
        console().print(f"current key: {rotated.current}", soft_wrap=True)
        if replaced is not None:
            note(f"{replaced} verifies for {overlap} more; now: refold golden resign")
    return OK


def resign(place: Place, by: str | None) -> int:
    """Sign everything with the current key; returns the exit code."""
    recorder, who = place.recorder(), _who(by)
    key_id = recorder.keys.current
    with _decisions(place) as decide, watched("signing") as told:

        def replaced(old: str, made: Archive) -> None:
            name, digest, _ = made
            runs = len(made.goldens)
            decide(lambda at: GoldenArchiveResigned(at, place.tenant, name, old, runs, digest, key_id, who))

        log = decide.recorded(place.tenant)
        broken, signed = resign_all(recorder, place.tenant, _now(), told, replaced, log)
        if signed:
            decide(lambda at: GoldenResigned(at, place.tenant, key_id, signed, who))
    if place.json:
        write_json({"tenant": place.tenant, "key_id": recorder.keys.current, "signed": signed, "broken": broken})
    else:
        console().print(f"signed with {recorder.keys.current}: {signed}", soft_wrap=True)
    for name in broken:
        note(f"left as it is, for it does not verify: {plain(name)}")
    return BROKEN if broken else OK


def retention(place: Place, given: str | None, by: str | None) -> int:
    """Show or set the retention; returns the exit code."""
    check_tenant(place.tenant)
    if given is None:
        seconds = _retention(place)
    else:
        seconds, who = seconds_of(given), _who(by)
        with _decisions(place) as decide:
            decide(lambda at: GoldenRetentionSet(at, place.tenant, seconds, who))
    if place.json:
        write_json({"tenant": place.tenant, "seconds": seconds})
    else:
        console().print(f"retention: {seconds / 86_400:g} days", soft_wrap=True)
    return OK


def archive_old(place: Place, older: str | None, by: str | None) -> int:
    """Archive what is past its retention, or older than that; returns the exit code."""
    recorder, who, now = place.recorder(), _who(by), _now()
    seconds = _retention(place) if older is None else seconds_of(older)
    recorder.storage.sweep(place.tenant, now / 1_000_000)
    before = now - round(seconds * 1_000_000)

    def archives() -> Iterator[Archive]:
        yield from finish_archiving(recorder, place.tenant, decide.recorded(place.tenant), now, before)
        left = due(recorder, place.tenant, before)
        if len(left) < len(old):
            note(f"in an archive already, and removed: {len(old) - len(left)}")
        yield from archive(recorder, place.tenant, left, now, told)

    old = due(recorder, place.tenant, before)
    with _decisions(place) as decide, watched("archiving") as told:
        for made in archives():
            runs, name, digest = len(made.goldens), made.name, made.sha256
            event = decide(lambda at, n=name, r=runs, d=digest: GoldenArchived(at, place.tenant, n, r, d, who))
            if place.json:
                write_json({"tenant": place.tenant, "archive": name, "runs": runs, "sha256": digest, "at": event.at})
            else:
                console().print(f"{name}  {runs} runs", soft_wrap=True)
    if not old and not place.json:
        note("nothing is that old")
    return OK


def restore_archive(place: Place, name: str, runs: list[str], by: str | None) -> int:
    """Bring goldens back from an archive; returns the exit code."""
    recorder, who = place.recorder(), _who(by)
    with _decisions(place) as decide:
        check_recorded(recorder, place.tenant, name, decide.recorded(place.tenant).archives.get(name))
        digest, restored = restore(recorder, place.tenant, name, _now(), runs or None)
        decide(lambda at: GoldenRestored(at, place.tenant, name, len(restored), digest, who))
    if place.json:
        write_json({"tenant": place.tenant, "archive": name, "runs": restored})
    else:
        console().print(f"restored: {len(restored)}", soft_wrap=True)
    return OK


def _retention(place: Place) -> float:
    with existing_store(place.database) as store:
        seconds = GoldenDecisions(store).of(place.tenant).retention_seconds
    return RETENTION_SECONDS if seconds is None else seconds


class _Decide:
    """Records decisions in the log, and reads those recorded so far."""

    def __init__(self, store: Store):
        self._store = store
        self._patience = store_patience()

    def __call__(self, made: Callable[[int], GoldenEvent]) -> GoldenEvent:
        async def work() -> GoldenEvent:
            async with WorkflowEngine(self._store, patience=self._patience) as engine:
                return await engine.goldens.record(made)

        return run_until_stopped(work)

    def recorded(self, tenant: str | None) -> GoldenLog:
        return GoldenDecisions(self._store).of(tenant)


@contextmanager
def _decisions(place: Place) -> Generator[_Decide]:
    check_tenant(place.tenant)
    store: Store = open_store(place.database)
    with closing(store):
        yield _Decide(store)


def _next(taken: Collection[str]) -> str:
    number = len(taken) + 1
    while f"k{number}" in taken:
        number += 1
    return f"k{number}"


def _who(by: str | None) -> str:
    return login() if by is None else check_text("--by", by, MAX_LABEL)


def _now() -> int:
    return time.time_ns() // 1000
