"""What operators decided: emergency stops in force, and heads of the tree that are to be published."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.checks import Check
from ...core.runtime.emergency_watch import read_stops
from ...core.runtime.local_stops import LocalStops
from ...eventstore.log import EventLog
from ...projections.times import iso
from .patient import Patient

_AUDIT = "REFOLD_AUDIT"


def emergency(patient: Patient) -> Check:
    """`emergency`: nothing is stopped, on all workers, in this environment or on this host."""
    stops = read_stops(EventLog(patient.store, ""))[0].beside(LocalStops().look()).all()
    if not stops:
        return Check("emergency", "ok", 0, 0, "stops")
    first = stops[0]
    who = f" by {first.by}" if first.by else ""
    why = f": {first.reason}" if first.reason else ""
    more = f"; {len(stops) - 1} stops more" if len(stops) > 1 else ""
    detail = f"{first.scope} is stopped since {iso(first.at)}{who}{why}{more}"
    local = {"environment": "unset WORKFLOW_EMERGENCY_STOP", "file": 'rm "$REFOLD_STOP_FILE"'}
    fix = local.get(first.source, patient.command("emergency-stop disable --all"))
    return Check("emergency", "warning", len(stops), 0, "stops", detail, fix)


def tree(patient: Patient) -> list[Check]:
    """`tree`: where the tree over the log is kept, its head was signed and published."""
    named = os.environ.get(_AUDIT)
    if not named:
        return []
    from ...replay.tree_folder import TreeFolder
    from ...replay.tree_heads import parse_note

    fix = patient.command("audit publish --to PLACE")
    found = TreeFolder(Path(named))
    data = found.checkpoint()
    if data is None:
        return [Check("tree", "warning", 0, found.size, "leaves", "no head was published yet", fix)]
    size = parse_note(data).head.size
    if size < found.size or found.position < patient.store.last_position():
        detail = f"the latest head has {size} leaves, the tree {found.size}, and the log may have more"
        return [Check("tree", "ok", size, found.size, "leaves", detail)]
    return [Check("tree", "ok", size, found.size, "leaves")]
