"""`refold golden write` and `list`, and what all commands on goldens are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...core.errors import CallError, Problem, RefoldError
from ...core.ids import check_tenant, run_of
from ...eventstore.store import Store
from ...projections.golden_decisions import GoldenDecisions
from ...projections.golden_files import GoldenFolder
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_lines import Golden
from ...projections.golden_proof import proved
from ...projections.golden_recorder import GoldenRecorder
from ...projections.golden_upkeep import Listed, listed
from ...projections.golden_writing import archived_goldens, contradicted, write_goldens
from ...projections.goldens import GoldenPlace
from ..settings import GOLDEN_KEYS, golden_folder, golden_key_file
from .faults import BROKEN, OK
from .output import clock, console, iso, plain, write_json
from .progress import Told, watched
from .reading import existing_store
from .streams import note


@dataclass(frozen=True)
class Place:
    """Where a command works: the options that all of them have."""

    folder: str | None
    keys: str | None
    tenant: str
    database: str | None
    json: bool

    def goldens(self) -> GoldenFolder:
        """The folder of goldens. Raises CallError for a tenant that cannot be."""
        check_tenant(self.tenant)
        return GoldenFolder(golden_folder(self.folder))

    def key_file(self) -> Path:
        """The file of the keys. Raises CallError when none is named."""
        return check_key_file(self.keys)

    def load(self) -> GoldenKeys:
        """The keys. Raises CallError."""
        return GoldenKeys.load(self.key_file())

    def recorder(self) -> GoldenRecorder:
        """A recorder with the keys. Raises CallError."""
        return GoldenRecorder(self.goldens(), self.load())


def check_key_file(given: str | None) -> Path:
    """The file of the keys. Raises CallError when none is named."""
    path = golden_key_file(given)
    if path is None:
        fix = f"name it by --keys or {GOLDEN_KEYS}; refold golden rotate-key makes one"
        raise CallError(Problem("", "no key file is named", fix))
    return path


def golden_place(store: Store, folder: str | None, keys: str | None) -> GoldenPlace | None:
    """Where projectors keep the store's goldens; None where no key file is named, and so none are kept.

    Raises CallError for a folder without keys.
    """
    if golden_key_file(keys) is None and folder is None:
        return None
    return GoldenPlace(store, golden_folder(folder), check_key_file(keys))


def check_choice(runs: list[str], all_: bool) -> None:
    """Raises CallError unless either runs are named or all are meant."""
    if bool(runs) is all_:
        raise CallError(Problem("", "runs are named and --all is given, or neither", "name runs, or give --all"))


def write(place: Place, runs: list[str], all_: bool, replace: bool) -> int:
    """Write goldens; returns the exit code. A run whose log is broken, or against whose log stands a golden that
    verifies, is told (unless it is to be replaced), and the others are written."""
    check_choice(runs, all_)
    recorder = place.recorder()
    broken: list[str] = []
    with existing_store(place.database) as store, watched("writing") as told:
        ids = all_runs(store, place.tenant) if all_ else runs
        goldens = _readable(store, place.tenant, ids, broken, told) if all_ else _named(store, place.tenant, ids)
        recorded_archives = GoldenDecisions(store).of(place.tenant).archives
        archived = archived_goldens(recorder.storage, place.tenant, recorded_archives) if all_ else None
        if not replace:
            goldens = _uncontradicted(recorder, goldens, broken)
        done = write_goldens(recorder, goldens, archived)
    if place.json:
        write_json({"tenant": place.tenant, **done._asdict(), "broken": len(broken)})
    else:
        more = f"; in archives: {done.archived}" if done.archived else ""
        failed = f"; left alone: {len(broken)}" if broken else ""
        console().print(f"goldens: {done.written}{more}{failed}", soft_wrap=True)
    return BROKEN if broken else OK


def all_runs(store: Store, tenant: str) -> list[str]:
    """The ids of the tenant's runs."""
    return [run_of(stream)[1] for stream in store.streams(tenant) if _is_run(stream)]


def _is_run(stream: str) -> bool:
    try:
        run_of(stream)
    except CallError:
        return False
    return True


def _named(store: Store, tenant: str, runs: Iterable[str]) -> Iterator[Golden]:
    for run_id in runs:
        golden = proved(store, run_id, tenant)
        if golden is None:
            raise CallError(Problem("", f"run {run_id!r} has not ended", "a golden is written of an ended run"))
        yield golden


def _readable(store: Store, tenant: str, runs: list[str], broken: list[str], told: Told) -> Iterator[Golden]:
    for number, run_id in enumerate(runs, 1):
        told(number, len(runs))
        try:
            golden = proved(store, run_id, tenant)
        except RefoldError as error:
            note(f"run {plain(run_id)}: {plain(str(error))}")
            broken.append(run_id)
            continue
        if golden is not None:
            yield golden


def _uncontradicted(recorder: GoldenRecorder, goldens: Iterable[Golden], broken: list[str]) -> Iterator[Golden]:
    for golden in goldens:
        if contradicted(recorder, golden):
            note(
                f"run {plain(golden.run_id)}: its golden verifies and is not what the log says, so one of both was "
                "altered with care; look at golden diff, and if it is the log that is right, add --replace"
            )
            broken.append(golden.run_id)
        else:
            yield golden


def list_goldens(place: Place) -> int:
    """Write what there is; returns the exit code."""
    # Nothing is verified here, so no key is needed.
    recorder = GoldenRecorder(place.goldens(), GoldenKeys("none", {"none": bytes(32)}))
    found = list(listed(recorder, place.tenant))
    if place.json:
        for each in found:
            write_json({**each._asdict(), "ended_at": iso(each.ended_at)})
    elif found:
        console().print(_table(found))
    else:
        note("no goldens")
    return OK


def _table(found: list[Listed]) -> Table:
    table = Table("run", "ended (UTC)", "bytes", "archive", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for each in found:
        run_id = f"unreadable: {each.name}" if each.run_id is None else each.run_id
        table.add_row(plain(run_id), clock(each.ended_at), str(each.size), each.archive or "")
    return table
