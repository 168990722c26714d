"""Stores whose runs go into archives and come back; also what child processes do, until they are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from refold import open_store
from refold.core.errors import RefoldError
from refold.eventstore.archiving import Archiving, Made
from refold.eventstore.bringing_back import BringingBack, archived_runs
from refold.eventstore.codec import references
from refold.eventstore.sealing import Sealer
from refold.eventstore.store import Notification, Store
from refold.eventstore.tiered import TieredStore
from refold.replay.verify import verify_run

LATER = 2**61
"""A time, in µs since the epoch, before which every run has ended that has ended at all."""


def opened(url: str, folder: Path | None = None) -> TieredStore:
    """The store at `url`, with its archives in `folder`, or where the settings say."""
    store = open_store(url, archives=folder)
    if not isinstance(store, TieredStore):
        raise TypeError(store)
    return store


def untold(done: int, of: int) -> None:
    """Nobody wants to know how far it is."""


def archive(store: TieredStore, limit: int | None = None, **options: Any) -> tuple[Archiving, list[Made]]:
    """Archive all runs that have ended."""
    work = Archiving(store, Sealer("build under test"), "Ada", "a test", **options)
    return work, list(work.run(work.due(LATER, limit), untold))


def bring_back(store: TieredStore, *streams: str, **options: Any) -> int:
    """Bring runs back from archives."""
    work = BringingBack(store, Sealer("build under test"), "Ada", "a test", **options)
    return work.run(archived_runs(store, streams), untold)


def ended_streams(store: TieredStore) -> list[str]:
    """The streams of the runs that have ended, and are hot."""
    work = Archiving(store, Sealer("build under test"), "Ada", "a test")
    return [due.stream for due in work.due(LATER, None)]


def paged(store: Store, size: int, until: int) -> list[Notification]:
    """The log up to a position, followed page by page."""
    found: list[Notification] = []
    while page := store.follow(found[-1].position if found else 0, size):
        assert len(page) <= size
        found += page
        if page[-1].position >= until:
            break
    return [each for each in found if each.position <= until]


def shared(store: Store, share: int, until: int) -> list[Notification]:
    """A third of the log up to a position, as one of several processes follows it, in three pieces."""
    ends = [0, until // 3, until // 2, until]
    return [each for start, end in pairwise(ends) for each in store.follow_share(start, end, share, 3)]


def readable(store: Store, until: int, size: int = 37) -> dict[str, Any]:
    """All that readers see of a log up to a position."""
    log = paged(store, size, until)
    streams = sorted({each.record.stream for each in log})
    hashes = sorted(references(each.record for each in log))
    listed: list[Any] = []
    while page := store.runs("default", listed[-1].position if listed else None, 7):
        listed += page
    return {
        "log": log,
        "shares": [shared(store, share, until) for share in range(3)],
        "read": {stream: store.read(stream) for stream in streams},
        "read together": store.read_all(streams),
        "parts": {stream: (store.read(stream, 2, 3), store.read(stream, 0, 1)) for stream in streams},
        "beyond": {stream: store.read(stream, 10**6) for stream in streams},
        "heads": store.heads(streams),
        "starts": store.starts([*streams, "default/nobody"]),
        "streams": store.streams("default"),
        "runs": listed,
        "large": {digest: store.large([digest, "none"]) for digest in hashes},
        "verified": {stream: _verdict(store, stream) for stream in store.streams("default")},
    }


def _verdict(store: Store, stream: str) -> Any:
    try:
        return verify_run(store, stream.partition("/")[2]).to_json()
    except RefoldError as error:
        return repr(error)


def hot_streams(store: TieredStore) -> set[str]:
    """The streams of which anything stands in the database's own tables."""
    return {each.record.stream for each in store.hot.follow(0, 10**9)}


def archive_and_die(url: str, folder: Path, point: str, count: int) -> None:
    """Archive all that has ended, and be killed with SIGKILL at a point of it; for child processes."""
    archive(opened(url, folder), reached=_killer(point, count))


def bring_back_and_die(url: str, folder: Path, streams: list[str], point: str, count: int) -> None:
    """Bring runs back, and be killed with SIGKILL at a point of it; for child processes."""
    bring_back(opened(url, folder), *streams, reached=_killer(point, count))


def _killer(point: str, count: int) -> Callable[[str], None]:
    left = [count]

    def reached(here: str) -> None:
        left[0] -= here == point
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached
