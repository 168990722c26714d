"""`refold verify --all` and `refold replay --all`: a job over many runs, and what is told of it."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ...compose import BUILD, database_url, tune_process
from ...core.errors import CallError, Problem, StoreUnreachableError
from ...eventstore.store import Store
from ...projections.times import iso
from ...replay.certificate import Signs, body_of, certificate
from ...replay.fleet import ChunkProof, Order, chunks_of, pinned
from ...replay.job_files import JobFile
from ...replay.jobs import Crew, JobEnd, LocalCrew, run_job
from ...replay.today import code_of
from ..fleet_worker import Setup, prover_of
from .faults import BROKEN, DIVERGED, FAILED, OK
from .fleet_options import FleetOptions
from .fleet_report import Report
from .junit import JUnitReport
from .output import stdout_for_json_only
from .progress import watched_runs
from .reading import existing_store, missing_file, read_skills

_FEW_CHUNKS = 2


def prove_fleet(given: FleetOptions, doing: str) -> int:
    """Prove all runs that are meant, and tell of it; returns the exit code."""
    query, proofs, failing = given.query(), given.proofs(), given.failing()
    key = _signing_key(given)
    if (missing := missing_file(given.database)) is not None:
        # Whoever verifies the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    tune_process()
    with stdout_for_json_only(given.json), existing_store(given.database) as store, _job_file(given.job) as file:
        skills = read_skills(given.modules)
        position, head = pinned(store)
        code = code_of(skills, BUILD, given.label)
        order = Order(query, proofs, given.against, position, head, code, given.each)
        order = order if file is None else file.begin(order, store)
        junit = JUnitReport() if given.junit is not None else None
        report = Report(given, doing)
        began = time.monotonic()
        with _crew(given, store, order, skills) as crew, watched_runs(doing) as told:

            def heard(proof: ChunkProof) -> None:
                report.take(proof)
                if junit is not None:
                    junit.take(proof)
                told(proof.position, order.until, proof.tally.runs, proof.tally.events)

            end = run_job(store, order, crew, file, heard)
        if junit is not None and given.junit is not None:
            _write(given.junit, junit.written(end))
        if given.certificate is not None:
            _write(given.certificate, certificate(body_of(end, _kind(given.database)), _now(), key))
        report.end(end, time.monotonic() - began)
    return exit_code(end, failing)


def exit_code(end: JobEnd, failing: Sequence[str]) -> int:
    """The exit code of a job: the worst of what fails it."""
    verdicts = end.tally.verdicts
    if "broken" in failing and end.broken:
        return BROKEN
    if "diverged" in failing and verdicts["diverged"]:
        return DIVERGED
    return FAILED if "not_verifiable" in failing and verdicts["not_verifiable"] else OK


@contextmanager
def _crew(given: FleetOptions, store: Store, order: Order, skills: Any) -> Generator[Crew]:
    """Those who prove: a cluster, processes, or this one where there is little to do."""
    url = database_url(given.database)
    setup = Setup(url, list(given.modules), order.to_json(), given.goldens)
    if given.on is not None:
        from ..fleet_dask import DaskCrew

        with DaskCrew(setup, given.on) as cluster:
            yield cluster
        return
    size = given.workers or len(os.sched_getaffinity(0))
    few = given.workers is None and len(list(islice(chunks_of(store, order.query, order.until), _FEW_CHUNKS + 1)))
    if url.startswith("memory:") or size == 1 or (given.workers is None and few <= _FEW_CHUNKS):
        with LocalCrew(store, prover_of(store, skills, order, given.goldens), order) as alone:
            yield alone
        return
    from ..fleet_pool import ProcessCrew

    with ProcessCrew(setup, size) as processes:
        yield processes


@contextmanager
def _job_file(path: str | None) -> Generator[JobFile | None]:
    if path is None:
        yield None
        return
    with JobFile(Path(path)) as file:
        yield file


def _signing_key(given: FleetOptions) -> Signs | None:
    if given.certificate is None:
        if given.key is not None:
            raise CallError(Problem("", "--key signs a certificate", "name its file by --certificate"))
        return None
    from ...replay.signing_keys import AUDIT_KEY, SigningKey

    return SigningKey.load(given.key) if given.key or os.environ.get(AUDIT_KEY) else None


def _kind(database: str | None) -> str:
    scheme = database_url(database).partition(":")[0]
    return "postgresql" if scheme == "postgres" else scheme


def _now() -> str:
    return iso(time.time_ns() // 1000)


def _write(path: str, data: bytes) -> None:
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise CallError(Problem("", f"{path} cannot be written: {error.strerror}", "name another file")) from None
