"""`refold golden rotate-key`, `resign`, `retention`, `archive` and `restore`: each leaves a record of who did it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager

from ...compose import WorkflowEngine, open_store
from ...core.durations import seconds_of
from ...core.golden_events import (
    GoldenArchived,
    GoldenEvent,
    GoldenKeyRotated,
    GoldenResigned,
    GoldenRestored,
    GoldenRetentionSet,
)
from ...core.ids import check_tenant
from ...core.runtime.admission import MAX_LABEL, check_text
from ...eventstore.store import Store
from ...projections.golden_keys import GoldenKeys, new_secret
from ...projections.golden_upkeep import RETENTION_SECONDS, archive, due, resign_all, restore
from ..settings import store_patience
from .faults import BROKEN, OK
from .goldens import Place, watched
from .output import console, plain, write_json
from .reading import existing_store
from .signals import run_until_stopped
from .specs import login
from .streams import note


def rotate_key(place: Place, key_id: str | None, overlap: str, by: str | None) -> int:
    """Make a key current, recording it first: a key that nobody recorded is never in use. Returns the exit code."""
    path, who, now = place.key_file(), _who(by), _now()
    if path.exists():
        before = place.load()
        rotated = before.rotated(key_id or _next(before), now, seconds_of(overlap))
        replaced = before.current
    else:
        name = key_id or "k1"
        rotated, replaced = GoldenKeys(name, {name: new_secret()}), None
    retired_at = None if replaced is None else rotated.ids[replaced]
    with _decisions(place) as decide:
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
    with watched("signing") as told:
        broken, signed = resign_all(recorder, place.tenant, _now(), told)
    if signed:
        with _decisions(place) as decide:
            decide(lambda at: GoldenResigned(at, place.tenant, recorder.keys.current, signed, who))
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
    names = due(recorder, place.tenant, now - round(seconds * 1_000_000))
    if not names and not place.json:
        note("nothing is that old")
    with _decisions(place) as decide, watched("archiving") as told:
        for made in archive(recorder, place.tenant, names, now, told):
            runs, name, digest = len(made.goldens), made.name, made.sha256
            event = decide(lambda at, n=name, r=runs, d=digest: GoldenArchived(at, place.tenant, n, r, d, who))
            if place.json:
                write_json({"tenant": place.tenant, "archive": name, "runs": runs, "sha256": digest, "at": event.at})
            else:
                console().print(f"{name}  {runs} runs", soft_wrap=True)
    return OK


def restore_archive(place: Place, name: str, runs: list[str], by: str | None) -> int:
    """Bring goldens back from an archive; returns the exit code."""
    recorder, who = place.recorder(), _who(by)
    digest, goldens = restore(recorder, place.tenant, name, _now(), runs or None)
    with _decisions(place) as decide:
        decide(lambda at: GoldenRestored(at, place.tenant, name, len(goldens), digest, who))
    if place.json:
        write_json({"tenant": place.tenant, "archive": name, "runs": [golden.run_id for golden in goldens]})
    else:
        console().print(f"restored: {len(goldens)}", soft_wrap=True)
    return OK


def _retention(place: Place) -> float:
    async def work() -> float | None:
        async with WorkflowEngine(store, patience=store_patience()) as engine:
            return (await engine.goldens.read(place.tenant)).retention_seconds

    with existing_store(place.database) as store:
        seconds = run_until_stopped(work)
    return RETENTION_SECONDS if seconds is None else seconds


_Decide = Callable[[Callable[[int], GoldenEvent]], GoldenEvent]


@contextmanager
def _decisions(place: Place) -> Generator[_Decide]:
    """Gives what records a decision in the log."""
    check_tenant(place.tenant)
    patience = store_patience()

    def decide(made: Callable[[int], GoldenEvent]) -> GoldenEvent:
        async def work() -> GoldenEvent:
            async with WorkflowEngine(store, patience=patience) as engine:
                return await engine.goldens.record(made)

        return run_until_stopped(work)

    store: Store = open_store(place.database)
    with closing(store):
        yield decide


def _next(keys: GoldenKeys) -> str:
    number = len(keys.ids) + 1
    while f"k{number}" in keys.ids:
        number += 1
    return f"k{number}"


def _who(by: str | None) -> str:
    return login() if by is None else check_text("--by", by, MAX_LABEL)


def _now() -> int:
    return time.time_ns() // 1000
