"""Verification of archives: the files by their SHA-256 in the log, and the chain of the record itself.

What is in the files is proved with the runs, which are read from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.archive_log import ArchiveLog
from ..core.errors import RefoldError
from ..core.ids import ARCHIVES
from ..core.ports import EMPTY
from ..eventstore.codec import decode
from ..eventstore.store import Store
from ..eventstore.tiered import TieredStore
from .chain import prove_chain
from .findings import Finding
from .reading import snapshot


@dataclass(frozen=True, slots=True)
class ArchivesVerification:
    """The verdict on a store's archives, and on what was recorded about them in `events` events."""

    archives: int
    events: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every file that holds runs is as it was recorded."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        told = [finding.to_json() for finding in self.findings]
        return {
            "stream": ARCHIVES,
            "ok": self.ok,
            "archives": self.archives,
            "events": self.events,
            "findings": told,
        }


def verify_archives(store: Store, progress: Callable[[int, int], None]) -> ArchivesVerification | None:
    """Prove that the files that runs were moved to are those that were recorded; None when none ever were.

    Files that no run leads to any more may be gone. `progress` is told of how many files how many are done.
    """
    heads, (records,) = snapshot(store, [ARCHIVES])
    files = store.index.in_use() if isinstance(store, TieredStore) else []
    if not records and not heads and not files:
        return None
    findings = prove_chain(ARCHIVES, records, heads.get(ARCHIVES, EMPTY), {})
    log = ArchiveLog()
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            findings.append(Finding(ARCHIVES, record.version, "impossible", str(error)))
    if isinstance(store, TieredStore):
        findings += _faults(store, log, progress)
    return ArchivesVerification(len(files), len(records), tuple(findings))


def _faults(store: TieredStore, log: ArchiveLog, progress: Callable[[int, int], None]) -> Iterator[Finding]:
    files = store.index.in_use()
    for number, (file, runs) in enumerate(files, 1):
        recorded = log.archives.get(file)
        if recorded is None:
            reason = f"{file} holds {runs} runs, but nobody recorded that it was made"
            yield Finding(ARCHIVES, 0, "archive", reason)
        else:
            found = store.folder.digest(file)
            if found is None:
                yield Finding(ARCHIVES, 0, "archive", f"{file} is missing, and with it {runs} runs")
            elif found != recorded.sha256:
                reason = f"{file} was altered: its SHA-256 is {found[:16]}…, recorded was {recorded.sha256[:16]}…"
                yield Finding(ARCHIVES, 0, "archive", reason)
        progress(number, len(files))
