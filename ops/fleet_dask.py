"""Chunks of a job proved by the processes of a `dask.distributed` cluster, wherever they run.

Each needs Refold in the same release, the modules of skills, and the way to the database.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import lru_cache
from threading import Lock
from types import TracebackType
from typing import Any, Self

import orjson

from ..core.errors import CallError, Problem, StoreUnreachableError
from ..replay.fleet import Chunk, ChunkProof
from .fleet_pool import error_of
from .fleet_worker import FleetWorker, Setup, error_as_json

CONNECT_SECONDS = 10
"""How long the scheduler is waited for."""

_one_at_a_time = Lock()


class DaskCrew:
    """The processes of the cluster at an address; fulfils `refold.replay.jobs.Crew`."""

    def __init__(self, setup: Setup, address: str):
        """Raises CallError without the extra `refold[dask]`, StoreUnreachableError for a cluster that does not
        answer."""
        try:
            import distributed
        except ImportError:
            raise CallError(Problem("", "--on needs dask.distributed", 'pip install "refold[dask]"')) from None
        self._setup = orjson.dumps(list(setup))
        library: Any = distributed
        try:
            self._client: Any = library.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            why = f"no cluster answers at {address}: {type(error).__name__}"
            raise StoreUnreachableError(why) from None
        self.size = max(1, sum(self._client.nthreads().values()))

    def submit(self, chunk: Chunk) -> Future[ChunkProof]:
        """See `Crew.submit`: a worker that is lost is replaced by another, by dask's own rules."""
        done: Future[ChunkProof] = Future()
        asked = self._client.submit(proved_here, self._setup, orjson.dumps(list(chunk)), pure=False)
        asked.add_done_callback(lambda answered: _settle(done, answered))  # pyright: ignore[reportUnknownLambdaType]
        return done

    def close(self) -> None:
        """See `Crew.close`: the cluster goes on, without us."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def proved_here(setup: bytes, chunk: bytes) -> bytes:
    """A chunk proved in the process where this is called; the answer as `refold.ops.fleet_worker` gives it."""
    try:
        with _one_at_a_time:  # One loop and one prover a process, however many threads dask has given it.
            told = {"chunk": _worker(setup).prove(Chunk(*orjson.loads(chunk))).to_json()}
    except Exception as error:
        told = error_as_json(error)
    return orjson.dumps(told)


@lru_cache(maxsize=1)
def _worker(setup: bytes) -> FleetWorker:
    return FleetWorker(Setup(*orjson.loads(setup)))


def _settle(done: Future[ChunkProof], answered: Any) -> None:
    try:
        told = orjson.loads(answered.result())
        if "error" in told:
            done.set_exception(error_of(told["error"]))
        else:
            done.set_result(ChunkProof.of_json(told["chunk"]))
    except BaseException as error:
        done.set_exception(StoreUnreachableError(f"the cluster has lost a chunk: {type(error).__name__}: {error}"))
