"""Whole stores move from one database to another, byte for byte, or not at all."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refold import Worker, WorkflowEngine
from refold.core.errors import CallError, IntegrityError, RefoldError, StoreRefusedError
from refold.eventstore.exporting import Exporting
from refold.eventstore.importing import Imported, Importing, unzipped
from refold.eventstore.log import EventLog
from refold.eventstore.rebuild import Rebuild
from refold.eventstore.tiered import TieredStore
from refold.tests.support.archived import archive, opened, readable, untold
from refold.tests.support.units import Writer, said
from refold.tests.support.workflows import until


@pytest.fixture
def other_kind(store: TieredStore, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TieredStore]:
    """An empty store in the other kind of database."""
    is_file = "sqlite" in type(store.hot).__module__
    url = request.getfixturevalue("postgres_url") if is_file else f"sqlite:///{tmp_path / 'other.db'}"
    other = opened(url)
    yield other
    other.close()


def exported(store: TieredStore) -> list[bytes]:
    return list(Exporting(store).lines(untold))


def imported(store: TieredStore, lines: list[bytes]) -> Imported:
    return Importing(store, lambda line: None).run(iter(lines))


async def test_a_store_moves_to_another_database_and_exports_the_same_lines_there(
    filled: TieredStore, other_kind: TieredStore
) -> None:
    archive(filled, limit=10)
    lines = exported(filled)
    last = filled.last_position()
    done = imported(other_kind, lines)
    assert (done.events, done.heads, done.payloads) == (len(filled.follow(0, 10**9)), *map(int, counts(lines)))
    assert done.unreadable == {} and done.open_runs == len(filled.dispatch.rows()) >= 3
    assert exported(other_kind) == lines
    assert readable(other_kind, last) == readable(filled, last)
    assert not any(Rebuild(other_kind).differences()), "open runs have their rows"
    assert [row[:4] for row in other_kind.dispatch.rows()] == [row[:4] for row in filled.dispatch.rows()]
    writer = Writer()
    assert other_kind.commit([writer.one("default/new")], "me") == [True]
    assert other_kind.last_position() == last + 1, "positions go on"


def counts(lines: list[bytes]) -> tuple[int, int]:
    return sum(line.startswith(b'{"head"') for line in lines), sum(line.startswith(b'{"payload"') for line in lines)


SLEEPER = {
    "workflow_type": "sleeper",
    "steps": [
        {"step_id": "wait", "skill_id": "wait_signal", "inputs": {"name": "go"}},
        {"step_id": "after", "skill_id": "echo", "inputs": {"text": "x", "of": "${wait}"}},
    ],
}


async def test_unfinished_runs_go_on_in_the_new_store(store: TieredStore, other_kind: TieredStore) -> None:
    async with WorkflowEngine(store) as engine:
        await engine.start(SLEEPER, "asleep")
        await engine.start({"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}]}, "fresh")
        await engine.signal("asleep", "go", {"n": 1})
    imported(other_kind, exported(store))
    worker = Worker(other_kind)
    async with WorkflowEngine(other_kind) as engine:
        working = asyncio.create_task(worker.run())
        log = EventLog(other_kind, "")
        await until(
            lambda: all(log.events(f"default/{name}")[-1].topic == "run.completed" for name in ("asleep", "fresh"))
        )
        worker.drain()
        await working


async def test_an_export_of_a_growing_store_stands_still(store: TieredStore, other_kind: TieredStore) -> None:
    writer = Writer()
    for name in ("a", "b"):
        store.commit([writer.unit((f"default/{name}", [said(), said()]))], "me")
    work = Exporting(store)
    store.commit([writer.one("default/a"), writer.one("default/c")], "me")
    lines: list[bytes] = []
    for line in work.lines(untold):
        lines.append(line)
        store.commit([writer.one("default/b"), writer.one(f"default/{len(lines)}")], "me")
    assert counts(lines) == (2, 0) and work.counts["events"] == 4
    assert imported(other_kind, lines).events == 4


async def test_only_an_empty_store_is_filled(filled: TieredStore) -> None:
    lines = exported(filled)
    with pytest.raises(StoreRefusedError, match="not empty"):
        imported(filled, lines)
    assert exported(filled) == lines


def replaced(line: bytes, old: bytes, new: bytes) -> bytes:
    assert old in line
    return line.replace(old, new, 1)


Change = Callable[[list[bytes]], list[bytes]]

CHANGES: dict[str, tuple[Change, str]] = {
    "cut off": (lambda lines: lines[:-1], "line {all}: the file ends before its last line"),
    "cut to nothing": (lambda lines: [], "line 1: the file ends"),
    "an event changed": (
        lambda lines: [lines[0], replaced(lines[1], b'"seed":', b'"seed":1'), *lines[2:]],
        "does not follow from the one before it",
    ),
    "an event taken out": (lambda lines: [*lines[:2], *lines[3:]], "does not follow"),
    "the last event of a stream taken out": (
        lambda lines: [line for line in lines if line != last_event(lines)],
        "is not what its events come to",
    ),
    "two events swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line [23]: "),
    "a head changed": (
        lambda lines: [line.replace(b'"hash":"', b'"hash":"0') if is_head(line) else line for line in lines],
        "the head of .* is not what its events come to",
    ),
    "a head taken out": (
        lambda lines: [line for line in lines if line != next(filter(is_head, lines))],
        "counts or hash are not those",
    ),
    "a payload changed": (
        lambda lines: [line.replace(b"xxx", b"xxy", 1) if is_payload(line) else line for line in lines],
        "it is no payload, or an altered one",
    ),
    "no payloads": (lambda lines: [line for line in lines if not is_payload(line)], "counts or hash"),
    "another hash at the end": (
        lambda lines: [*lines[:-1], replaced(lines[-1], b'"sha256":"', b'"sha256":"0')],
        "line {all}: counts or hash",
    ),
    "something after the end": (lambda lines: [*lines, lines[-1]], "line .*not in its place"),
    "a foreign line": (lambda lines: [*lines[:5], b'{"x":1}\n', *lines[5:]], "line 6: it is no line of an export"),
    "garbage": (lambda lines: [*lines[:5], b'{"position":\n', *lines[5:]], "line 6: "),
    "a stream of no name": (
        lambda lines: [lines[0], re.sub(rb'"stream":"', rb'"stream":"\\u0000', lines[1]), *lines[2:]],
        "line 2: no database can hold it",
    ),
    "a position beyond all": (
        lambda lines: [*lines[:3], re.sub(rb'"position":\d+', b'"position":9223372036854775808', lines[3]), *lines[4:]],
        "line 4: no database can hold it",
    ),
    "an event of no shape": (
        lambda lines: [*lines[:5], b'{"position":"a","state":{}}\n', *lines[5:]],
        "line 6: it is no event",
    ),
}


def is_head(line: bytes) -> bool:
    return line.startswith(b'{"head"')


def is_payload(line: bytes) -> bool:
    return line.startswith(b'{"payload"')


def last_event(lines: list[bytes]) -> bytes:
    return [line for line in lines if line.startswith(b'{"position"')][-1]


@pytest.mark.parametrize("name", CHANGES)
async def test_what_was_altered_is_refused_with_its_line_and_leaves_nothing(
    name: str, filled: TieredStore, other_kind: TieredStore
) -> None:
    change, reason = CHANGES[name]
    lines = exported(filled)
    with pytest.raises(IntegrityError, match=r"^line \d+: ") as refused:
        imported(other_kind, change(lines))
    assert re.search(reason.format(all=len(lines)), str(refused.value)), refused.value
    assert other_kind.follow(0, 10) == [] and other_kind.streams("default") == [] and not other_kind.dispatch.rows()
    assert imported(other_kind, lines).events > 0, "and the whole one is taken afterwards"


@pytest.mark.parametrize("line", [b'{"x":1}\n', b"\n", b"\xff\xfe\n", b'{"refold_store":2}\n'])
async def test_a_foreign_file_is_refused(store: TieredStore, line: bytes) -> None:
    with pytest.raises(CallError, match="line 1: this is no export"):
        imported(store, [line])


def test_compressed_files_are_read_line_by_line_and_refused_where_they_break_off() -> None:
    whole = gzip.compress(b"one\ntwo\n" + b"x" * 100_000 + b"\n")
    assert [len(line) for line in unzipped(io.BytesIO(whole))] == [4, 4, 100_001]
    with pytest.raises(CallError, match=r"line 1: .*not compressed"):
        list(unzipped(io.BytesIO(b"plain text\n")))
    for broken in (whole[:-4], whole[: len(whole) // 2], whole + b"garbage", whole[:-6] + b"\0\0" + whole[-4:]):
        with pytest.raises(RefoldError, match=r"line \d: "):
            list(unzipped(io.BytesIO(broken)))
