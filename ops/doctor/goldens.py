"""Goldens: the key that signs is the recorded one, and what was written last verifies."""

from __future__ import annotations

from ...core.checks import Check
from ...core.errors import CallError
from ...core.events import END_TOPICS
from ...core.ids import run_of
from ...projections.golden_decisions import GoldenDecisions
from ...projections.golden_files import GoldenFolder
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_recorder import GoldenRecorder
from .patient import Patient

_LATEST = 200
"""Events at the end of the log among which ended runs are looked for."""

_MOST = 20
"""So many goldens are verified."""


def current_key(patient: Patient) -> list[Check]:
    """`golden-key`: the key file signs with the key that the log names. Of a file that is no good `keys` tells."""
    keys = _keys(patient)
    if keys is None:
        return []
    recorded = GoldenDecisions(patient.store).of(None).key_id
    if recorded in (None, keys.current):
        return [Check("golden-key", "ok", detail=f"signs with {keys.current}")]
    detail = f"{patient.golden_keys} signs with {keys.current!r}, the log says {recorded!r}: it is an old copy"
    return [Check("golden-key", "failed", detail=detail, fix=patient.command("golden rotate-key"))]


def latest(patient: Patient) -> list[Check]:
    """`goldens`: those of the runs that ended last verify, by structure and signature, as far as they are written."""
    keys = _keys(patient)
    if keys is None:
        return []
    recorder, store = GoldenRecorder(GoldenFolder(patient.goldens), keys), patient.store
    recent = store.follow(max(0, store.last_position() - _LATEST), _LATEST)
    ended = [run_of(each.record.stream) for each in recent if each.record.topic in END_TOPICS]
    verdicts = [recorder.verify_golden(run_id, tenant) for tenant, run_id in ended[-_MOST:]]
    broken = [each for each in verdicts if [fault.kind for fault in each.faults] not in ([], ["missing"])]
    if not broken:
        return [Check("goldens", "ok", sum(each.ok for each in verdicts), unit="verified")]
    first = broken[0]
    detail = f"golden of run {first.run_id} of tenant {first.tenant}: {first.faults[0]}"
    fix = patient.command("projections rebuild goldens")
    return [Check("goldens", "failed", len(broken), 0, "broken", detail, fix)]


def _keys(patient: Patient) -> GoldenKeys | None:
    if patient.golden_keys is None:
        return None
    try:
        return GoldenKeys.load(patient.golden_keys)
    except CallError:
        return None
