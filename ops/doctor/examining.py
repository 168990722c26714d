"""The looks, side by side: each has its time, and none can take another down."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ...core.checks import Check
from ...core.errors import InvalidError, RefoldError
from .patient import Look, Patient

STORE = "store"
"""The look that those stand on which need the store."""


class Examination(NamedTuple):
    """What was found, in the order of the looks; and the threads that had not come back when their time was up."""

    checks: list[Check]
    hung: list[threading.Thread]


def examine(patient: Patient, looks: Sequence[Look]) -> Examination:
    """Have all looks done, each as soon as the one that it stands on is well.

    Returns after `patient.seconds` for each look that others stand on, and once more, at the latest.
    """
    begun: dict[str, _Looking] = {}

    def begin(after: str) -> None:
        mine = [look for look in looks if look.after == after]
        begun.update((look.name, _Looking(patient, look)) for look in mine)
        for look in mine:
            if any(other.after == look.name for other in looks):
                begun[look.name].wait()
                if all(check.state == "ok" for check in begun[look.name].checks()):
                    begin(look.name)

    begin("")
    done = [begun[look.name] for look in looks if look.name in begun]
    for looking in done:
        looking.wait()
    # What a look finds after its time is up counts no more.
    checks = [_hidden(patient, check) for looking in done for check in looking.checks()]
    return Examination(checks, [looking.thread for looking in done if looking.thread.is_alive()])


def cure(patient: Patient, looks: Iterable[Look], checks: Iterable[Check]) -> list[str]:
    """Do what can be done about those of `checks` that are not well; returns what was done, in words."""
    ill = {check.name.partition(":")[0] for check in checks if check.state != "ok"}
    done: list[str] = []
    for look in looks:
        if look.cure is not None and look.name in ill:
            try:
                did = look.cure(patient)
            except (RefoldError, OSError) as error:
                did = f"{look.name} could not be cured: {_told(error)[0]}"
            done += [patient.hide(did)] if did else []
    return done


class _Looking:
    """A look on a thread of its own, which nobody waits for at the end of the process."""

    def __init__(self, patient: Patient, look: Look):
        self.look = look
        self._patient = patient
        self._found: list[Check] | None = None
        self._until = time.monotonic() + patient.seconds
        self.thread = threading.Thread(target=self._run, name=f"refold-doctor-{look.name}", daemon=True)
        self.thread.start()

    def wait(self) -> None:
        """Until it has come back, or its time is up."""
        self.thread.join(max(0.0, self._until - time.monotonic()))

    def checks(self) -> list[Check]:
        """What it has found by now."""
        if self._found is not None:
            return self._found
        name, seconds = self.look.name, self._patient.seconds
        fix = self._patient.command("doctor")
        detail = f"no answer within {seconds:g} s"
        if name == STORE:
            detail = f"{self._patient.url}: {detail}: somebody holds it, or it stands still"
            fix = who_holds(self._patient)
        return [Check(name, "failed", seconds, seconds, "s", detail, fix)]

    def _run(self) -> None:
        try:
            found = self.look.find(self._patient)
        except (RefoldError, OSError) as error:
            detail, fix = _told(error)
            self._found = [Check(self.look.name, "failed", detail=detail, fix=fix or self._patient.command("doctor"))]
        except Exception as error:  # A look that is wrong itself must not hide what the others have found.
            detail = f"this check itself has failed: {type(error).__name__}: {error}"
            self._found = [Check(self.look.name, "failed", detail=detail, fix=self._patient.command("doctor --json"))]
        else:
            self._found = [found] if isinstance(found, Check) else found


def who_holds(patient: Patient) -> str:
    """The command that tells who keeps a database from answering."""
    if patient.file is not None:
        return f"fuser -v {shlex.quote(str(patient.file))}"
    return f"pg_isready -d {shlex.quote(patient.url)}"


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, InvalidError) and error.problems:
        return error.problems[0].reason, error.problems[0].fix
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), ""
    return str(error), ""


def _hidden(patient: Patient, check: Check) -> Check:
    return replace(check, detail=patient.hide(check.detail), fix=patient.hide(check.fix))
