"""What an incident's archive holds of the runs and of the service, with no secret and nothing decrypted.

Events are the bytes that the log holds: what is sealed in them stays sealed, for no key is asked for.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from ..compose import BUILD
from ..core.errors import RefoldError
from ..core.ids import POLICIES, inbox_of, stream_of
from ..core.ports import EMPTY, Record
from ..eventstore.codec import open_envelope
from ..eventstore.store import Store
from ..projections.checkpoints import CHECKPOINTS
from ..projections.control_list import control_page, control_streams
from ..projections.golden_faults import GoldenFault
from ..projections.golden_files import GoldenFolder
from ..projections.golden_names import GOLDEN, SIGNATURE, safe_name
from ..projections.times import iso
from ..replay.chain import prove_chain
from ..replay.reading import large_of, snapshot

ENVIRONMENT = (
    "LANG", "LC_ALL", "PYTHONHASHSEED", "REFOLD_BUILD", "REFOLD_GOLDENS", "REFOLD_STORE_PATIENCE", "TZ",
    "WORKFLOW_EMERGENCY_STOP",
)  # fmt: skip
"""The environment variables that are told, and no others: most hold URLs, keys or secrets."""

_PACKAGES = ("eventsourcing", "orjson", "pydantic", "pydantic-core", "psycopg", "cryptography", "typer")
_PAGE = 500
_MOST_DECISIONS = 10_000
_SECRET = ("url", "secret")


def run_files(store: Store, tenant: str, run_id: str) -> Iterator[tuple[str, bytes]]:
    """The run's events and messages as stored, its large payloads, what the chain proof says, its checkpoint."""
    stream = stream_of(tenant, run_id)
    heads, (records, messages) = snapshot(store, [stream, inbox_of(stream)])
    large = large_of(store, [*records, *messages])
    yield "events.jsonl", b"".join(map(_line, records))
    if messages:
        yield "messages.jsonl", b"".join(map(_line, messages))
    for digest, data in sorted(large.items()):
        yield f"payloads/{digest}.json", data
    head = heads.get(stream, EMPTY)
    findings = prove_chain(stream, records, head, large)
    told = {"stream": stream, "version": head.version, "hash": head.hash, "events": len(records)}
    yield "chain.json", _json({**told, "findings": [finding.to_json() for finding in findings]})
    of = next((each for each in store.tables.generations(CHECKPOINTS.name) if each.active), None)
    rows = [] if of is None else store.tables.rows(of, CHECKPOINTS.name, {"tenant": tenant, "run_id": run_id}, 1)
    yield "checkpoint.json", _json([dict(zip(CHECKPOINTS.columns, row, strict=True)) for row in rows])


def golden_files(goldens: GoldenFolder, tenant: str, run_id: str) -> Iterator[tuple[str, bytes]]:
    """The run's golden and its signature as they lie there; nothing where there is none."""
    try:
        stored = goldens.read(tenant, run_id)
    except GoldenFault:
        return
    name = safe_name(run_id)
    yield f"golden/{name}{GOLDEN}", stored.data
    if stored.signature is not None:
        yield f"golden/{name}{SIGNATURE}", stored.signature


def began(store: Store, tenant: str, run_id: str) -> int | None:
    """When the run began, in µs since the epoch; None where that cannot be read."""
    try:
        records = store.read(stream_of(tenant, run_id), 0, 1)
        return open_envelope(records[0]).at if records else None
    except RefoldError:
        return None


def decisions(store: Store, tenant: str, since: int) -> bytes:
    """What was decided administratively since then, as lines of JSON, the earliest first; URLs are left out."""
    rows: list[dict[str, Any]] = []
    cursor: int | None = None
    while len(rows) < _MOST_DECISIONS:
        page = control_page(store, control_streams(tenant, True), _PAGE, cursor)
        rows += [_safe(row) for row in page.rows]
        if page.next_cursor is None or int(page.next_cursor) < since:
            break
        cursor = int(page.next_cursor)
    first = iso(max(since, 0))
    return b"".join(_json_line(row) for row in reversed(rows) if str(row["at"]) >= first)


def policies(store: Store) -> Iterator[tuple[str, bytes]]:
    """Every policy that was ever adopted, as its event; the runs' events say which one held."""
    records = store.read(POLICIES)
    if records:
        yield "policies.jsonl", b"".join(map(_line, records))
        for digest, data in sorted(large_of(store, records).items()):
            yield f"policies/{digest}.json", data


def host() -> dict[str, Any]:
    """Program, Python, platform, versions of libraries, and the environment variables that may be told."""
    return {
        "program": BUILD,
        "python": sys.version,
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cpus": os.cpu_count(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _line(record: Record) -> bytes:
    """An event, with the bytes that are stored of it. What is no line of JSON is told in hexadecimal."""
    about = {"stream": record.stream, "version": record.version, "topic": record.topic}
    if b"\n" in record.state or not record.state.startswith(b"{"):
        return _json_line({**about, "bytes": record.state.hex()})
    return orjson.dumps(about)[:-1] + b',"state":' + record.state + b"}\n"


def _json_line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)


def _safe(row: dict[str, Any]) -> dict[str, Any]:
    what = {name: "…" if any(word in name for word in _SECRET) else value for name, value in row["what"].items()}
    return {**row, "what": what}
