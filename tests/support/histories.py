"""Recorded runs of every version of the events, as files: written once by the program of their time, read for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from refold.core.events import Event
from refold.core.ports import Head, Record
from refold.eventstore.codec import decode

from .root_package import ROOT

FOLDER = ROOT / "tests" / "histories"


@dataclass(frozen=True)
class History:
    """One run as it was stored: its records by stream, its heads and large payloads, and how it ended."""

    name: str
    run_id: str
    status: str
    workflow_hash: str
    records: dict[str, list[Record]]
    heads: dict[str, Head]
    large: dict[str, bytes]

    @property
    def stream(self) -> str:
        """The run's own stream."""
        return f"default/{self.run_id}"

    def all_records(self) -> Iterator[Record]:
        """Of the run and of its inbox."""
        for records in self.records.values():
            yield from records


@cache
def histories() -> tuple[History, ...]:
    """Every history there is, by name."""
    return tuple(_read(str(path.relative_to(FOLDER))) for path in sorted(FOLDER.glob("*/*.jsonl")))


def examples() -> list[tuple[Record, Event]]:
    """One record of each topic, with its event."""
    found: dict[str, tuple[Record, Event]] = {}
    for history in histories():
        for record in history.all_records():
            found.setdefault(record.topic, (record, decode(record, history.large)))
    return [found[topic] for topic in sorted(found)]


def _read(name: str) -> History:
    header, *lines = map(json.loads, (FOLDER / name).read_text(encoding="utf-8").splitlines())
    records: dict[str, list[Record]] = {}
    for line in lines:
        record = Record(line["stream"], line["version"], line["topic"], line["state"].encode())
        records.setdefault(record.stream, []).append(record)
    return History(
        name=name,
        run_id=header["run_id"],
        status=header["status"],
        workflow_hash=header["workflow_hash"],
        records=records,
        heads={stream: Head(*head) for stream, head in header["heads"].items()},
        large={digest: data.encode() for digest, data in header["large"].items()},
    )
