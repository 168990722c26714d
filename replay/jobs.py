"""A job that proves a fleet of runs: chunk by chunk, by whoever works on them, and resumable where it was stopped.

What comes of it depends on the log up to a position, the query and the code alone: not on how many work on it, nor on
how often it was interrupted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Any, Protocol, Self

from ..core.errors import CallError, Problem
from ..core.ids import GOLDEN_KEYS
from ..eventstore.store import Store
from .access_control import verify_access
from .archives import ArchivesVerification, verify_archives
from .budget_control import verify_top_ups
from .control import ControlVerification, verify_emergency, verify_erasures, verify_refusals, verify_specs
from .fleet import Chunk, ChunkProof, Order, chunks_of, prove_chunk
from .golden_control import verify_golden_control
from .job_control import verify_jobs
from .policy_control import verify_policies
from .proving import Prover
from .tally import Tally
from .webhook_control import verify_webhooks

MOST_TOLD = 100
"""Of runs that are not as recorded, this many are kept for the certificate: the first."""


class Crew(Protocol):
    """Those who prove chunks; a context manager. `size` is how many are at work at once."""

    @property
    def size(self) -> int:
        """How many work side by side."""
        ...

    def submit(self, chunk: Chunk) -> Future[ChunkProof]:
        """Have a chunk proved."""
        ...

    def close(self) -> None:
        """End those that are at work."""
        ...


class Book(Protocol):
    """What is done of a job, kept where it outlasts whoever does it, such as `refold.replay.job_files.JobFile`."""

    def done(self) -> Iterator[ChunkProof]:
        """The chunks that are done, in order. Raises CallError."""
        ...

    def add(self, proof: ChunkProof) -> None:
        """Note the next one."""
        ...


class LocalCrew:
    """Proves in this process, one chunk after the other."""

    size = 1

    def __init__(self, store: Store, prover: Prover, order: Order):
        self._store, self._prover, self._order = store, prover, order
        self._runner = asyncio.Runner()

    def submit(self, chunk: Chunk) -> Future[ChunkProof]:
        """See `Crew.submit`: it is done when this returns."""
        done: Future[ChunkProof] = Future()
        done.set_result(self._runner.run(prove_chunk(self._store, self._prover, self._order, chunk)))
        return done

    def close(self) -> None:
        """See `Crew.close`."""
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True)
class JobEnd:
    """What a job came to. `digest` is over all verdicts in order, `control` about the streams that belong to no run,
    `archives` about the files that runs were moved to, `first` the first runs that are diverged or broken."""

    order: Order
    tally: Tally = field(default_factory=Tally)
    chunks: int = 0
    digest: str = ""
    control: Sequence[ControlVerification] = ()
    archives: ArchivesVerification | None = None
    first: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    @property
    def broken(self) -> int:
        """How many runs and control streams are not as they were recorded; 1 more for archives that are not."""
        beside = [*self.control, *([] if self.archives is None else [self.archives])]
        return self.tally.verdicts["broken"] + sum(not each.ok for each in beside)


def run_job(
    store: Store,
    order: Order,
    crew: Crew,
    file: Book | None = None,
    told: Callable[[ChunkProof], object] = lambda proof: None,
    *,
    alone: bool = False,
) -> JobEnd:
    """Prove what `order` asks for; `told` of each chunk, in order, also of those that the book had.

    `order` is what the book began with. With `alone` nothing is proved that belongs to other tenants too: the control
    streams and archives of all. Raises StoreError, and CallError where the log is not the one that the job began with.
    """
    control = control_streams(store, order.query.tenant, alone=alone)
    archives = None if alone else verify_archives(store, lambda done, of: None)
    end = JobEnd(order, control=control, archives=archives)
    digest = sha256()
    for proof in _proofs(store, order, crew, file):
        digest.update(bytes.fromhex(proof.digest))
        end.tally.merge(proof.tally)
        end.chunks += 1
        bad = [each for each in proof.told if each["verdict"] in ("diverged", "broken")]
        end.first += bad[: MOST_TOLD - len(end.first)]
        told(proof)
    end.digest = digest.hexdigest()
    return end


def control_streams(store: Store, tenant: str, *, alone: bool = False) -> list[ControlVerification]:
    """The proofs of the streams that belong to no run: registered specs, what was decided about goldens, which
    checkpoints were refused, what was added to budgets, emergency stops, adopted policies,
    erasures, keys of the HTTP API. With `alone` only of those that are the tenant's.

    Of the logs of jobs those alone are told that are not as recorded: whoever proves may be writing one.
    """
    found = [verify_specs(store, tenant), *verify_golden_control(store, tenant), verify_webhooks(store, tenant)]
    found += [] if alone else [prove(store, tenant) for prove in _STREAMS]
    mine = [each for each in found if each is not None and not (alone and each.stream == GOLDEN_KEYS)]
    return mine + [each for each in verify_jobs(store, tenant) if not each.ok]


_STREAMS = (verify_refusals, verify_top_ups, verify_emergency, verify_erasures, verify_policies, verify_access)
"""The proofs of streams that are everybody's, of which there is at most one."""


def _proofs(store: Store, order: Order, crew: Crew, file: Book | None) -> Iterator[ChunkProof]:
    chunks = chunks_of(store, order.query, order.until)
    for known in () if file is None else file.done():
        chunk = next(chunks, None)
        if chunk is None or (chunk.streams[0], chunk.streams[-1]) != (known.first, known.last):
            reason = f"the log has other runs than when the job began: chunk {known.number} is another one"
            raise CallError(Problem("", reason, "verify the log, and begin a new job"))
        yield known
    waiting: deque[Future[ChunkProof]] = deque()
    for chunk in chunks:
        waiting.append(crew.submit(chunk))
        # Those who work are never idle, and what is done waits for little before it.
        while len(waiting) >= 2 * crew.size or (waiting and waiting[0].done()):
            yield _recorded(waiting.popleft().result(), file)
    while waiting:
        yield _recorded(waiting.popleft().result(), file)


def _recorded(proof: ChunkProof, file: Book | None) -> ChunkProof:
    if file is not None:
        file.add(proof)
    return proof
