"""`refold incident collect`: everything about a mismatch, in one archive."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ...compose import BUILD, database_url
from ...core.errors import CallError, Problem, RefoldError
from ...core.ids import check_run_id, check_tenant, stream_of
from ...core.runtime.registry import SkillRegistry
from ...eventstore.store import Store
from ...projections.golden_files import GoldenFolder
from ...projections.golden_names import safe_name
from ...projections.times import iso
from ...projections.worker_reports import reports
from ...replay.fleet import Order, Query
from ...replay.today import code_of
from ...replay.verdicts import PROOFS
from ..fleet_worker import prover_of
from ..incident_archive import IncidentArchive, reserved
from ..incident_facts import began, decisions, golden_files, host, policies, run_files
from ..settings import golden_folder, golden_key_file
from .commands import app
from .faults import OK, Hidden
from .output import console, plain, stdout_for_json_only, write_json
from .progress import watched
from .reading import existing_store, read_skills
from .signals import run_until_stopped
from .streams import note
from .times_given import read_time

_BEFORE_MICROSECONDS = 3600 * 1_000_000
"""So long before the first run began decisions are of interest, if nobody says since when."""

_DOCTOR_SECONDS = 60.0
_MIB = 1024 * 1024
_LOG_BYTES = 16 * _MIB
_SECRETS = re.compile(
    r"\b(rfk_[0-9A-Za-z]+_|whsec_)[^\s\"']+|(://[^/\s:@]*:)[^@\s/]+(?=@)|\b(Bearer\s+)[^\s\"']+", re.I
)
"""Keys of our API, secrets of webhooks, passwords in URLs, bearer tokens: the prefix, which stays, and the rest."""


class Wanted(NamedTuple):
    """What `incident collect` was given."""

    runs: Sequence[str]
    out: str
    since: str | None
    logs: Sequence[str]
    skills: Sequence[str]
    goldens: str | None
    keys: str | None
    most_mib: int
    tenant: str
    database: str | None


def collect(wanted: Wanted, json: bool) -> int:
    """Write the archive; returns the exit code."""
    check_tenant(wanted.tenant)
    for run_id in wanted.runs:
        check_run_id(run_id)
    since = read_time("--since", wanted.since)
    hide = Hidden([database_url(wanted.database)])
    logs = [(Path(name), _log(Path(name), hide)) for name in wanted.logs]
    archive = IncidentArchive(wanted.most_mib * _MIB)
    with reserved(Path(wanted.out)) as part:
        with stdout_for_json_only(json), existing_store(wanted.database) as store:
            missing = [run_id for run_id in wanted.runs if began(store, wanted.tenant, run_id) is None
                       and not store.heads([stream_of(wanted.tenant, run_id)])]  # fmt: skip
            if missing:
                reason = f"no run {missing[0]!r} of tenant {wanted.tenant!r}"
                raise CallError(Problem("", reason, "see: refold list, and name its tenant by --tenant"))
            verdicts = _fill(archive, store, wanted, since)
        for number, (path, data) in enumerate(logs, 1):
            archive.add(f"logs/{number}-{safe_name(path.name)}", data)
        manifest = archive.manifest({"runs": list(wanted.runs), "tenant": wanted.tenant, "verdicts": verdicts,
                                     "collected_at": iso(time.time_ns() // 1000)})  # fmt: skip
        part.write_bytes(archive.tar(manifest))
        size = part.stat().st_size
    for name, why in archive.left_out.items():
        note(f"left out: {plain(name)}: {plain(why)}")
    if json:
        write_json({"file": wanted.out, "bytes": size, "files": len(manifest["files"]), "verdicts": verdicts,
                    "left_out": manifest["left_out"]})  # fmt: skip
    else:
        told = ", ".join(f"{run_id} {verdict}" for run_id, verdict in verdicts.items())
        console().print(plain(f"{wanted.out}: {len(manifest['files'])} files, {size:,} bytes; {told}"), soft_wrap=True)
    return OK


def _fill(archive: IncidentArchive, store: Store, wanted: Wanted, since: int | None) -> dict[str, str]:
    """Put in all but the logs; returns the verdict on each run. What cannot be had is told in the manifest."""
    tenant, verdicts = wanted.tenant, dict[str, str]()
    skills = read_skills(wanted.skills)
    goldens = GoldenFolder(golden_folder(wanted.goldens))
    with watched("collecting") as tell:
        steps = len(wanted.runs) + 5
        for number, run_id in enumerate(wanted.runs, 1):
            where = f"runs/{safe_name(run_id)}"
            _all(archive, where, lambda run_id=run_id: run_files(store, tenant, run_id))
            _all(archive, where, lambda run_id=run_id: golden_files(goldens, tenant, run_id))
            verdicts[run_id] = _proof(archive, f"{where}/proof.json", store, wanted, run_id, skills)
            tell(number, steps)
        starts = [at for run_id in wanted.runs if (at := began(store, tenant, run_id)) is not None]
        first = since if since is not None else min(starts, default=0) - _BEFORE_MICROSECONDS
        _one(archive, "control.jsonl", lambda: decisions(store, tenant, first))
        _all(archive, "", lambda: policies(store))
        tell(steps - 3, steps)
        _one(archive, "workers.jsonl", lambda: b"".join(_line(asdict(each)) for each in reports(store)))
        archive.add_json("host.json", host())
        archive.add_json("code.json", code_of(skills, BUILD, os.environ.get("REFOLD_BUILD") or None))
        tell(steps - 1, steps)
        _doctor(archive, wanted.database)
        tell(steps, steps)
    return verdicts


def _proof(
    archive: IncidentArchive, name: str, store: Store, wanted: Wanted, run_id: str, skills: SkillRegistry
) -> str:
    key_file = golden_key_file(wanted.keys)
    goldens = None if key_file is None else [str(golden_folder(wanted.goldens).absolute()), str(key_file.absolute())]
    order = Order(Query(wanted.tenant), PROOFS)
    try:
        prover = prover_of(store, skills, order, goldens)
        proof = run_until_stopped(lambda: prover.prove(run_id, wanted.tenant))
    except RefoldError as error:
        archive.skip(name, str(error))
        return "not_verifiable"
    archive.add_json(name, proof.to_json())
    return proof.verdict


def _all(archive: IncidentArchive, folder: str, made: Callable[[], Any]) -> None:
    """Put in the files that `made` gives, as far as they can be had."""
    try:
        for name, data in made():
            archive.add(f"{folder}/{name}" if folder else name, data)
    except RefoldError as error:
        archive.skip(f"{folder}/...", str(error))


def _one(archive: IncidentArchive, name: str, made: Callable[[], bytes]) -> None:
    _all(archive, "", lambda: [(name, made())])


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _doctor(archive: IncidentArchive, database: str | None) -> None:
    """What `refold doctor` says, in a process of its own: it may hang on the very trouble."""
    if "doctor" not in {each.name for each in (*app.registered_commands, *app.registered_groups)}:
        return
    environment = {**os.environ, "REFOLD_DATABASE_URL": database_url(database)}
    command = [sys.executable, "-P", "-m", "refold", "doctor", "--json"]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DOCTOR_SECONDS
        )
    except subprocess.TimeoutExpired:
        archive.skip("doctor.jsonl", f"it had not ended after {_DOCTOR_SECONDS:g} s")
        return
    archive.add("doctor.jsonl", _masked(done.stdout, Hidden([database_url(database)])))


def _log(path: Path, hide: Hidden) -> bytes:
    """The end of a log, without secrets as far as they can be told. Raises CallError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _LOG_BYTES, 0))
            data = file.read(_LOG_BYTES)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}"
        raise CallError(Problem("", reason, "name logs by --log FILE")) from None
    return _masked(data, hide)


def _masked(data: bytes, hide: Hidden) -> bytes:
    text = data.decode("utf-8", "replace")
    return _SECRETS.sub(lambda found: f"{next(filter(None, found.groups()), '')}***", hide(text)).encode()
