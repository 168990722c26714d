"""Sweeps of a log in memory; fulfils `refold.eventstore.sweep.SweepStore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..core.ports import Head, Record
from .sweep import Notification


class MemorySweep:
    """Reads the store's own lists: `log` gives all records in order of position, `heads` the head rows."""

    def __init__(self, log: Callable[[], Sequence[Record]], heads: Mapping[str, Head]):
        self._log = log
        self._heads = heads

    def begun(self, tenant: str, after: int, until: int, limit: int) -> list[Notification]:
        """See `SweepStore.begun`."""
        found = (Notification(at, record) for at, record in enumerate(self._log(), 1) if after < at <= until)
        return [each for each in found if _starts(each.record) and each.record.stream.startswith(f"{tenant}/")][:limit]

    def names(self, tenant: str, after: str, limit: int) -> list[str]:
        """See `SweepStore.names`."""
        known = {*self._heads, *(record.stream for record in self._log())}
        return sorted(name for name in known if name.startswith(f"{tenant}/") and name > after)[:limit]

    def begun_among(self, streams: Sequence[str]) -> dict[str, int]:
        """See `SweepStore.begun_among`."""
        wanted = set(streams)
        return {each.stream: at for at, each in enumerate(self._log(), 1) if _starts(each) and each.stream in wanted}

    def read_all(self, streams: Sequence[str]) -> list[Notification]:
        """See `SweepStore.read_all`."""
        wanted = set(streams)
        found = [Notification(at, record) for at, record in enumerate(self._log(), 1) if record.stream in wanted]
        return sorted(found, key=lambda each: (each.record.stream, each.record.version))


def _starts(record: Record) -> bool:
    return record.version == 1 and record.topic == "run.started"
