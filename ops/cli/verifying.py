"""`refold verify`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.progress import Progress
from rich.text import Text

from ...core.errors import CallError, StoreUnreachableError
from ...core.ids import check_tenant, run_of
from ...eventstore.store import Store
from ...replay.archives import ArchivesVerification, verify_archives
from ...replay.control import SpecsVerification, verify_specs
from ...replay.findings import Finding
from ...replay.verify import Verification, verify_run
from .faults import BROKEN, OK
from .output import console, plain, write_json
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
    """Write the verdicts on the tenant's runs, its registered specs, and the store's archives, where they are not in
    order (as JSON: all); returns the exit code."""
    check_tenant(tenant)
    if (missing := missing_file(database)) is not None:
        # Whoever verifies the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    runs = events = specs = archives = broken = 0
    for verdict in _verdicts(tenant, database):
        if isinstance(verdict, SpecsVerification):
            specs += verdict.events
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
        counted = {"runs": runs, "events": events, "specs": specs, "archives": archives, "broken": broken}
        write_json({"tenant": tenant, "ok": not broken, **counted})
    else:
        head = Text("broken", "bold red") if broken else Text("intact" if runs or specs else "nothing", "bold green")
        counts = (
            f"  {runs} runs, {events} events"
            + (f", {specs} registered specs" if specs else "")
            + (f", {archives} archives" if archives else "")
            + (f"; not as recorded: {broken}" if broken else "")
        )
        console().print(head.append(counts, "not bold default"), soft_wrap=True)
    return BROKEN if broken else OK


_Verdict = Verification | SpecsVerification | ArchivesVerification


def _verdicts(tenant: str, database: str | None) -> Iterator[_Verdict]:
    screen = console(stderr=True)
    with (
        existing_store(database) as store,
        Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar,
    ):
        for stream in bar.track(store.streams(tenant), description="verifying"):
            yield _verdict(store, stream)
        if (specs := verify_specs(store, tenant)) is not None:
            yield specs
        task = bar.add_task("hashing archives", total=None)
        archives = verify_archives(store, lambda done, of: bar.update(task, completed=done, total=of))
        if archives is not None:
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
    if isinstance(verdict, SpecsVerification):
        return f"the registered specs  {verdict.events} events"
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
