"""Projections: how far behind, standing still, or with runs left aside; and what of webhooks was not taken."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ...core.checks import Check
from ...eventstore.outbox import Lookup, Status
from ...projections.standings import Standing, standings
from .patient import Patient

_BAD: Mapping[Status, str] = {"dead": "given up", "waiting": "not taken when last tried"}

LAG_SECONDS = 600.0
"""Further behind is a fault, as for `/ready`."""


def projections(patient: Patient) -> Check:
    """`projections`: those that are read follow the log; none stands still at an event or is paused."""
    active = [each for each in standings(patient.store) if each.of.active]
    if not active:
        return Check("projections", "ok", detail="none is kept")
    worst = max(active, key=lambda each: each.lag.seconds)
    seconds = round(worst.lag.seconds, 3)
    for each in active:
        if each.state == "stopped":
            fix = _going_on(patient, each)
            detail = f"{each.of.name} stands still: {each.of.error}"
            return Check("projections", "failed", seconds, LAG_SECONDS, "s", detail, fix)
    if seconds > LAG_SECONDS:
        fix = _going_on(patient, worst)
        detail = f"{worst.of.name} is {worst.lag.events} events behind the log, and {worst.state}"
        return Check("projections", "failed", seconds, LAG_SECONDS, "s", detail, fix)
    for each in active:
        if each.state == "paused":
            fix = patient.command(f"projections resume {each.of.name}")
            return Check("projections", "warning", seconds, LAG_SECONDS, "s", f"{each.of.name} is paused", fix)
    return Check("projections", "ok", seconds, LAG_SECONDS, "s")


def _going_on(patient: Patient, of: Standing) -> str:
    if of.state == "paused":
        return patient.command(f"projections resume {of.of.name}")
    if of.state == "stopped":
        # What keeps goldens from being written (no key, no room) other checks tell; else it is an event of the log.
        rebuilt = of.of.name == "goldens"
        return patient.command(f"projections rebuild {of.of.name}" if rebuilt else "verify --all")
    return patient.command("projector")


def parked(patient: Patient) -> Check:
    """`parked`: no run was left aside because of an event that could not be taken in."""
    tables = patient.store.tables
    aside = {each.name: tables.parked(each.name, each.generation) for each in tables.generations() if each.active}
    left = {name: rows for name, found in aside.items() if (rows := [row for row in found if not row.retry])}
    retried = sum(row.retry for found in aside.values() for row in found)
    if left:
        name, rows = next(iter(left.items()))
        detail = f"{name} left {len(rows)} runs aside; {rows[0].stream} at event {rows[0].version}: {rows[0].reason}"
        fix = patient.command(f"projections retry {name}")
        return Check("parked", "failed", sum(map(len, left.values())), 0, "runs", detail, fix)
    if retried:
        detail = "they are tried again as soon as a projector runs"
        return Check("parked", "warning", retried, 0, "runs", detail, patient.command("projector"))
    return Check("parked", "ok", 0, 0, "runs")


def retry(patient: Patient) -> str:
    """Have all that was left aside tried again."""
    tables, done = patient.store.tables, list[str]()
    for each in tables.generations():
        left = [row for row in tables.parked(each.name, each.generation) if not row.retry]
        if each.active and left:
            done.append(f"{each.name} tries {tables.retry(each.name, None)} runs again")
    return ", ".join(done)


def webhooks(patient: Patient) -> Check:
    """`webhooks`: no message was given up, and none was refused when it was last tried."""
    outbox = patient.store.outbox
    totals = outbox.totals()
    for tenant in sorted({row.tenant for row in outbox.endpoints()}) if totals.dead or totals.failing else ():
        for status, what in _BAD.items():
            found = outbox.deliveries(Lookup(tenant, status=status, failed=status == "waiting"), 1)
            if found:
                detail = (
                    f"{totals.dead} were given up, {totals.failing} are tried again; {found[0].message_id} of tenant "
                    f"{tenant} to {found[0].endpoint_id} was {what}: {found[0].error}"
                )
                fix = patient.command(f"webhooks replay --all --tenant {shlex.quote(tenant)}")
                return Check("webhooks", "warning", totals.dead + totals.failing, 0, "not taken", detail, fix)
    return Check("webhooks", "ok", 0, 0, "not taken")
