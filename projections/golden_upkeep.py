"""What operators do with goldens once there are many: re-sign, archive by age, restore.

Nothing is put into an archive, taken out of one, or signed anew that does not verify.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import IntegrityError
from .golden_archives import Archive, archive_names, read_archive, remove_archive, write_archive
from .golden_faults import GoldenFault, check_golden, lines_of
from .golden_files import Signed, Stored
from .golden_lines import Golden
from .golden_names import GOLDEN, safe_name
from .golden_recorder import GoldenRecorder, GoldenVerdict
from .golden_signatures import check_signature, sign

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
        for name, stored in read_archive(recorder.storage, tenant, archive).goldens.items():
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
        held: dict[str, Stored] = {}
        for name in names[begin : begin + MOST_IN_ARCHIVE]:
            held[name] = _proved(recorder, tenant, name, now)
            told(begin + len(held), len(names))
        made = write_archive(recorder.storage, tenant, held)
        yield made
        unchanged = [name for name, stored in held.items() if _is_still(recorder, tenant, name, stored)]
        recorder.storage.remove(tenant, unchanged)


def restore(
    recorder: GoldenRecorder, tenant: str, name: str, now: int, only: Sequence[str] | None = None
) -> tuple[str, list[Golden]]:
    """Bring the goldens of an archive back into the folder, `only` some run ids if given; the archive stays.

    Each is verified first, and signed with the current key. Returns the SHA-256 of the archive too.
    Raises IntegrityError, GoldenStoreError.
    """
    _, digest, held = read_archive(recorder.storage, tenant, name)
    wanted = None if only is None else {safe_name(run_id) + GOLDEN for run_id in only}
    goldens = [
        _checked(recorder, tenant, golden, stored, now)
        for golden, stored in held.items()
        if wanted is None or golden in wanted
    ]
    recorder.write(goldens)
    return digest, goldens


def verify_archive(recorder: GoldenRecorder, tenant: str, name: str) -> GoldenVerdict:
    """The verdict on an archive as a whole, in the place of a run: the first of its goldens that does not verify."""
    try:
        held = read_archive(recorder.storage, tenant, name).goldens
        for each, stored in held.items():
            _checked(recorder, tenant, each, stored, recorder.now())
    except IntegrityError as error:
        return GoldenVerdict(tenant, name, None, (GoldenFault(0, "archive", str(error)),))
    return GoldenVerdict(tenant, name, None, ())


def resign_all(recorder: GoldenRecorder, tenant: str, now: int, told: Progress = nothing) -> tuple[list[str], int]:
    """Sign all of the tenant's goldens with the current key, those in archives too. Returns the names of the goldens in
    the folder that did not verify, and were left as they were, and how many were signed.

    Raises IntegrityError for an archive with a golden that does not verify.
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
        signed += _resign_archive(recorder, tenant, name, now)
        told(number, len(names) + len(archives))
    return broken, signed


def _resigned(recorder: GoldenRecorder, tenant: str, name: str, stored: Stored) -> bool:
    golden = Golden(tenant, _named(name, stored.data) or "", stored.data, stored.ended_at)
    signature = sign(golden, recorder.keys)
    if signature == stored.signature:
        return False
    recorder.storage.write([Signed(golden, signature)])
    return True


def _resign_archive(recorder: GoldenRecorder, tenant: str, name: str, now: int) -> int:
    held = read_archive(recorder.storage, tenant, name).goldens
    anew = {
        each: stored._replace(signature=sign(_checked(recorder, tenant, each, stored, now), recorder.keys))
        for each, stored in held.items()
    }
    changed = sum(anew[each] != held[each] for each in held)
    if changed and write_archive(recorder.storage, tenant, anew).name != name:
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


def _is_still(recorder: GoldenRecorder, tenant: str, name: str, stored: Stored) -> bool:
    try:
        return recorder.storage.read_named(tenant, name) == stored
    except GoldenFault:
        return False


def _named(name: str, data: bytes) -> str | None:
    """The run that a golden names, if its file is called after it."""
    try:
        run_id = lines_of(data.partition(b"\n")[0] + b"\n")[0].get("run_id")
    except GoldenFault:
        return None
    return run_id if isinstance(run_id, str) and safe_name(run_id) + GOLDEN == name else None
