"""`refold golden verify` and `diff`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from rich.text import Text

from ...core.divergence import VOLATILE_FIELDS
from ...core.errors import CallError, IntegrityError, Problem
from ...core.golden_log import GoldenLog
from ...eventstore.store import Store
from ...projections.golden_archives import archive_names
from ...projections.golden_compare import GoldenDifference, compare_golden
from ...projections.golden_decisions import GoldenDecisions
from ...projections.golden_faults import GoldenFault
from ...projections.golden_names import GOLDEN, safe_name
from ...projections.golden_proof import recorded, verdict_by_log
from ...projections.golden_recorder import GoldenRecorder, GoldenVerdict
from ...projections.golden_upkeep import verify_archive
from ...projections.golden_writing import archived_goldens
from ...replay.golden_control import verify_golden_control
from .faults import BROKEN, DIVERGED, OK
from .goldens import Place, all_runs, check_choice
from .output import console, plain, write_json
from .progress import Told, watched
from .reading import existing_store, missing_file
from .streams import note


def verify(place: Place, runs: list[str], all_: bool, offline: bool, complete: bool) -> int:
    """Write the verdicts (of --all: on those that are not intact; as JSON on all); returns the exit code."""
    check_choice(runs, all_)
    recorder = place.recorder()
    if not offline and (missing := missing_file(place.database)) is not None:
        note(f"note: there is no database {missing}: the log is not looked at")
        offline = True
    if complete and (offline or not all_):
        raise CallError(Problem("", "--complete asks the log for all ended runs", "give --all, and the database"))
    checked = broken = 0
    with nullcontext(None) if offline else existing_store(place.database) as store, watched("verifying") as told:
        verdicts = _all(recorder, store, place.tenant, complete, told) if all_ else _some(recorder, store, place, runs)
        for verdict in verdicts:
            checked += 1
            broken += not verdict.ok
            if place.json:
                write_json(verdict.to_json())
            elif not (all_ and verdict.ok):
                _tell(verdict)
        proofs = verify_golden_control(store, place.tenant) if all_ and store is not None else []
    control = [finding for proof in proofs for finding in (*proof.chain, *proof.fold)]
    for finding in control:
        note(f"the record of decisions: {plain(str(finding))}")
    if place.json and all_:
        counts = {"checked": checked, "broken": broken, "control": [finding.to_json() for finding in control]}
        write_json({"tenant": place.tenant, "ok": not broken and not control, "log": store is not None, **counts})
    elif all_:
        head = Text("broken", "bold red") if broken or control else Text("intact", "bold green")
        by = "" if store is not None else ", without the log"
        more = f"; not intact: {broken}" if broken else ""
        console().print(head.append(f"  {checked} checked{by}{more}", "not bold default"), soft_wrap=True)
    return BROKEN if broken or control else OK


def _some(recorder: GoldenRecorder, store: Store | None, place: Place, runs: list[str]) -> Iterator[GoldenVerdict]:
    for run_id in runs:
        verdict = verdict_by_log(recorder, store, run_id, place.tenant)
        if [fault.kind for fault in verdict.faults] == ["missing"]:
            name = safe_name(run_id) + GOLDEN
            if (place.tenant, name) in archived_goldens(recorder.storage, place.tenant):
                note(f"{plain(run_id)}: it lies in an archive: see refold golden list, then restore")
        yield verdict


def _all(
    recorder: GoldenRecorder, store: Store | None, tenant: str, complete: bool, told: Told
) -> Iterator[GoldenVerdict]:
    found = list(recorder.runs(tenant))
    log = _decided(store, tenant)
    there = archive_names(recorder.storage, tenant)
    archives = sorted({*there, *log.archives})
    for number, (name, run_id) in enumerate(found, 1):
        told(number, len(found) + len(archives))
        if run_id is None:
            fault = GoldenFault(1, "identity", "its first line does not name the run that the file is called after")
            yield GoldenVerdict(tenant, name, None, (fault,))
        else:
            yield verdict_by_log(recorder, store, run_id, tenant)
    for number, name in enumerate(archives, len(found) + 1):
        told(number, len(found) + len(archives))
        if store is not None and name not in log.archives:
            fix = "golden resign removes it" if name in log.replaced else "golden archive records it"
            note(f"{name}: no decision says that it is there; refold {fix}")
        yield verify_archive(recorder, tenant, name, log.archives.get(name))
    if complete and store is not None:
        yield from _lacking(recorder, store, tenant, {name for name, _ in found})


def _decided(store: Store | None, tenant: str) -> GoldenLog:
    """What was decided; nothing if that cannot be read, of which the proof of the control streams tells."""
    try:
        return GoldenLog(tenant) if store is None else GoldenDecisions(store).of(tenant)
    except IntegrityError:
        return GoldenLog(tenant)


def _lacking(recorder: GoldenRecorder, store: Store, tenant: str, there: set[str]) -> Iterator[GoldenVerdict]:
    archived = {name for _, name in archived_goldens(recorder.storage, tenant)}
    for run_id in all_runs(store, tenant):
        if safe_name(run_id) + GOLDEN not in there | archived:
            verdict = verdict_by_log(recorder, store, run_id, tenant)
            if verdict.faults and recorded(store, run_id, tenant) is not None:
                yield verdict


def _tell(verdict: GoldenVerdict) -> None:
    screen = console()
    head = Text("intact", "bold green") if verdict.ok else Text("broken", "bold red")
    key = f"  key {verdict.key_id}" if verdict.key_id else ""
    screen.print(head.append(f"  {plain(verdict.run_id)}{key}", "not bold default"), soft_wrap=True)
    for fault in verdict.faults:
        screen.print(Text("  ").append(plain(str(fault)), "red"), soft_wrap=True)


def diff(place: Place, actual: str, expected: str | None, volatile: list[str] | None, timestamps: bool) -> int:
    """Write in what the goldens differ; returns the exit code."""
    one = _golden(place, actual)
    if expected is not None:
        other = _golden(place, expected)
    else:
        with existing_store(place.database) as store:
            golden = recorded(store, actual, place.tenant)
        if golden is None:
            raise CallError(Problem("", f"run {actual!r} has not ended", "there is nothing to compare with"))
        other = golden.data
    left_out = VOLATILE_FIELDS if volatile is None else volatile
    found = compare_golden(one, other, ignore_timestamps=not timestamps, volatile=left_out)
    for difference in found:
        if place.json:
            write_json(difference.to_json())
        else:
            console().print(plain(_told(difference)), soft_wrap=True)
    if place.json:
        write_json({"equal": not found, "differences": len(found)})
    elif not found:
        console().print(Text("equal", "bold green"))
    return DIVERGED if found else OK


def _told(difference: GoldenDifference) -> str:
    where = f"{difference.event} {difference.pointer}".rstrip()
    return f"{where}: {difference.actual} is there, {difference.expected} was expected"


def _golden(place: Place, named: str) -> bytes:
    path = Path(named)
    if "/" in named or named.endswith(GOLDEN):
        try:
            return path.read_bytes()
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror}"
            raise CallError(Problem("", reason, "name a golden, or a run by its id")) from None
    return place.recorder().read_golden(named, place.tenant).data
