"""Goldens as a projection: files that a projector writes as runs end, and that can be built anew.

They cannot share a transaction with the position. So they are durable before it moves, and writing them again changes
nothing: an equal file that is there already costs a comparison. A file that differs is never replaced here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from ..core.errors import CallError, GoldenStoreError, IntegrityError, Problem
from ..core.golden_log import GoldenLog
from ..core.hashing import sha256_hex
from ..core.ids import stream_of
from ..eventstore.linked import linked
from ..eventstore.store import Store
from ..eventstore.tables import Row, RunKey, Table
from .golden_archives import archive_names, read_archive
from .golden_decisions import GoldenDecisions
from .golden_faults import GoldenFault, lines_of
from .golden_files import GoldenFolder
from .golden_keys import GoldenKeys
from .golden_lines import Golden, golden_of
from .golden_names import GOLDEN, safe_name
from .golden_recorder import GoldenRecorder
from .golden_signatures import check_signature
from .golden_writing import BATCH, contradicted
from .model import FollowedRun, TakenOver

_SKEW = 86_400 * 1_000_000
"""Microseconds by which the clocks of two hosts are thought to differ at most."""


class GoldenPlace:
    """Where a store's goldens lie, and under which key they are signed: what the key file says, by what is recorded."""

    def __init__(self, store: Store, folder: Path | GoldenFolder, key_file: Path):
        self.folder = folder if isinstance(folder, GoldenFolder) else GoldenFolder(folder)
        self._key_file = key_file
        self._store = store
        self._decisions = GoldenDecisions(store)
        self._archived: dict[str, tuple[Mapping[str, str], dict[str, str]]] = {}

    def keys(self) -> GoldenKeys:
        """The keys as the file holds them now. Raises CallError, also where its current key is not the recorded one."""
        keys = GoldenKeys.load(self._key_file)
        recorded = self._decisions.of(None).key_id
        if recorded not in (None, keys.current):
            reason = f"the key file {self._key_file} signs with {keys.current!r}, by the log with {recorded!r}"
            fix = "copy it from where the key was rotated, or: refold golden rotate-key"
            raise CallError(Problem("", reason, fix))
        return keys

    def decided(self, tenant: str) -> GoldenLog:
        """What was decided about the tenant's goldens."""
        return self._decisions.of(tenant)

    def archived(self, tenant: str) -> dict[str, str]:
        """SHA-256 of the goldens in the recorded archives, by the names of their files. Raises IntegrityError for an
        archive that is not as it was recorded; of one that is gone nothing is told."""
        recorded = dict(self._decisions.of(tenant).archives)
        known = self._archived.get(tenant)
        if known is None or known[0] != recorded:
            there = archive_names(self.folder, tenant)
            found: dict[str, str] = {}
            for name in (name for name in recorded if name in there):
                archive = read_archive(self.folder, tenant, name)
                if archive.sha256 != recorded[name]:
                    raise IntegrityError(f"the archive {name} is not the one that was recorded")
                found.update((golden, mark.sha256) for golden, mark in archive.goldens.items())
            known = self._archived[tenant] = recorded, found
        return known[1]

    def check_log(self, golden: Golden) -> None:
        """Raises IntegrityError where the log of the golden's run was altered: it is the golden then that is right."""
        try:
            linked(self._store, stream_of(golden.tenant, golden.run_id))
        except IntegrityError as error:
            reason = (
                f"the golden of run {ascii(golden.run_id)[1:-1][:100]} of tenant {golden.tenant} is kept, for its log"
            )
            raise IntegrityError(f"{reason} was altered: {error}") from None

    def forget(self) -> None:
        """Keep nothing of archives in memory."""
        self._archived.clear()


class GoldensProjection:
    """A file for each ended run, and its signature. Stops where a golden that is there differs from what the log says,
    where the folder cannot be written to, and where there is no key to sign with; each goes on by itself afterwards."""

    name = "goldens"
    version = 1
    tables: Sequence[Table] = ()
    strict = True
    always = False

    def __init__(self, place: GoldenPlace):
        self.place = place
        self._pending: dict[RunKey, Golden] = {}
        self._swept: set[str] = set()

    def is_due(self, run: FollowedRun) -> bool:
        """Whether the run has ended."""
        return run.state.end is not None

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """No rows; the run's golden is made here, for `settle`."""
        golden = golden_of(run.state)
        if (golden.tenant, golden.run_id) != (run.tenant, run.run_id):
            raise IntegrityError(f"its first event is of run {golden.run_id!r} of tenant {golden.tenant!r}")
        self._pending[run.tenant, run.run_id] = golden
        return {}

    def aside(self, generation: int) -> GoldensAside:
        """What builds them anew in a hidden folder beside the tenants' folders."""
        return GoldensAside(self.place, generation)

    def settle(self) -> None:
        """Make the goldens durable, each with its signature. Raises GoldenStoreError, IntegrityError."""
        pending, self._pending = self._pending, {}
        if pending:
            try:
                self.keep(list(pending.values()))
            except CallError as error:
                raise GoldenStoreError(str(error)) from None

    def keep(self, goldens: Sequence[Golden]) -> None:
        """Write what is neither there nor in an archive; all of it is compared."""
        recorder = GoldenRecorder(self.place.folder, self.place.keys())
        for tenant in {golden.tenant for golden in goldens} - self._swept:
            self.place.folder.sweep(tenant, time.time())
            self._swept.add(tenant)
        states = self.place.folder.states(goldens)
        looked_into = False
        batch: list[Golden] = []
        for golden, state in zip(goldens, states, strict=True):
            if state == "other":
                raise IntegrityError(differing(golden))
            if state == "missing" and self._may_be_archived(golden):
                looked_into = True
                if (archived := self.place.archived(golden.tenant).get(safe_name(golden.run_id) + GOLDEN)) is not None:
                    if archived != sha256_hex(golden.data):
                        raise IntegrityError(f"the archived golden of run {golden.run_id!r} is not what the log says")
                    continue
            batch.append(golden)
        recorder.write(batch)
        if not looked_into:
            self.place.forget()

    def _may_be_archived(self, golden: Golden) -> bool:
        """Whether an archive was recorded after the run had ended; archives need not be read for the runs of today."""
        return golden.ended_at <= self.place.decided(golden.tenant).archived_at + _SKEW


def differing(golden: Golden) -> str:
    """What is said of a golden that is there with other bytes."""
    run_id = ascii(golden.run_id)[1:-1][:100]
    more = f"see: refold golden verify {run_id}; refold golden write {run_id} replaces it"
    return f"the golden of run {run_id} of tenant {golden.tenant} is not what the log says; {more}"


class GoldensAside(GoldensProjection):
    """All goldens in a folder of their own, signed, until a rebuild compares them with those that are there."""

    def __init__(self, place: GoldenPlace, generation: int):
        super().__init__(place)
        self._folder = GoldenFolder(place.folder.root / f".rebuild-{generation}", place.folder.reached)

    @property
    def begun(self) -> bool:
        """Whether the folder is there."""
        return self._folder.root.is_dir()

    def begin(self) -> None:
        """Make the folder anew, and remove what others left that were killed while they removed theirs."""
        for gone in self._folder.root.parent.glob(".rebuild-*.gone"):
            rmtree(gone, ignore_errors=True)
        self._folder.discard()
        self._folder.make()

    def keep(self, goldens: Sequence[Golden]) -> None:
        """Write all of them."""
        if not self.begun:
            raise GoldenStoreError(f"{self._folder.root} is gone: begin the rebuild anew")
        GoldenRecorder(self._folder, self.place.keys()).write(goldens)

    def take_over(self, missing: bool, differing: bool, each: Callable[[int, int], None]) -> TakenOver:
        """Compare with the folder and the archives byte by byte; what lies in an archive is left there if it is equal.

        Signatures by another key than the current one are made anew on the way, unless nothing is to be written.
        """
        try:
            return self._taken_over(missing, differing, each)
        except CallError as error:
            raise GoldenStoreError(str(error)) from None

    def _taken_over(self, missing: bool, differing: bool, each: Callable[[int, int], None]) -> TakenOver:
        by_tenant = {tenant: self._folder.names(tenant) for tenant in self._folder.tenants()}
        of, done = sum(map(len, by_tenant.values())), 0
        parts: list[TakenOver] = []
        for tenant, names in by_tenant.items():
            for begin in range(0, len(names), BATCH):
                batch = names[begin : begin + BATCH]
                parts.append(self._of_batch(tenant, batch, missing, differing))
                done += len(batch)
                each(done, of)
        return TakenOver(
            sum(part.equal for part in parts),
            sum(part.archived for part in parts),
            sum(part.missing for part in parts),
            tuple(text for part in parts for text in part.differing),
            sum(part.changed for part in parts),
        )

    def _of_batch(self, tenant: str, names: Sequence[str], missing: bool, differing: bool) -> TakenOver:
        keys, archived = self.place.keys(), self.place.archived(tenant)
        goldens = [self._proved(tenant, name, keys) for name in names]
        states = self.place.folder.states(goldens)
        there: list[Golden] = []
        lacking, others, left, told = list[str](), list[str](), 0, list[str]()
        for name, golden, state in zip(names, goldens, states, strict=True):
            kept = archived.get(name) if state == "missing" else None
            if state == "equal":
                there.append(golden)
            elif kept == sha256_hex(golden.data):
                left += 1
            elif state == "missing" and kept is None:
                lacking.append(name)
            else:
                others.append(name)
                told.append(_other(golden, kept is not None))
        if differing:
            for golden in (golden for name, golden in zip(names, goldens, strict=True) if name in others):
                self.place.check_log(golden)
                if contradicted(GoldenRecorder(self.place.folder, keys), golden):
                    raise IntegrityError(
                        f"the golden of run {ascii(golden.run_id)[1:-1][:100]} of tenant {tenant} is kept, for it "
                        "verifies and is not what the log says; if that is right: refold golden write --replace"
                    )
        changed = [*(lacking if missing else ()), *(others if differing else ())]
        self.place.folder.take_over(self._folder, tenant, changed)
        if missing:
            GoldenRecorder(self.place.folder, keys).write(there)
        return TakenOver(len(there), left, len(lacking), tuple(told), len(changed))

    def _proved(self, tenant: str, name: str, keys: GoldenKeys) -> Golden:
        """A golden of ours. What anybody may have written must not come into the place of what the log says."""
        try:
            data, signature, ended_at = self._folder.read_named(tenant, name)
            run_id = lines_of(data.partition(b"\n")[0] + b"\n")[0].get("run_id")
            if not isinstance(run_id, str) or safe_name(run_id) + GOLDEN != name:
                raise GoldenFault(1, "identity", "it does not name the run that its file is called after")
            key_id = check_signature(tenant, run_id, data, signature, keys, time.time_ns() // 1000)
        except GoldenFault as fault:
            raise IntegrityError(f"{self._folder.root}: {name}: {fault}; remove the folder, and rebuild anew") from None
        golden = Golden(tenant, run_id, data, ended_at)
        if key_id != keys.current:
            GoldenRecorder(self._folder, keys).write([golden])
        return golden

    def discard(self) -> None:
        """Remove the folder."""
        self._folder.discard()


def _other(golden: Golden, in_archive: bool) -> str:
    where = "in an archive" if in_archive else "in the folder"
    return f"{ascii(golden.run_id)[1:-1][:100]} of tenant {golden.tenant} ({where})"
