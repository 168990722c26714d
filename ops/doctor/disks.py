"""Room on the disks, and folders that can be used."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from ...compose import archive_folder
from ...core.checks import Check
from .patient import Patient

FREE_BYTES = 256 * 1024 * 1024
"""With less a disk counts as full, as for `/ready`."""

FREE_RATIO = 0.1
"""With less a disk is about to be full."""


def disks(patient: Patient) -> list[Check]:
    """`disk:store`, `disk:goldens` and `disk:temporary`: what is free where files are written."""
    named = {
        "store": (patient.file.absolute().parent, patient.command("store archive --older-than 30d"))
        if patient.file is not None
        else None,
        "goldens": (patient.goldens, patient.command("golden archive")),
        "temporary": (Path(tempfile.gettempdir()), f"du -xk {shlex.quote(tempfile.gettempdir())} | sort -n | tail"),
    }
    return [_disk(patient, f"disk:{name}", *place) for name, place in named.items() if place is not None]


def _disk(patient: Patient, name: str, folder: Path, fix: str) -> Check:
    found = patient.statvfs(nearest(folder))
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    if found.f_files and not found.f_favail:
        return Check(name, "failed", 0, 1, "files", f"{folder}: no further file can be made", fix)
    low = free < FREE_BYTES
    state = "failed" if low else "warning" if size and free / size < FREE_RATIO else "ok"
    detail = "" if state == "ok" else f"{folder}: {free / size if size else 0:.1%} is free"
    return Check(name, state, free, FREE_BYTES, "bytes", detail, "" if state == "ok" else fix)


def nearest(folder: Path) -> Path:
    """The folder, or the one above it that exists: it is made when it is first needed."""
    folder = folder.absolute()
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def _named(patient: Patient) -> list[Path]:
    """The folders that somebody has named, which therefore should be there."""
    variables = ("REFOLD_GOLDENS", "REFOLD_AUDIT", "REFOLD_CERTIFICATES")
    found = [Path(text) for name in variables if (text := os.environ.get(name))]
    archives = archive_folder(patient.url) if os.environ.get("REFOLD_ARCHIVE") else None
    return found + ([archives] if archives is not None else [])


def folders(patient: Patient) -> Check:
    """`folders`: those that the environment names are there and can be written to."""
    named = _named(patient)
    for folder in named:
        quoted = shlex.quote(str(folder))
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            return Check("folders", "failed", detail=f"{folder} cannot be written to", fix=f"chmod u+rwx {quoted}")
        if folder.exists() and not folder.is_dir():
            detail = f"{folder} is no folder"
            return Check("folders", "failed", detail=detail, fix=f"mv {quoted} {quoted}.old && mkdir -p {quoted}")
    lacking = [folder for folder in named if not folder.exists()]
    if lacking:
        fix = f"mkdir -p {' '.join(shlex.quote(str(folder)) for folder in lacking)}"
        told = ", ".join(map(str, lacking))
        return Check("folders", "warning", len(lacking), 0, "missing", f"not there yet: {told}", fix)
    return Check("folders", "ok", 0, 0, "missing")


def make_folders(patient: Patient) -> str:
    """Make those that lack."""
    lacking = [folder for folder in _named(patient) if not folder.exists()]
    for folder in lacking:
        folder.mkdir(parents=True, exist_ok=True)
    return f"made {', '.join(map(str, lacking))}" if lacking else ""
