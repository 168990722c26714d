"""An attacker with the database's password: rows are changed past the store, by plain SQL.

An attack gives a stream other records; `Crime.stage` puts them in place for a moment, and everything back afterwards.
`rechained` is the diligent attacker, who computes the chain anew and the head with it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from refold import Failure, SkillRegistry, WorkflowEngine, open_store
from refold.core.canonical import canonical_json, decode
from refold.core.ports import EMPTY, Head, Record
from refold.eventstore.chain import event_hash
from refold.eventstore.store import Store

from .own_codes import OWN_CODES
from .postgres import fresh_database
from .shared_postgres import shared_server_url

LARGE = "x" * 70_000

SPECS: Mapping[str, dict[str, Any]] = {
    "linear": {
        "workflow_type": "linear",
        "inputs": {"who": "Ada"},
        "steps": [
            {"step_id": "greet", "skill_id": "echo", "inputs": {"text": "Hello ${inputs.who}"}},
            {"step_id": "digest", "skill_id": "hash", "inputs": {"text": "${greet.text}"}},
            {"step_id": "dice", "skill_id": "random", "depends_on": ["digest"]},
            {
                "step_id": "pay",
                "skill_id": "pay",
                "inputs": {"cents": "${dice.value}"},
                "idempotency_key": "pay-once",
            },
        ],
    },
    "fan-out": {
        "workflow_type": "fan-out",
        "steps": [
            {"step_id": "root", "skill_id": "echo", "inputs": {"n": 1}},
            *({"step_id": f"b{n}", "skill_id": "echo", "inputs": {"n": "${root.n}", "b": n}} for n in range(5)),
            {"step_id": "join", "skill_id": "hash", "inputs": {f"b{n}": f"${{b{n}}}" for n in range(5)}},
        ],
        "output": "${join.sha256}",
    },
    "failed": {
        "workflow_type": "failed",
        "steps": [
            {"step_id": "fine", "skill_id": "echo", "inputs": {"n": 1}},
            {"step_id": "skipping", "skill_id": "refuse", "on_error": "skip"},
            {"step_id": "skipped", "skill_id": "echo", "depends_on": ["skipping"]},
            {"step_id": "flaky", "skill_id": "flaky", "inputs": {"x": "${fine.n}"}, "max_retries": 1},
            {"step_id": "never", "skill_id": "echo", "depends_on": ["flaky"]},
        ],
    },
    "cancelled": {
        "workflow_type": "cancelled",
        "steps": [
            {"step_id": "a", "skill_id": "gate"},
            {"step_id": "b", "skill_id": "gate", "depends_on": ["a"]},
        ],
    },
    "large": {
        "workflow_type": "large",
        "inputs": {"text": LARGE},
        "steps": [
            {"step_id": "keep", "skill_id": "echo", "inputs": {"text": "${inputs.text}"}},
            {"step_id": "digest", "skill_id": "hash", "inputs": {"text": "${keep.text}"}},
        ],
    },
}
"""The shapes of runs that are attacked, each stored under its own name."""


def store_runs(store: Store) -> None:
    """Run every one of SPECS in `store`."""
    asyncio.run(store_runs_async(store))


class Attacker(Protocol):
    """Plain SQL, by the database's own means."""

    def put(self, stream: str, records: Iterable[Record]) -> None:
        """Make these the records of the stream."""
        ...

    def put_head(self, stream: str, head: Head) -> None:
        """Make this the stream's head row; EMPTY removes it."""
        ...

    def put_payload(self, digest: str, data: bytes | None) -> None:
        """Make these the bytes of a large payload; None removes it."""
        ...


class SQLiteAttacker:
    """With sqlite3, on the file."""

    def __init__(self, path: str):
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")

    def put(self, stream: str, records: Iterable[Record]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("DELETE FROM stored_events WHERE originator_id = ?", (stream,))
        sql = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"
        self._connection.executemany(sql, [(stream, *record[1:]) for record in records])
        self._connection.execute("COMMIT")

    def put_head(self, stream: str, head: Head) -> None:
        self._connection.execute("DELETE FROM stream_heads WHERE stream = ?", (stream,))
        if head != EMPTY:
            self._connection.execute("INSERT INTO stream_heads VALUES (?, ?, ?)", (stream, *head))

    def put_payload(self, digest: str, data: bytes | None) -> None:
        self._connection.execute("DELETE FROM large_payloads WHERE hash = ?", (digest,))
        if data is not None:
            self._connection.execute("INSERT INTO large_payloads VALUES (?, ?)", (digest, data))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


class PostgresAttacker:
    """With psycopg, on the database."""

    def __init__(self, url: str):
        self._connection = psycopg.connect(url, autocommit=True)

    def put(self, stream: str, records: Iterable[Record]) -> None:
        sql = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)"
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM stored_events WHERE originator_id = %s", (stream,))
            cursor.executemany(sql, [(stream, *record[1:]) for record in records])

    def put_head(self, stream: str, head: Head) -> None:
        self._connection.execute("DELETE FROM stream_heads WHERE stream = %s", (stream,))
        if head != EMPTY:
            self._connection.execute("INSERT INTO stream_heads VALUES (%s, %s, %s)", (stream, *head))

    def put_payload(self, digest: str, data: bytes | None) -> None:
        self._connection.execute("DELETE FROM large_payloads WHERE hash = %s", (digest,))
        if data is not None:
            self._connection.execute("INSERT INTO large_payloads VALUES (%s, %s)", (digest, data))

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


class Crime:
    """A store with runs, an attacker, and what the store held before."""

    def __init__(self, store: Store, attacker: Attacker):
        self.store = store
        self._attacker = attacker

    def records(self, stream: str) -> list[Record]:
        """The records as they are now."""
        return self.store.read(stream)

    @contextmanager
    def stage(self, stream: str, records: Sequence[Record], head: Head | None = None) -> Generator[None]:
        """With other records (and another head, if one is given) in the stream."""
        before, old = self.store.read(stream), self.store.heads([stream]).get(stream, EMPTY)
        self._attacker.put(stream, records)
        if head is not None:
            self._attacker.put_head(stream, head)
        try:
            yield
        finally:
            self._attacker.put(stream, before)
            self._attacker.put_head(stream, old)

    @contextmanager
    def payload(self, digest: str, data: bytes | None) -> Generator[None]:
        """With other bytes, or none, in the row of a large payload."""
        (before,) = self.store.large([digest]).values()
        self._attacker.put_payload(digest, data)
        try:
            yield
        finally:
            self._attacker.put_payload(digest, before)


def changed(record: Record, change: Callable[[dict[str, Any]], None]) -> Record:
    """The record with its envelope changed, in canonical form again as far as that is possible."""
    try:
        envelope = decode(record.state)
    except ValueError:
        return record
    change(envelope)
    try:
        return record._replace(state=canonical_json(envelope))
    except ValueError:
        return record._replace(state=json.dumps(envelope, sort_keys=True).encode())


def renumbered(records: Iterable[Record]) -> list[Record]:
    """The records numbered from 1."""
    return [record._replace(version=number) for number, record in enumerate(records, 1)]


def rechained(records: Iterable[Record]) -> tuple[list[Record], Head]:
    """The records, numbered, with every reference to a predecessor computed anew; and the head that fits."""
    chained: list[Record] = []
    prev: str | None = None
    for record in renumbered(records):

        def relink(envelope: dict[str, Any], prev: str | None = prev) -> None:
            envelope["prev"] = prev

        linked = changed(record, relink)
        chained.append(linked)
        prev = event_hash(linked.stream, linked.version, linked.topic, linked.state)
    return chained, Head(len(chained), prev)


@contextmanager
def sqlite_scene(folder: Path) -> Generator[Crime]:
    """All the runs in an SQLite file, and somebody with sqlite3."""
    path = folder / "crime.db"
    store, attacker = open_store(f"sqlite:///{path}"), SQLiteAttacker(str(path))
    store_runs(store)
    yield Crime(store, attacker)
    attacker.close()
    store.close()


@contextmanager
def postgres_scene() -> Generator[Crime]:
    """All the runs in a PostgreSQL database, and somebody with psycopg."""
    with fresh_database(shared_server_url()) as url:
        store, attacker = open_store(url), PostgresAttacker(url)
        store_runs(store)
        yield Crime(store, attacker)
        attacker.close()
        store.close()


async def store_runs_async(store: Store) -> None:
    """Run every one of SPECS in `store`, on the event loop that runs."""
    skills, attempts = SkillRegistry(), list[int]()
    gate, started = asyncio.Event(), asyncio.Event()

    @skills.skill("gate", deterministic=False)
    async def pass_the_gate() -> bool:
        started.set()
        await gate.wait()
        return True

    @skills.skill("refuse", failures=OWN_CODES)
    def refuse() -> None:
        raise Failure("TEAPOT", "short and stout", retryable=False)

    @skills.skill("flaky", deterministic=False, cost_cents=1.25, failures=OWN_CODES)
    def flaky(x: int) -> None:
        attempts.append(x)
        raise Failure("FLAKY", f"attempt {len(attempts)}", retryable=True)

    @skills.skill("pay", side_effect=True, at_most_once=True, cost_cents=7)
    def pay(cents: float) -> float:
        return cents

    specs = {name: {**spec} for name, spec in SPECS.items()}
    specs["failed"]["steps"][3]["retry"] = {"initial_seconds": 0.01}
    async with WorkflowEngine(store, skills) as engine:
        for name in ("linear", "fan-out", "failed", "large"):
            await engine.run(specs[name], name, seed=5)
        running = asyncio.ensure_future(engine.run(specs["cancelled"], "cancelled", seed=5))
        await started.wait()
        await engine.pause("cancelled", "coffee", key="1")
        await engine.pause("cancelled", "more coffee", key="2")
        gate.set()
        await running
        gate.clear()
        started.clear()
        running = asyncio.ensure_future(engine.resume("cancelled"))
        await started.wait()
        await engine.cancel("cancelled", "enough", key="3")
        await running
