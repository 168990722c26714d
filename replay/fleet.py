"""A fleet of runs to be proved: which, how, and what each part of them came to.

The runs are taken in chunks of fixed size, in the order in which they began, then those of which there is something
without a beginning. So the same log gives the same chunks, and the same digests, whoever works on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from heapq import nsmallest
from itertools import islice
from typing import Any, NamedTuple

from ..core.errors import CallError, IntegrityError
from ..core.ids import check_tenant, run_of, stream_of
from ..core.ports import EMPTY
from ..eventstore.chain import event_hash
from ..eventstore.codec import open_envelope
from ..eventstore.store import Notification, Store
from ..projections.standing import QUEUED
from .chunks import StoredRun, stored_runs
from .findings import Finding
from .proving import Prover
from .tally import Tally, verdict_line
from .verdicts import PROOFS, Divergence, Proof, Result, RunProof

CHUNK_RUNS = 100
"""Runs of one chunk: what is proved, recorded and, after a crash, done again together."""

SIDE_BY_SIDE = 32
"""Runs that one process puts to the proofs at a time."""

_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs of a tenant: begun at `since` (µs since the epoch) or later, of a type, standing so at the end.

    `sample` is how many of them, or with `percent` which share of them, drawn by `seed`. Of a run that cannot be read
    nobody knows whether it is wanted, so it is. A number is drawn before the status is known. With `runs`, only these.
    """

    tenant: str = "default"
    since: int | None = None
    workflow_type: str | None = None
    status: str | None = None
    sample: float | None = None
    percent: bool = False
    seed: int = 0
    runs: tuple[str, ...] = ()

    def wants(self, proof: RunProof) -> bool:
        """Whether the run is wanted, as far as only the proof of it tells."""
        if self.status is None or proof.status is None:
            return True
        queued = proof.status == "running" and proof.events == 1
        return self.status == proof.status or (queued and self.status == QUEUED)


@dataclass(frozen=True, slots=True)
class Order:
    """What a job does: the query, the proofs, the version of registered specs to prove decisions against (None: the
    recorded one), up to which position of the log, the hash of the event there, by which code (`code_of`), and whether
    each run is told of, or only those that are not equal."""

    query: Query
    proofs: tuple[Proof, ...] = PROOFS
    against: str | None = None
    until: int = 0
    head: str | None = None
    code: Mapping[str, Any] | None = None
    each: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, for `of_json`."""
        query = asdict(self.query)
        runs = query.pop("runs")
        return {**asdict(self), "query": query | ({"runs": list(runs)} if runs else {}), "proofs": list(self.proofs)}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Order:
        """What `to_json` has written. Raises TypeError or KeyError for anything else."""
        about: dict[str, Any] = {**told["query"], "runs": tuple(told["query"].get("runs", ()))}
        query = Query(**about)
        given: dict[str, Any] = {**told, "query": query, "proofs": tuple(told["proofs"])}
        return cls(**given)


class Chunk(NamedTuple):
    """The runs of some streams, by name, and the position at which the last of them began."""

    number: int
    streams: Sequence[str]
    position: int


@dataclass(frozen=True, slots=True)
class ChunkProof:
    """What a chunk came to. `first` and `last` are its streams, `digest` is over its runs' verdicts in order, `told`
    are the runs that are told of, as JSON."""

    number: int
    first: str
    last: str
    position: int
    digest: str
    tally: Tally
    told: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, for `of_json`."""
        return {**asdict(self), "tally": self.tally.to_json()}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> ChunkProof:
        """What `to_json` has written. Raises TypeError or KeyError for anything else."""
        given: dict[str, Any] = {**told, "tally": Tally.of_json(told["tally"])}
        return cls(**given)


def pinned(store: Store) -> tuple[int, str | None]:
    """The log's last position, and the hash of the event there; None for an empty log."""
    position = store.last_position()
    return position, hash_at(store, position)


def hash_at(store: Store, position: int) -> str | None:
    """The hash of the event at a position; None if there is none."""
    found = store.follow(position - 1, 1) if position > 0 else []
    return event_hash(*found[0].record) if found and found[0].position == position else None


def chunks_of(store: Store, query: Query, until: int) -> Iterator[Chunk]:
    """The chunks of a query, up to a position of the log. Raises CallError for what is no tenant."""
    check_tenant(query.tenant)
    placed = _placed(store, query, until)
    for number, page in enumerate(iter(lambda: list(islice(placed, CHUNK_RUNS)), [])):
        yield Chunk(number, [stream for _, stream in page], max(position for position, _ in page))


async def prove_chunk(store: Store, prover: Prover, order: Order, chunk: Chunk) -> ChunkProof:
    """Prove every run of a chunk."""
    tally, digest, told = Tally(), sha256(), list[Mapping[str, Any]]()
    sound = [stream for stream in chunk.streams if _is_run(stream)]
    proofs = {stream: _foreign(stream) for stream in chunk.streams if not _is_run(stream)}
    proofs |= await _proofs(prover, _readable(store, sound, order.until))
    for stream in chunk.streams:
        proof = proofs[stream]
        if not order.query.wants(proof):
            continue
        tally.add(proof)
        digest.update(verdict_line(proof))
        if order.each or proof.verdict != "equal":
            told.append(proof.to_json())
    first, last = chunk.streams[0], chunk.streams[-1]
    return ChunkProof(chunk.number, first, last, chunk.position, digest.hexdigest(), tally, told)


async def _proofs(prover: Prover, runs: Iterator[StoredRun | RunProof]) -> dict[str, RunProof]:
    """The proofs by stream. Several runs are under way at a time, for skills that are run again may wait."""
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def prove(run: StoredRun) -> RunProof:
        try:
            given = (run.stream, run.records, run.messages, run.heads, run.large)
            return await prover.prove_records(*given, cut=run.cut)
        finally:
            gate.release()

    found: list[RunProof] = []
    tasks: list[asyncio.Task[RunProof]] = []
    try:
        for run in runs:
            if isinstance(run, RunProof):
                found.append(run)
                continue
            await gate.acquire()
            tasks.append(asyncio.create_task(prove(run)))
        found += await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return {f"{proof.tenant}/{proof.run_id}": proof for proof in found}


def _readable(store: Store, streams: Sequence[str], until: int) -> Iterator[StoredRun | RunProof]:
    """The runs as they are stored; a verdict on those whose archives cannot be read, each for itself."""
    read = 0
    try:
        for run in stored_runs(store, streams, until):
            read += 1
            yield run
    except IntegrityError as error:
        if len(streams) == 1:
            yield _unusable(streams[0], "archive", str(error), "the archive is missing, or was altered")
            return
        for stream in streams[read:]:
            yield from _readable(store, [stream], until)


def _placed(store: Store, query: Query, until: int) -> Iterator[tuple[int, str]]:
    if query.runs:
        starts = store.sweep.begun_among([stream_of(query.tenant, run_id) for run_id in query.runs])
        yield from sorted((position, stream) for stream, position in starts.items() if position <= until)
        return
    begun = (each for each in _begun(store, query.tenant, until) if _is_wanted(query, each))
    runs = ((each.position, each.record.stream) for each in begun)
    if query.sample is None:
        yield from runs
        yield from _strays(store, query.tenant, until)
        return
    if query.percent:
        yield from (each for each in runs if _drawn(query, each[1]) < query.sample / 100)
        return
    yield from sorted(nsmallest(int(query.sample), runs, key=lambda each: _drawn(query, each[1])))


def _begun(store: Store, tenant: str, until: int) -> Iterator[Notification]:
    after = 0
    while page := store.sweep.begun(tenant, after, until, _PAGE):
        # What is no run's name may not read as it is stored; it is told under its own, with what has not begun.
        yield from (each for each in page if each.record.stream.isascii())
        after = page[-1].position


def _strays(store: Store, tenant: str, until: int) -> Iterator[tuple[int, str]]:
    """Streams that no run began, by name: an event that was put there, an inbox or a head row without a run."""
    after = ""
    while page := store.sweep.names(tenant, after, _PAGE):
        begun = store.sweep.begun_among(sorted({_base(name) for name in page}))
        for name in page:
            base = _base(name)
            # Where there is more of it than an inbox, it is told under its own name.
            if base not in begun and (base == name or not _is_known(store, base)):
                yield until, base
        after = page[-1]


def _base(name: str) -> str:
    """The run's stream of an inbox; else the stream itself."""
    return name.removesuffix("/inbox") if name.count("/") == 2 else name


def _is_known(store: Store, stream: str) -> bool:
    return stream.isascii() and bool(store.heads([stream]) or store.sweep.read_all([stream]))


def _is_wanted(query: Query, begun: Notification) -> bool:
    if query.since is None and query.workflow_type is None:
        return True
    try:
        envelope = open_envelope(begun.record)
    except IntegrityError:
        return True
    if query.since is not None and envelope.at < query.since:
        return False
    return query.workflow_type in (None, envelope.data.get("workflow_type"))


def _drawn(query: Query, stream: str) -> float:
    """A number from 0 to 1 that the seed gives a stream."""
    return int.from_bytes(sha256(f"{query.seed}\0{stream}".encode(errors="replace")).digest()[:8]) / 2**64


def _is_run(stream: str) -> bool:
    try:
        run_of(stream)
    except CallError:
        return False
    return stream.isascii()


def _foreign(stream: str) -> RunProof:
    tenant, _, name = stream.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").partition("/")
    reason = "no run has a stream of this name"
    return _unusable(f"{tenant}/{name}", "foreign", reason, "somebody else has put it there")


def _unusable(stream: str, kind: str, reason: str, cause: str) -> RunProof:
    tenant, _, name = stream.partition("/")
    finding = Finding(stream, 0, kind, reason)
    found = Divergence(kind="TAMPERED", message=str(finding), cause=cause)
    chain = Result("broken", divergence=found, findings=(finding,))
    return RunProof(tenant, name, None, None, 0, EMPTY, None, {"chain": chain})
