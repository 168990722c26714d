"""Looks at runs as they stand, with entity tags by which clients need not be told again what they know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

from ..core.errors import RunNotFoundError
from ..core.ids import ERASURES, stream_of
from ..core.ports import EMPTY, Head
from ..eventstore.rebuild import is_held
from ..eventstore.store import Store
from ..projections.run_view import RunView, view_of
from ..projections.worker_reports import reports
from .etags import names

SHORT = 200
"""Runs of up to so many events are looked at together; of a longer one nobody waits for the fold but who asked."""


class Wanted(NamedTuple):
    """A run that somebody wants to see; `known` is what their If-None-Match says, empty for nothing."""

    tenant: str
    run_id: str
    known: str = ""


class Seen(NamedTuple):
    """What there is to see: the tag, and the run; no run for whoever has the tag already.

    The tag is of the run's head, of whether somebody works on it, and of what was erased. It is weak, for why no worker
    would take the run up is not in it.
    """

    tag: str
    view: RunView | None


class LongRunError(Exception):
    """The run is to be looked at by itself."""


def look(store: Store, wanted: Wanted) -> Seen:
    """A run as it stands. Raises RunNotFoundError, and IntegrityError when its log cannot be folded."""
    (seen,) = looks(store, [wanted], None)
    if isinstance(seen, Exception):
        raise seen
    return seen


def looks(store: Store, wanted: Sequence[Wanted], longest: int | None = SHORT) -> list[Seen | Exception]:
    """Several runs as they stand, in two trips to the store for those that have ended; for each that cannot be told
    the error, LongRunError where there are more than `longest` events.

    The heads are asked for first: what is then newer than its tag is told again, not left out.
    """
    streams = [stream_of(each.tenant, each.run_id) for each in wanted]
    heads = store.heads([*streams, ERASURES])
    erased = heads.get(ERASURES, EMPTY)
    has = {each: _still(store, each, stream, heads, erased) for each, stream in zip(wanted, streams, strict=True)}
    read = {stream for each, stream in zip(wanted, streams, strict=True) if stream in heads and has[each] is None}
    records = store.read_all([each for each in read if longest is None or heads[each].version <= longest])
    workers = cache(partial(reports, store))

    def see(each: Wanted, stream: str) -> Seen | Exception:
        if stream not in heads:
            return RunNotFoundError(f"no run {each.run_id!r} of tenant {each.tenant!r}")
        if (tag := has[each]) is not None:
            return Seen(tag, None)
        if stream not in records:
            return LongRunError()
        try:
            view = view_of(store, stream, records[stream], workers, erased)
        except Exception as error:  # It is told to whoever asked for this run; the others get theirs.
            return error
        return Seen(_tag(heads[stream], view.held, erased), view)

    return [see(each, stream) for each, stream in zip(wanted, streams, strict=True)]


def _still(store: Store, wanted: Wanted, stream: str, heads: dict[str, Head], erased: Head) -> str | None:
    """The tag of the run, if that is one which is known already."""
    if not wanted.known or stream not in heads:
        return None
    tag = _tag(heads[stream], is_held(store.dispatch.lease(stream)), erased)
    return tag if names(wanted.known, tag) else None


def _tag(head: Head, held: bool, erased: Head) -> str:
    return f'W/"{head.version}-{(head.hash or "")[:16]}-{int(held)}-{erased.version}"'
