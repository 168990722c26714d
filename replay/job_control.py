"""Verification of the logs of jobs: their chains, and that their events can follow each other."""

from __future__ import annotations

from ..core.errors import RefoldError
from ..core.ids import job_of_stream
from ..core.job_log import job_of
from ..core.ports import EMPTY
from ..eventstore.codec import decode
from ..eventstore.store import Store
from ..projections.jobs import job_streams
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import large_of, snapshot


def verify_jobs(store: Store, tenant: str = "default") -> list[ControlVerification]:
    """Prove the log of every job of the tenant. Raises CallError for what is no tenant."""
    return [_verified(store, tenant, stream) for stream in job_streams(store, tenant)]


def _verified(store: Store, tenant: str, stream: str) -> ControlVerification:
    heads, (records,) = snapshot(store, [stream])
    large = large_of(store, records)
    chain = prove_chain(stream, records, heads.get(stream, EMPTY), large)
    fold: tuple[Finding, ...] = ()
    try:
        job_of([decode(record, large) for record in records], *(job_of_stream(stream) or ("", "")))
    except RefoldError as error:
        fold = (Finding(stream, records[-1].version if records else 0, "impossible", str(error)),)
    return ControlVerification("a job", stream, tenant, len(records), tuple(chain), fold)
