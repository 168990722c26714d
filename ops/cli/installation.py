"""`refold certify`: the twenty items, and the report of them; `refold certify verify` reads it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from ...compose import database_url
from ...core.checks import Check
from ...projections.times import iso
from ...replay.signing_keys import AUDIT_KEY, SigningKey, VerifierKey
from ..certification import certify, items
from ..certification_report import check_report, keep_evidence, new_folder, write_report
from ..doctor.examining import examine
from ..doctor.looks import LOOKS
from ..doctor.patient import Patient
from ..scratch import Scratch
from ..tabletop import SHADOW
from .checks_told import tell_checks
from .faults import BROKEN, FAILED, OK, Hidden
from .output import console, plain, write_json
from .progress import watched
from .signals import stragglers
from .specs import login
from .streams import note
from .tabletop import ended_by_signals

_LOOK_SECONDS = 10.0


class Wanted(NamedTuple):
    """The options of the command."""

    out: str | None
    key: str | None
    prometheus: str | None
    by: str | None
    database: str | None
    json: bool


def certify_installation(wanted: Wanted) -> int:
    """Check all items, write the report and tell them; returns the exit code."""
    at = iso(time.time_ns() // 1000)
    key = SigningKey.load(wanted.key) if wanted.key or os.environ.get(AUDIT_KEY) else None
    folder = Path(wanted.out or f"refold-certification/{at[:19].replace(':', '')}Z").absolute()
    new_folder(folder)
    found, checks = _doctor(wanted.database), list[Check]()
    with ended_by_signals(), watched("certifying") as tell, Scratch() as drill:
        todo = items(found, drill, wanted.prometheus)
        for check in certify(todo):
            checks.append(check)
            tell(len(checks), len(todo))
        keep_evidence(drill.folder / SHADOW, folder)
    body = write_report(folder, checks, wanted.by or login(), at, key)
    tell_checks(checks, wanted.json, {"verdict": body["verdict"], "signed": key is not None, "report": str(folder)})
    if key is None:
        note("note: the report is not signed; name a key by --key, made by: refold audit keygen --name NAME -o key.pem")
    if not wanted.json:
        good = body["verdict"] == "certified"
        verdict = Text(body["verdict"], "bold green" if good else "bold red")
        console().print(verdict.append(f"  {plain(str(folder))}", "not bold default"), soft_wrap=True)
    return OK if body["verdict"] == "certified" else FAILED


def verify_certification(folder: str, key: str | None, json: bool) -> int:
    """Say whether a report is genuine, and what its verdict was; returns the exit code."""
    checked = check_report(Path(folder), None if key is None else VerifierKey.load(key))
    good = checked.ok or (key is None and checked.standing == "unsigned")
    verdict = checked.body["verdict"] if checked.body else None
    if json:
        told = {"ok": good, "standing": checked.standing, "reason": checked.reason, "verdict": verdict}
        write_json({**told, "report": checked.body})
    else:
        style = "bold green" if checked.ok else "bold yellow" if good else "bold red"
        reason = "; ".join(filter(None, (checked.reason, verdict and f"it says: {verdict}")))
        console().print(Text(checked.standing, style).append(f"  {plain(reason)}", "not bold default"), soft_wrap=True)
    return OK if good else BROKEN


def _doctor(database: str | None) -> list[Check]:
    """What the doctor says of the installation, with time enough for a slow one."""
    url = database_url(database)
    named = database is not None or "REFOLD_DATABASE_URL" in os.environ
    patient = Patient(url, given=database is not None, named=named, port=0, seconds=_LOOK_SECONDS, hide=Hidden([url]))
    found = examine(patient, LOOKS)
    stragglers.extend(found.hung)
    if not found.hung:
        patient.close()
    return found.checks
