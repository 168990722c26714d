"""`refold verify`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ...core.errors import CallError, StoreUnreachableError
from ...core.ids import check_tenant, run_of, specs_of
from ...eventstore.store import Store
from ...replay.archives import ArchivesVerification, verify_archives
from ...replay.control import ControlVerification, verify_specs
from ...replay.findings import Finding
from ...replay.golden_control import verify_golden_control
from ...replay.verify import Verification, verify_run
from .faults import BROKEN, OK
from .output import console, plain, write_json
from .progress import watched
from .reading import existing_store, missing_file


def verify_one(run_id: str, tenant: str, database: str | None, json: bool) -> int:
    """Write the verdict on one run; returns the exit code."""
    with existing_store(database) as store:
        verdict = verify_run(store, run_id, tenant)
    if json:
        write_json(verdict.to_json())
    else:
        _tell(verdict)
    return OK if verdict.ok else BROKEN


def verify_all(tenant: str, database: str | None, json: bool) -> int:
    """Write the verdicts on all runs of the tenant, its registered specs, what was decided about goldens, and archives,
    that are not in order (as JSON: on all); returns the exit code."""
    check_tenant(tenant)
    if (missing := missing_file(database)) is not None:
        # Whoever verifies the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    runs = events = specs = decisions = archives = broken = 0
    for verdict in _verdicts(tenant, database):
        if isinstance(verdict, ControlVerification):
            is_specs = verdict.stream == specs_of(tenant)
            specs += verdict.events if is_specs else 0
            decisions += 0 if is_specs else verdict.events
        elif isinstance(verdict, ArchivesVerification):
            archives += verdict.archives
        else:
            runs += 1
            events += verdict.events
        broken += not verdict.ok
        if json:
            write_json(verdict.to_json())
        elif not verdict.ok:
            _tell(verdict)
    if json:
        counted = {"runs": runs, "events": events, "specs": specs, "golden_decisions": decisions, "archives": archives}
        write_json({"tenant": tenant, "ok": not broken, **counted, "broken": broken})
    else:
        head = (
            Text("broken", "bold red")
            if broken
            else Text("intact" if runs or specs or decisions else "nothing", "bold green")
        )
        counts = (
            f"  {runs} runs, {events} events"
            + (f", {specs} registered specs" if specs else "")
            + (f", {decisions} decisions on goldens" if decisions else "")
            + (f", {archives} archives" if archives else "")
            + (f"; not as recorded: {broken}" if broken else "")
        )
        console().print(head.append(counts, "not bold default"), soft_wrap=True)
    return BROKEN if broken else OK


_Verdict = Verification | ControlVerification | ArchivesVerification


def _verdicts(tenant: str, database: str | None) -> Iterator[_Verdict]:
    with existing_store(database) as store, watched("verifying") as told:
        streams = store.streams(tenant)
        for number, stream in enumerate(streams, 1):
            yield _verdict(store, stream)
            told(number, len(streams))
        if (specs := verify_specs(store, tenant)) is not None:
            yield specs
        yield from verify_golden_control(store, tenant)
        if (archives := verify_archives(store, told)) is not None:
            yield archives


def _verdict(store: Store, stream: str) -> Verification:
    tenant, _, name = stream.partition("/")
    try:
        return verify_run(store, run_of(stream)[1], tenant)
    except CallError as error:
        foreign = Finding(stream, 0, "foreign", str(error))
        return Verification(name, tenant, 0, 0, None, None, (foreign,), ())


def _tell(verdict: _Verdict) -> None:
    screen = console()
    head = Text("intact", "bold green") if verdict.ok else Text("broken", "bold red")
    screen.print(head.append(f"  {_counts(verdict)}", "not bold default"), soft_wrap=True)
    for line in _proofs(verdict):
        screen.print(line, soft_wrap=True)
    if isinstance(verdict, Verification) and verdict.ok and verdict.workflow_hash is not None:
        screen.print(Text("  hash   ", "dim").append(verdict.workflow_hash, "not dim"), soft_wrap=True)


def _counts(verdict: _Verdict) -> str:
    if isinstance(verdict, ArchivesVerification):
        return f"the archives  {verdict.archives} files"
    if isinstance(verdict, ControlVerification):
        return f"{verdict.about}  {verdict.events} events"
    messages = f", {verdict.messages} messages" if verdict.messages else ""
    return f"{plain(verdict.run_id)}  {verdict.status or ''}  {verdict.events} events{messages}"


def _proofs(verdict: _Verdict) -> Iterator[Text]:
    if isinstance(verdict, ArchivesVerification):
        for finding in verdict.findings:
            yield Text("  files  ", "dim").append(plain(str(finding)), "not dim red")
        return
    meanings = {"chain": "no byte was altered, none is missing", "fold": "folding again gives the recorded hashes"}
    for name, findings in (("chain", verdict.chain), ("fold", verdict.fold)):
        if not findings:
            yield Text(f"  {name:<5}  ", "dim").append("ok  ", "not dim green").append(meanings[name])
        for finding in findings:
            yield Text(f"  {name:<5}  ", "dim").append(plain(str(finding)), "not dim red")
    for note in verdict.notes if isinstance(verdict, Verification) else ():
        yield Text("  note   ", "dim").append(plain(note), "not dim yellow")
