"""Runs folded as the log is followed, and the rows that come of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import CallError, IntegrityError, StoreError
from ..core.events import END_TOPICS, Event
from ..core.ids import CONTROL, run_of
from ..core.ports import Record
from ..core.state import evolve, start
from ..eventstore.codec import references
from ..eventstore.store import Notification, Store
from ..eventstore.tables import Parked, Row, RunKey
from .model import CountingProjection, FollowedRun, GrowingProjection, Projection
from .opened import OpenedEvents, opened_of

CACHED_RUNS = 10_000
"""How many open runs are kept folded; others are folded again from the log when they go on."""


_PAGE = 1000


class BadEventError(IntegrityError):
    """An event that a projection cannot take in: where it is, and why."""

    def __init__(self, stream: str, version: int, position: int, reason: str):
        self.stream, self.version, self.position, self.reason = stream, version, position, reason
        super().__init__(f"event {version} of {stream} at position {position} cannot be taken in: {reason}")


@dataclass(slots=True)
class Changes:
    """What a page of the log changes in a projection's tables: `by_run` is replaced, `grown` is put in by key."""

    by_run: dict[RunKey, Mapping[str, Sequence[Row]]] = field(default_factory=dict[RunKey, Mapping[str, Sequence[Row]]])
    grown: dict[str, dict[Row, Row]] = field(default_factory=dict[str, dict[Row, Row]])
    parked: list[Parked] = field(default_factory=list[Parked])
    unparked: list[str] = field(default_factory=list[str])
    noted: list[Any] = field(default_factory=list[Any])
    """What a `CountingProjection` is to count once the position has moved."""

    def rows(self) -> dict[str, list[Row]]:
        """The rows of all runs, by table; no two of a table have the same key."""
        found = {table: list(added.values()) for table, added in self.grown.items()}
        for rows in self.by_run.values():
            for table, added in rows.items():
                found.setdefault(table, []).extend(added)
        return found


class _Filler:
    """One projection, as it is asked while runs are folded."""

    def __init__(self, projection: Projection):
        self.projection = projection
        self.growing = projection if isinstance(projection, GrowingProjection) else None
        self.counting = projection if isinstance(projection, CountingProjection) else None
        self._keys = {table.name: table.key for table in projection.tables}

    def note(self, run: FollowedRun, event: Event, changes: Changes) -> None:
        """Note the rows that a growing projection makes of an event, and what is to be counted."""
        if self.counting is not None:
            changes.noted.extend(self.counting.noted(run, event))
        if self.growing is None:
            return
        for table, added in self.growing.taken(run, event).items():
            noted, key = changes.grown.setdefault(table, {}), self._keys[table]
            noted.update((row[:key], row) for row in added)

    def rows(self, run: FollowedRun, is_last: bool, ends: bool) -> Mapping[str, Sequence[Row]] | None:
        """The run's rows, if this is a moment, and no later one of the page will replace them for certain."""
        projection = self.projection
        if self.growing or self.counting or not (is_last or not (projection.always or ends)):
            return None
        return projection.rows(run) if projection.always or projection.is_due(run) else None


class Follower:
    """Turns pages of the log into changes, for one projection or for several that stand at the same position; keeps
    the runs that go on folded.

    After anything has gone wrong with a page, `forget` must be called: the runs may have gone further than the tables.
    """

    def __init__(
        self, store: Store, *projections: Projection, cached: int = CACHED_RUNS, opened: OpenedEvents | None = None
    ):
        """`opened` is shared with other followers of this process."""
        self._store = store
        self._open = opened_of if opened is None else opened.open
        self._fillers = [_Filler(projection) for projection in projections]
        self._cached = cached
        self._runs: OrderedDict[str, FollowedRun] = OrderedDict()
        self._large: dict[str, bytes] = {}

    def forget(self) -> None:
        """Keep no run folded."""
        self._runs.clear()

    def changes_of_each(self, page: Sequence[Notification]) -> list[Changes]:
        """What `page` changes for each of the projections, of which none has left anything aside.

        Raises BadEventError for an event that any of them cannot take in, and StoreError.
        """
        changes = [Changes() for _ in self._fillers]
        streams = self._streams(page)
        self._load(streams, ())
        for stream, numbered in streams.items():
            self._take(stream, numbered, changes)
        self._look_beside(page, changes)
        self._shrink()
        return changes

    def changes(self, page: Sequence[Notification], parked: Sequence[Parked]) -> Changes:
        """What `page` changes for the only projection, while the streams of `parked` are left aside, or tried again.

        Raises BadEventError for the first event that a strict projection cannot take in, and StoreError.
        """
        changes = Changes()
        aside = {each.stream: each for each in parked}
        streams = self._streams(page)
        bad: list[BadEventError] = []
        for each in parked:
            if each.retry:
                self._retried(each, changes)
        self._load(streams, aside.keys())
        for stream, numbered in streams.items():
            if stream in aside:
                if stream not in changes.unparked:
                    self._left_aside(aside[stream], numbered[-1].record.version, changes)
                    continue
                self._load({stream: numbered}, ())
            try:
                self._take(stream, numbered, [changes])
            except BadEventError as error:
                bad.append(error)
        if bad and self._fillers[0].projection.strict:
            raise min(bad, key=lambda error: error.position)
        self._look_beside(page, [changes])
        for error in bad if self._fillers[0].counting is None else ():
            self._park(error, streams[error.stream][-1].record.version, changes)
        self._shrink()
        return changes

    def _streams(self, page: Sequence[Notification]) -> dict[str, list[Notification]]:
        hashes = references(each.record for each in page)
        self._large = self._store.large(sorted(hashes)) if hashes else {}
        return _by_stream(page)

    def _look_beside(self, page: Sequence[Notification], changes: Sequence[Changes]) -> None:
        """Note what is to be counted of control streams; what cannot be read of them is for proofs to find."""
        for filler, changed in zip(self._fillers, changes, strict=True):
            if filler.counting is None:
                continue
            for each in page:
                if each.record.topic in filler.counting.beside and each.record.stream.startswith(f"{CONTROL}/"):
                    with suppress(IntegrityError):
                        event, _ = self._open(each.record, self._large)
                        changed.noted.extend(filler.counting.noted_beside(event))

    def _shrink(self) -> None:
        """Forget runs beyond those that may be kept; after a page, for among them are those that it goes on with."""
        while len(self._runs) > self._cached:
            self._runs.popitem(last=False)

    def _take(self, stream: str, numbered: Sequence[Notification], changes: Sequence[Changes]) -> None:
        """Apply the events of one run, and note its rows as of the last moment among them, or those of each event."""
        run = self._runs.get(stream)
        pairs = list(zip(self._fillers, changes, strict=True))
        last = numbered[-1].record
        ends = last.topic in END_TOPICS
        number = numbered[0]
        noted: list[tuple[Changes, Mapping[str, Sequence[Row]]]] = []
        try:
            for number in numbered:
                run, event = self._applied(run, number.record, number.position)
                is_last = number.record is last
                for filler, changed in pairs:
                    filler.note(run, event, changed)
                    rows = filler.rows(run, is_last, ends)
                    if rows is not None:
                        noted.append((changed, rows))
        except StoreError:
            raise
        except Exception as error:
            self._runs.pop(stream, None)
            why = str(error) if isinstance(error, IntegrityError) else f"{type(error).__name__}: {error}"
            raise BadEventError(stream, number.record.version, number.position, why) from error
        if run is None:
            return
        self._keep(run)
        for changed, rows in noted:
            changed.by_run[run.tenant, run.run_id] = rows

    def _applied(self, run: FollowedRun | None, record: Record, position: int) -> tuple[FollowedRun, Event]:
        event, build = self._open(record, self._large)
        run = _evolved(run, record, position, event)
        run.build = build
        return run, event

    def _keep(self, run: FollowedRun) -> None:
        if run.state.end is not None:
            self._runs.pop(run.stream, None)
            return
        self._runs[run.stream] = run
        self._runs.move_to_end(run.stream)

    def _load(self, streams: Mapping[str, Sequence[Notification]], aside: Iterable[str]) -> None:
        """Fold those runs that go on here and are not kept, as far as this page does not tell of them."""
        known = self._runs.keys() | set(aside)
        wanted = {
            stream: numbered[0].record.version - 1
            for stream, numbered in streams.items()
            if stream not in known and numbered[0].record.version > 1
        }
        starts = self._store.starts(sorted(wanted)) if wanted else {}
        for stream, version in wanted.items():
            run = self._folded(stream, version, starts.get(stream, 0))
            if run is not None:
                self._runs[stream] = run

    def _folded(self, stream: str, version: int, first: int) -> FollowedRun | None:
        """The run after event `version`, from the log; None if it cannot be told. `_take` then finds out why."""
        run, unwanted = None, Changes()
        try:
            for record in self._records(stream, version):
                run, event = self._applied(run, record, first)
                for filler in self._fillers:
                    filler.note(run, event, unwanted)
        except StoreError:
            raise
        except Exception:
            return None
        return run if run is not None and run.version == version else None

    def _records(self, stream: str, version: int) -> Iterable[Record]:
        done = 0
        while done < version:
            page = self._store.read(stream, done, min(_PAGE, version - done))
            if not page:
                return
            hashes = references(page)
            if hashes:
                self._large = {**self._large, **self._store.large(sorted(hashes))}
            yield from (record for record in page if record.version <= version)  # There may be holes.
            done = page[-1].version

    def _until(self, stream: str, version: int, changes: Changes) -> None:
        """Note a run's rows as of its last moment up to event `version`, from the log. Raises BadEventError."""
        first = self._store.starts([stream]).get(stream, 0)
        records = list(self._records(stream, version))
        if records:
            self._runs.pop(stream, None)
            self._take(stream, [Notification(first, record) for record in records], [changes])

    def _park(self, error: BadEventError, seen: int, changes: Changes) -> None:
        """Leave the run aside, with the rows it had before the bad event; those that have grown are there already."""
        if self._fillers[0].growing is None:
            with suppress(BadEventError):  # Then the rows are those of the last batch.
                self._until(error.stream, error.version - 1, changes)
        self._runs.pop(error.stream, None)
        changes.parked.append(Parked(error.stream, error.version, error.position, _plain(error.reason), seen))

    def _left_aside(self, parked: Parked, seen: int, changes: Changes) -> None:
        noted = next((each for each in changes.parked if each.stream == parked.stream), parked)
        if noted is not parked:
            changes.parked.remove(noted)
        changes.parked.append(noted._replace(seen=seen))

    def _retried(self, parked: Parked, changes: Changes) -> None:
        try:
            self._until(parked.stream, parked.seen, changes)
            changes.unparked.append(parked.stream)
        except BadEventError as error:
            again = parked._replace(version=error.version, reason=_plain(error.reason), retry=False)
            changes.parked.append(again)


def _evolved(run: FollowedRun | None, record: Record, position: int, event: Event) -> FollowedRun:
    if run is None:
        tenant, run_id = run_of(record.stream)
        if record.version != 1:
            raise IntegrityError(f"event {record.version} of {record.stream} comes without those before it")
        return FollowedRun(record.stream, tenant, run_id, position, 1, event.at, start(event))
    if record.version != run.version + 1:
        raise IntegrityError(f"event {record.version} of {record.stream} follows event {run.version}")
    evolve(run.state, event)
    run.version, run.at = record.version, event.at
    return run


def _plain(reason: str) -> str:
    return reason.replace("\0", "␀")[:2000]


def _by_stream(page: Sequence[Notification]) -> dict[str, list[Notification]]:
    """The runs' events by stream, in the order in which the streams come first; messages and control streams not."""
    found: dict[str, list[Notification]] = {}
    for each in page:
        stream = each.record.stream
        known = found.get(stream)
        if known is not None:
            known.append(each)
        elif _is_run(stream):
            found[stream] = [each]
    return found


def _is_run(stream: str) -> bool:
    if stream.count("/") != 1:
        return False
    try:
        run_of(stream)
    except CallError:
        return False
    return True
