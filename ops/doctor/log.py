"""The log: its end and some of its streams are what was appended."""

from __future__ import annotations

from random import SystemRandom

from ...core.checks import Check
from ...core.errors import CallError
from ...core.ids import run_of
from ...replay.tail import prove_tail
from .patient import Patient


def chain(patient: Patient) -> Check:
    """`chain`: the latest events and the head rows agree, and those of some streams at random."""
    found, streams = prove_tail(patient.store, SystemRandom())
    if not found:
        return Check("chain", "ok", streams, unit="streams")
    broken = sorted({each.stream for each in found})
    more = f", and {len(broken) - 1} streams more" if len(broken) > 1 else ""
    return Check("chain", "failed", len(broken), 0, "streams", f"{found[0]}{more}", patient.command(_verify(broken)))


def _verify(streams: list[str]) -> str:
    try:
        tenant, run_id = run_of(streams[0].removesuffix("/inbox"))
    except CallError:
        return "verify --all"
    return f"verify {run_id} --tenant {tenant}" if len(streams) == 1 else "verify --all"
