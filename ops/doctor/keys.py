"""Files of secrets: those that are named are there, hold keys, and are their owner's alone."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...compose import DATA_KEYS
from ...core.checks import Check
from ...core.errors import RefoldError
from ...eventstore.master_keys import MasterKeys
from ...projections.golden_keys import GoldenKeys
from ...projections.webhook_keys import WebhookKeys
from ..settings import WEBHOOK_KEYS
from .patient import Patient

_AUDIT_KEY = "REFOLD_AUDIT_KEY"


class _Kind(NamedTuple):
    name: str
    path: Path
    load: Callable[[Path], object]
    make: str


def _signing(path: Path) -> object:
    from ...replay.signing_keys import SigningKey

    return SigningKey.load(path)


def _named(patient: Patient) -> Iterator[_Kind]:
    if patient.golden_keys is not None:
        yield _Kind("goldens", patient.golden_keys, GoldenKeys.load, patient.command("golden rotate-key"))
    if data := os.environ.get(DATA_KEYS):
        yield _Kind("data", Path(data), MasterKeys.load, patient.command("data-keys rotate"))
    # The first webhook makes the file.
    if (webhooks := os.environ.get(WEBHOOK_KEYS)) and Path(webhooks).exists():
        yield _Kind("webhooks", Path(webhooks), WebhookKeys.load, patient.command("webhooks rotate ENDPOINT"))
    if audit := os.environ.get(_AUDIT_KEY):
        make = f"refold audit keygen --name example.com/log -o {shlex.quote(audit)}"
        yield _Kind("audit", Path(audit), _signing, make)


def files(patient: Patient) -> list[Check]:
    """`keys:goldens`, `keys:data`, `keys:webhooks` and `keys:audit`, of those that the environment names."""
    return [_file(kind) for kind in _named(patient)]


def _file(kind: _Kind) -> Check:
    name, path = f"keys:{kind.name}", kind.path
    try:
        about = path.stat()
    except FileNotFoundError:
        detail = f"there is no key file {path}: put its copy back, or make a new one"
        return Check(name, "failed", detail=detail, fix=kind.make)
    except OSError as error:
        return Check(
            name, "failed", detail=f"{path}: {error.strerror}", fix=f"chmod u+x {shlex.quote(str(path.parent))}"
        )
    if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
        detail = f"others may read or write the key file {path} (mode {stat.S_IMODE(about.st_mode):04o})"
        return Check(name, "failed", detail=detail, fix=f"chmod 600 {shlex.quote(str(path))}")
    try:
        kind.load(path)
    except RefoldError as error:
        quoted = shlex.quote(str(path))
        return Check(name, "failed", detail=str(error), fix=f"mv {quoted} {quoted}.bad && {kind.make}")
    return Check(name, "ok", detail=str(path))


def close(patient: Patient) -> str:
    """Keep others from reading and writing key files of ours."""
    done: list[str] = []
    for kind in _named(patient):
        try:
            file = os.open(kind.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            about = os.fstat(file)
            if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
                os.fchmod(file, 0o600)
                done.append(f"chmod 600 {kind.path}")
        finally:
            os.close(file)
    return ", ".join(done)
