"""A golden held against the log: what it must be, and the verdict on what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import RefoldError, RunNotFoundError, StoreError
from ..core.ids import stream_of
from ..core.ports import Record
from ..core.state import fold
from ..eventstore.linked import linked
from ..eventstore.log import EventLog
from ..eventstore.store import Store
from .golden_faults import GoldenFault, lines_of
from .golden_files import GoldenFolder
from .golden_lines import Golden, golden_of
from .golden_names import GOLDEN, safe_name
from .golden_recorder import GoldenRecorder, GoldenVerdict
from .golden_upkeep import Listed


def recorded(store: Store, run_id: str, tenant: str) -> Golden | None:
    """The golden of a run by its log; None while the run goes on. Raises RunNotFoundError, IntegrityError."""
    return _golden(store, run_id, tenant, store.read(stream_of(tenant, run_id)))


def proved(store: Store, run_id: str, tenant: str) -> Golden | None:
    """The same, to be signed: IntegrityError also for a log that can be read, but was altered."""
    return _golden(store, run_id, tenant, linked(store, stream_of(tenant, run_id)))


def _golden(store: Store, run_id: str, tenant: str, records: Sequence[Record]) -> Golden | None:
    if not records:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    state = fold(EventLog(store, "").decoded(records))
    return None if state.end is None else golden_of(state)


def verdict_by_log(recorder: GoldenRecorder, store: Store | None, run_id: str, tenant: str) -> GoldenVerdict:
    """The verdict on a golden by its signature, and by the log where there is a `store`.

    Raises StoreError: a store that does not answer says nothing about a golden.
    """
    expected = None
    fault = None
    if store is not None:
        try:
            golden = recorded(store, run_id, tenant)
            expected = None if golden is None else golden.data
            fault = GoldenFault(0, "log", "by the log, the run has not ended") if golden is None else None
        except RunNotFoundError:
            fault = GoldenFault(0, "log", "the log knows no such run")
        except StoreError:
            raise
        except RefoldError as error:
            fault = GoldenFault(0, "log", f"the log cannot be read: {error}")
    verdict = recorder.verify_golden(run_id, tenant, expected)
    if store is not None and fault is None and not verdict.ok:
        fault = _altered(store, run_id, tenant)
    faults = verdict.faults if fault is None else (*verdict.faults, fault)
    return GoldenVerdict(tenant, run_id, verdict.key_id, faults)


def _altered(store: Store, run_id: str, tenant: str) -> GoldenFault | None:
    """Whether the log itself was altered, where a golden is not what it says: then the golden may be what is right."""
    try:
        linked(store, stream_of(tenant, run_id))
    except StoreError:
        raise
    except RefoldError as error:
        return GoldenFault(0, "log", f"the log was altered: {error}")
    return None


def shelf(root: Path, tenant: str, names: Sequence[str]) -> list[Listed]:
    """What lies under these names in the tenant's folder of goldens; no key is needed, and nothing is proved."""
    folder = GoldenFolder(root)
    found: list[Listed] = []
    for name in names:
        run_id = None
        try:
            stored = folder.read_named(tenant, name)
            first = lines_of(stored.data.partition(b"\n")[0] + b"\n")[0].get("run_id")
        except GoldenFault:
            found.append(Listed(None, name, None, 0, 0))
            continue
        if isinstance(first, str) and safe_name(first) + GOLDEN == name:
            run_id = first
        found.append(Listed(run_id, name, None, stored.ended_at, len(stored.data)))
    return found
