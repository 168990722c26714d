"""What operators do with goldens once there are many: re-sign, archive by age, restore.

Nothing is put into an archive, taken out of one, or signed anew that does not verify.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import GoldenStoreError, IntegrityError
from ..core.golden_log import GoldenLog
from .golden_archives import Archive, Mark, archive_names, goldens_in, read_archive, remove_archive, write_archive
from .golden_faults import GoldenFault, check_golden, lines_of
from .golden_files import Signed, Stored
from .golden_lines import Golden
from .golden_names import GOLDEN, safe_name
from .golden_recorder import GoldenRecorder, GoldenVerdict
from .golden_signatures import check_signature, sign
from .golden_writing import write_goldens

RETENTION_SECONDS = 7 * 86_400
"""For how long after its run's end a golden stays outside of archives, unless operators say otherwise."""

MOST_IN_ARCHIVE = 10_000
"""Goldens in one archive; of more, several are made."""

Progress = Callable[[int, int], None]
"""Told how far something is: what is done, and of how much."""


def nothing(done: int, of: int) -> None:
    """Progress that nobody watches."""


class Listed(NamedTuple):
    """A golden there is: the run it names (None: unreadable), where it lies, when the run ended (µs), its bytes."""

    run_id: str | None
    name: str
    archive: str | None
    ended_at: int
    size: int


def listed(recorder: GoldenRecorder, tenant: str) -> Iterator[Listed]:
    """The tenant's goldens, by the names of their files, and those that lie in archives only."""
    seen: set[str] = set()
    for name, run_id in recorder.runs(tenant):
        seen.add(name)
        try:
            stored = recorder.storage.read_named(tenant, name)
        except GoldenFault:
            yield Listed(run_id, name, None, 0, 0)
            continue
        yield Listed(run_id, name, None, stored.ended_at, len(stored.data))
    for archive in archive_names(recorder.storage, tenant):
        for name, stored in goldens_in(recorder.storage, tenant, archive):
            if name not in seen:
                seen.add(name)
                yield Listed(_named(name, stored.data), name, archive, stored.ended_at, len(stored.data))


def due(recorder: GoldenRecorder, tenant: str, before: int) -> list[str]:
    """The names of the goldens whose runs ended before that time (µs since the epoch), the oldest first."""
    ended = {name: recorder.storage.ended_at(tenant, name) for name in recorder.storage.names(tenant)}
    old = sorted((at, name) for name, at in ended.items() if at is not None and at < before)
    return [name for _, name in old]


def archive(
    recorder: GoldenRecorder, tenant: str, names: Sequence[str], now: int, told: Progress = nothing
) -> Iterator[Archive]:
    """Move goldens into archives, each yielded when it is durable and before its originals go, so that it can be
    recorded. Raises IntegrityError for one that does not verify at `now`; what was archived before stays so."""
    for begin in range(0, len(names), MOST_IN_ARCHIVE):
        chosen = sorted(names[begin : begin + MOST_IN_ARCHIVE])
        made = write_archive(recorder.storage, tenant, _for_archive(recorder, tenant, chosen, now, begin, names, told))
        yield made
        _remove_originals(recorder, tenant, made)


def _for_archive(
    recorder: GoldenRecorder,
    tenant: str,
    chosen: Sequence[str],
    now: int,
    begin: int,
    names: Sequence[str],
    told: Progress,
) -> Iterator[tuple[str, Stored]]:
    for number, name in enumerate(chosen, begin + 1):
        yield name, _proved(recorder, tenant, name, now)
        told(number, len(names))


def finish_archiving(recorder: GoldenRecorder, tenant: str, log: GoldenLog, now: int, before: int) -> Iterator[Archive]:
    """Go on where a process died while it archived: yields each archive that is there and that `log` does not know, to
    be recorded now; then its originals go, and of the archive recorded last those of runs that ended before `before`.

    Raises IntegrityError for one with a golden that does not verify.
    """
    there = archive_names(recorder.storage, tenant)
    for name in there:
        if name not in log.archives and name not in log.replaced:
            for golden, stored in goldens_in(recorder.storage, tenant, name):
                _checked(recorder, tenant, golden, stored, now)
            made = read_archive(recorder.storage, tenant, name)
            yield made
            _remove_originals(recorder, tenant, made)
    last = next(reversed(log.archives), None)
    if last is not None and last in there:
        found = read_archive(recorder.storage, tenant, last)
        if found.sha256 == log.archives[last]:
            old = {name: mark for name, mark in found.goldens.items() if mark.ended_at < before}
            _remove_originals(recorder, tenant, found._replace(goldens=old))


def _remove_originals(recorder: GoldenRecorder, tenant: str, made: Archive) -> None:
    still = [name for name, mark in made.goldens.items() if _is_still(recorder, tenant, name, mark)]
    recorder.storage.remove(tenant, still)


def restore(
    recorder: GoldenRecorder, tenant: str, name: str, now: int, only: Sequence[str] | None = None
) -> tuple[str, list[str]]:
    """Bring the goldens of an archive back into the folder, `only` some run ids if given; the archive stays.

    All are verified before one is brought back, signed with the current key. Returns the SHA-256 of the archive and the
    ids of the runs. Raises IntegrityError, GoldenStoreError.
    """
    wanted = None if only is None else {safe_name(run_id) + GOLDEN for run_id in only}
    runs = [
        _checked(recorder, tenant, golden, stored, now).run_id
        for golden, stored in goldens_in(recorder.storage, tenant, name)
        if wanted is None or golden in wanted
    ]
    digest = read_archive(recorder.storage, tenant, name).sha256
    goldens = (
        _checked(recorder, tenant, golden, stored, now)
        for golden, stored in goldens_in(recorder.storage, tenant, name)
        if wanted is None or golden in wanted
    )
    write_goldens(recorder, goldens)
    return digest, runs


def verify_archive(recorder: GoldenRecorder, tenant: str, name: str, recorded: str | None = None) -> GoldenVerdict:
    """The verdict on an archive as a whole, in the place of a run: whether it is the one of the SHA-256 `recorded`, and
    the first of its goldens that does not verify."""
    faults: list[GoldenFault] = []
    try:
        if recorded is not None and (found := read_archive(recorder.storage, tenant, name).sha256) != recorded:
            reason = f"its bytes hash to {found[:16]}, by the record of decisions to {recorded[:16]}"
            faults.append(GoldenFault(0, "log", reason))
        for each, stored in goldens_in(recorder.storage, tenant, name):
            _checked(recorder, tenant, each, stored, recorder.now())
    except GoldenStoreError as error:
        if recorded is None or name in archive_names(recorder.storage, tenant):
            raise
        faults.append(GoldenFault(0, "missing", f"it was recorded, and is not there: {error}"))
    except IntegrityError as error:
        faults.append(GoldenFault(0, "archive", str(error)))
    return GoldenVerdict(tenant, name, None, tuple(faults))


Resigned = Callable[[str, Archive], None]
"""Told the name of an archive, and the one that is to take its place: durable, and to be recorded now."""


def resign_all(
    recorder: GoldenRecorder,
    tenant: str,
    now: int,
    told: Progress = nothing,
    resigned: Resigned = lambda name, made: None,
    log: GoldenLog | None = None,
) -> tuple[list[str], int]:
    """Sign all of the tenant's goldens with the current key, those in archives too. Returns the names of the goldens in
    the folder that did not verify, and were left as they were, and how many were signed.

    With the decisions recorded so far, `log`, an archive must be the one that was recorded, and one that was replaced
    before is removed. Raises IntegrityError for another, and for an archive with a golden that does not verify.
    """
    broken: list[str] = []
    signed = 0
    names = recorder.storage.names(tenant)
    archives = archive_names(recorder.storage, tenant)
    for number, name in enumerate(names, 1):
        try:
            stored = _proved(recorder, tenant, name, now)
        except IntegrityError:
            broken.append(name)
            continue
        signed += _resigned(recorder, tenant, name, stored)
        told(number, len(names) + len(archives))
    for number, name in enumerate(archives, len(names) + 1):
        if log is not None and log.replaced.get(name) in archives:
            remove_archive(recorder.storage, tenant, name)
        else:
            check_recorded(recorder, tenant, name, None if log is None else log.archives.get(name))
            signed += _resign_archive(recorder, tenant, name, now, resigned)
        told(number, len(names) + len(archives))
    return broken, signed


def check_recorded(recorder: GoldenRecorder, tenant: str, name: str, recorded: str | None) -> None:
    """Raises IntegrityError for an archive whose SHA-256 is not the one `recorded`; None: nothing is known of it."""
    if recorded is not None and read_archive(recorder.storage, tenant, name).sha256 != recorded:
        raise IntegrityError(f"the archive {name} is not the one that was recorded")


def _resigned(recorder: GoldenRecorder, tenant: str, name: str, stored: Stored) -> bool:
    golden = Golden(tenant, _named(name, stored.data) or "", stored.data, stored.ended_at)
    signature = sign(golden, recorder.keys)
    if signature == stored.signature:
        return False
    recorder.storage.write([Signed(golden, signature)])
    return True


def _resign_archive(recorder: GoldenRecorder, tenant: str, name: str, now: int, resigned: Resigned) -> int:
    def anew() -> Iterator[tuple[str, Stored, bool]]:
        for each, stored in goldens_in(recorder.storage, tenant, name):
            signature = sign(_checked(recorder, tenant, each, stored, now), recorder.keys)
            yield each, stored._replace(signature=signature), signature != stored.signature

    changed = sum(is_new for _, _, is_new in anew())
    if changed:
        made = write_archive(recorder.storage, tenant, ((each, stored) for each, stored, _ in anew()))
        resigned(name, made)
        remove_archive(recorder.storage, tenant, name)
    return changed


def _proved(recorder: GoldenRecorder, tenant: str, name: str, now: int) -> Stored:
    try:
        stored = recorder.storage.read_named(tenant, name)
    except GoldenFault as fault:
        raise IntegrityError(f"the golden {name}: {fault}") from None
    _checked(recorder, tenant, name, stored, now)
    return stored


def _checked(recorder: GoldenRecorder, tenant: str, name: str, stored: Stored, now: int) -> Golden:
    run_id = _named(name, stored.data)
    if run_id is None:
        raise IntegrityError(f"the golden {name}: identity: it does not name the run that its file is called after")
    try:
        check_golden(stored.data, tenant, run_id)
        check_signature(tenant, run_id, stored.data, stored.signature, recorder.keys, now)
    except GoldenFault as fault:
        raise IntegrityError(f"the golden {name}: {fault}") from None
    return Golden(tenant, run_id, stored.data, stored.ended_at)


def _is_still(recorder: GoldenRecorder, tenant: str, name: str, mark: Mark) -> bool:
    try:
        found = Mark.of(recorder.storage.read_named(tenant, name))
    except GoldenFault:
        return False
    # Who died while it removed a golden has removed the signature only.
    return found == mark or found == mark._replace(signature=None)


def _named(name: str, data: bytes) -> str | None:
    """The run that a golden names, if its file is called after it."""
    try:
        run_id = lines_of(data.partition(b"\n")[0] + b"\n")[0].get("run_id")
    except GoldenFault:
        return None
    return run_id if isinstance(run_id, str) and safe_name(run_id) + GOLDEN == name else None
