"""Writing the goldens of ended runs from the log: what the projector does, and what operators can do by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..core.errors import IntegrityError
from ..core.hashing import sha256_hex
from .golden_archives import archive_names, read_archive
from .golden_files import GoldenFolder
from .golden_lines import Golden
from .golden_names import GOLDEN, safe_name
from .golden_recorder import BaseGoldenRecorder

BATCH = 500
"""Goldens that share the syncs of their folder."""


class Written(NamedTuple):
    """How many goldens are durable in the folder now, and how many lie in archives and were left there."""

    written: int
    archived: int


def write_goldens(
    recorder: BaseGoldenRecorder, goldens: Iterable[Golden], archived: Mapping[tuple[str, str], str] | None = None
) -> Written:
    """Make these goldens durable, batch by batch; what is there already costs a comparison.

    `archived` are those that lie in archives (see `archived_goldens`): they are compared and not written again, so that
    a rebuild honours what was archived. Raises IntegrityError for one that is archived with other bytes, and
    GoldenStoreError.
    """
    batch: list[Golden] = []
    written = left = 0
    for golden in goldens:
        known = None if archived is None else archived.get((golden.tenant, safe_name(golden.run_id) + GOLDEN))
        if known is not None:
            if known != sha256_hex(golden.data):
                raise IntegrityError(f"the archived golden of run {golden.run_id!r} is not what the log says")
            left += 1
            continue
        batch.append(golden)
        written += 1
        if len(batch) == BATCH:
            recorder.write(batch)
            batch.clear()
    recorder.write(batch)
    return Written(written, left)


def contradicted(recorder: BaseGoldenRecorder, golden: Golden) -> bool:
    """Whether a golden lies there already that is signed, verifies, and says something else: either the log was
    rewritten since, whole and in order, or its meaning was changed by newer code. Raises GoldenStoreError."""
    if recorder.verify_golden(golden.run_id, golden.tenant, golden.data).ok:
        return False
    return recorder.verify_golden(golden.run_id, golden.tenant).ok


def archived_goldens(
    folder: GoldenFolder, tenant: str, recorded: Mapping[str, str] | None = None
) -> dict[tuple[str, str], str]:
    """The goldens in the tenant's archives that do not lie in its folder too: tenant and name to the SHA-256 of their
    bytes. Raises IntegrityError, also for an archive that is not as `recorded` (SHA-256 by name); GoldenStoreError."""
    found: dict[tuple[str, str], str] = {}
    for name in archive_names(folder, tenant):
        archive = read_archive(folder, tenant, name)
        if recorded is not None and recorded.get(name, archive.sha256) != archive.sha256:
            raise IntegrityError(f"the archive {name} is not the one that was recorded")
        for golden, mark in archive.goldens.items():
            found[tenant, golden] = mark.sha256
    for name in folder.names(tenant):
        found.pop((tenant, name), None)
    return found
