"""`refold events`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from ...core.errors import IntegrityError, RunNotFoundError
from ...core.ids import stream_of
from ...core.ports import Record
from ...eventstore.chain import event_hash
from ...eventstore.codec import open_envelope
from ...eventstore.store import Store
from .faults import BROKEN, OK
from .output import console, excerpt, iso, plain, write_json
from .reading import existing_store

_PAGE = 500
_HASH_SHOWN = 12
_TELLING = ("workflow_type", "step_id", "because", "error_code", "reason", "message")
_STYLES = {"completed": "green", "failed": "red", "cancelled": "red", "timed_out": "red", "attempt_failed": "yellow"}


def show_events(run_id: str, after: int, limit: int | None, tenant: str, database: str | None, json: bool) -> int:
    """Write the events of a run as they are stored; returns the exit code, not 0 if one cannot be read."""
    stream = stream_of(tenant, run_id)
    screen = console()
    code = OK
    with existing_store(database) as store:
        if not store.heads([stream]) and not store.read(stream, 0, 1):
            raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
        for record in _records(store, stream, after, limit):
            told = _told(record)
            if "fault" in told:
                code = BROKEN
            if json:
                write_json(told)
            else:
                _print(screen, told)
    return code


def _records(store: Store, stream: str, after: int, limit: int | None) -> Iterator[Record]:
    left = limit
    while left is None or left > 0:
        page = store.read(stream, after, _PAGE if left is None else min(left, _PAGE))
        yield from page
        if not page:
            return
        after = page[-1].version
        left = None if left is None else left - len(page)


def _told(record: Record) -> dict[str, Any]:
    """All that is stored of an event: enough to compute its hash again."""
    digest = event_hash(record.stream, record.version, record.topic, record.state)
    told: dict[str, Any] = {"version": record.version, "topic": record.topic}
    try:
        envelope = open_envelope(record)
    except IntegrityError as error:
        return {**told, "fault": str(error), "time": None, "data": None, "hash": digest, "predecessor": None}
    return {
        **told,
        "time": iso(envelope.at),
        "data": envelope.data,
        "hash": digest,
        "predecessor": envelope.prev,
        "schema": envelope.v,
        "nonce": envelope.nonce,
        "build": envelope.build,
    }


def _print(screen: Console, told: dict[str, Any]) -> None:
    """One line: number, time of day, topic, hash, and what matters most of the data."""
    topic = plain(told["topic"])
    line = Text(f"{told['version']:>5}  ").append(plain((told["time"] or "?")[11:23] + "  "), "dim")
    line.append(f"{topic:<20}", _STYLES.get(topic.partition(".")[2], ""))
    line.append(f"  {told['hash'][:_HASH_SHOWN]}  ", "dim").append(plain(told.get("fault") or _gist(told["data"])))
    if screen.is_terminal:
        line.truncate(screen.width, overflow="ellipsis")
    screen.print(line, soft_wrap=True)


def _gist(data: dict[str, Any]) -> str:
    words = [str(data[name]) for name in _TELLING if data.get(name)]
    rest = {name: data[name] for name in ("inputs", "inputs_ref", "output", "output_ref") if data.get(name) is not None}
    return "  ".join([*words, *(f"{name} {excerpt(orjson.dumps(value), 200)}" for name, value in rest.items())])
