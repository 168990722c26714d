"""Recording goldens and proving them, in files (`GoldenRecorder`) or in memory (`InMemoryGoldenRecorder`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..core.canonical import Payload
from ..core.divergence import VOLATILE_FIELDS
from ..core.errors import CallError, IntegrityError, Problem
from ..core.ids import check_seed
from ..core.step_events import StepIndex
from .golden_compare import GoldenDifference, compare_golden
from .golden_drafts import Draft
from .golden_faults import GoldenFault, check_golden, lines_of
from .golden_files import GoldenFolder, Signed, Stored
from .golden_keys import GoldenKeys
from .golden_lines import Golden
from .golden_names import GOLDEN, safe_name
from .golden_signatures import check_signature, sign


class GoldenStorage(Protocol):
    """Where goldens lie."""

    def write(self, batch: Sequence[Signed]) -> None:
        """Make all of them durable; see `GoldenFolder.write`."""
        ...

    def read(self, tenant: str, run_id: str) -> Stored:
        """What is there of a run. Raises GoldenFault."""
        ...

    def read_named(self, tenant: str, name: str) -> Stored:
        """What is there under a name of `names`. Raises GoldenFault."""
        ...

    def names(self, tenant: str) -> list[str]:
        """Under which names there are goldens."""
        ...


@dataclass(frozen=True, slots=True)
class GoldenVerdict:
    """The verdict on one golden: no faults, and the key that it is signed with; or the first fault of each kind."""

    tenant: str
    run_id: str
    key_id: str | None
    faults: tuple[GoldenFault, ...]

    @property
    def ok(self) -> bool:
        """Whether the golden is what was written and signed."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        faults = [fault.to_json() for fault in self.faults]
        return {"run_id": self.run_id, "tenant": self.tenant, "ok": self.ok, "key_id": self.key_id, "faults": faults}


class BaseGoldenRecorder:
    """What both recorders do; `GoldenStorage` is where they differ. Safe for threads.

    A projection writes whole goldens by `write`. The methods called `record_` build one from the outside, event by
    event: `record_run_end` makes it durable, and `sign_golden` signs what was recorded.
    """

    def __init__(self, storage: GoldenStorage, keys: GoldenKeys, now: Callable[[], int] | None = None):
        """`now` is in microseconds since the epoch; keys are retired by it."""
        self.storage = storage
        self.keys = keys
        self.now = now or _now
        self._drafts: dict[tuple[str, str], Draft] = {}
        self._unsigned: dict[tuple[str, str], Golden] = {}
        self._lock = threading.Lock()

    def write(self, goldens: Sequence[Golden]) -> None:
        """Sign these goldens and make them durable, goldens before signatures. Doing it again changes nothing.

        Raises GoldenStoreError; each is then either whole, or unsigned, or not there.
        """
        self.storage.write([Signed(golden, sign(golden, self.keys)) for golden in goldens])

    def record_run_start(
        self,
        run_id: str,
        spec_id: str,
        seed: int,
        replay: bool = False,
        *,
        tenant: str = "default",
        spec_hash: str | None = None,
        source_hash: str | None = None,
        inputs_hash: str | None = None,
    ) -> None:
        """Begin the golden of a run of the spec `spec_id` (type#version). Raises CallError if it is begun already."""
        draft = Draft(run_id, tenant, spec_id, check_seed(seed), replay, spec_hash, source_hash, inputs_hash)
        with self._lock:
            if (tenant, run_id) in self._drafts:
                raise CallError(Problem("", f"the golden of run {run_id!r} is begun already", "end it first"))
            self._drafts[tenant, run_id] = draft

    def record_step(
        self,
        run_id: str,
        index: StepIndex,
        step_id: str,
        seed: int,
        output: object,
        *,
        skill_id: str = "",
        status: str = "completed",
        inputs_hash: str | None = None,
        error_code: str | None = None,
        tenant: str = "default",
    ) -> None:
        """Add the outcome of a step; they may come in any order. Raises CallError for what cannot be one."""
        with self._lock:
            draft = self._draft(tenant, run_id)
            payload = Payload.of(output) if status == "completed" else None
            draft.add_step(index, step_id, skill_id, seed, status, payload, inputs_hash, error_code)

    def record_run_end(
        self,
        run_id: str,
        status: str,
        *,
        output: object = None,
        error_code: str | None = None,
        step_count: int | None = None,
        ended_at: int = 0,
        tenant: str = "default",
    ) -> Golden:
        """End the golden and make it durable, unsigned. `step_count` is how many steps count, if some never ended;
        `ended_at` is in microseconds since the epoch. Raises CallError, GoldenStoreError."""
        with self._lock:
            golden = self._draft(tenant, run_id).end(status, output, error_code, step_count, ended_at)
            try:
                check_golden(golden.data, tenant, run_id)
            except GoldenFault as fault:
                raise CallError(Problem("", f"this is no golden: {fault}", "record what happened")) from None
            self.storage.write([Signed(golden, None)])
            del self._drafts[tenant, run_id]
            self._unsigned[tenant, run_id] = golden
        return golden

    def sign_golden(self, run_id: str, tenant: str = "default") -> str:
        """Sign what this recorder recorded, whatever lies there now; returns the id of the key.

        Raises CallError for a golden that was not recorded here: what anybody may have written is not signed.
        """
        with self._lock:
            golden = self._unsigned.get((tenant, run_id))
            if golden is None:
                fix = "write it anew from the log: refold golden write"
                raise CallError(Problem("", f"the golden of run {run_id!r} was not recorded here", fix))
            self.write([golden])
            del self._unsigned[tenant, run_id]
        return self.keys.current

    def verify_golden(self, run_id: str, tenant: str = "default", expected: bytes | None = None) -> GoldenVerdict:
        """Prove the golden by its own structure, by its signature, and by `expected` (from `golden_of`) if given.

        Everything is checked on bytes that were read once. Raises GoldenStoreError.
        """
        return self._verified(run_id, tenant, expected)[0]

    def read_golden(self, run_id: str, tenant: str = "default") -> Golden:
        """The golden, from the very bytes that were proved. Raises IntegrityError, GoldenStoreError."""
        return self._proved(run_id, tenant)[0]

    def compare_golden(
        self,
        actual: bytes,
        expected: bytes,
        ignore_timestamps: bool = True,
        volatile: Collection[str] = VOLATILE_FIELDS,
    ) -> list[GoldenDifference]:
        """All differences; see `golden_compare.compare_golden`."""
        return compare_golden(actual, expected, ignore_timestamps, volatile)

    def resign(self, run_id: str, tenant: str = "default") -> bool:
        """Sign a golden with the current key, if it is not; returns whether it was not.

        Raises IntegrityError for one that does not verify: what somebody altered is not signed.
        """
        golden, key_id = self._proved(run_id, tenant)
        if key_id != self.keys.current:
            self.write([golden])
        return key_id != self.keys.current

    def runs(self, tenant: str = "default") -> Iterator[tuple[str, str | None]]:
        """The names of the goldens there are, each with the run that its first line names, unproved; None where that
        cannot be read or belongs to a file of another name."""
        for name in self.storage.names(tenant):
            try:
                line = lines_of(self.storage.read_named(tenant, name).data.partition(b"\n")[0] + b"\n")[0]
            except GoldenFault:
                yield name, None
                continue
            run_id = line.get("run_id")
            mine = isinstance(run_id, str) and safe_name(run_id) + GOLDEN == name
            yield name, run_id if mine else None

    def _draft(self, tenant: str, run_id: str) -> Draft:
        draft = self._drafts.get((tenant, run_id))
        if draft is None:
            raise CallError(Problem("", f"the golden of run {run_id!r} is not begun", "call record_run_start first"))
        return draft

    def _proved(self, run_id: str, tenant: str) -> tuple[Golden, str | None]:
        verdict, stored = self._verified(run_id, tenant, None)
        if stored is None or not verdict.ok:
            raise IntegrityError(f"the golden of run {run_id!r}: {'; '.join(map(str, verdict.faults))}")
        return Golden(tenant, run_id, stored.data, stored.ended_at), verdict.key_id

    def _verified(self, run_id: str, tenant: str, expected: bytes | None) -> tuple[GoldenVerdict, Stored | None]:
        faults: list[GoldenFault] = []
        key_id = None
        try:
            stored = self.storage.read(tenant, run_id)
        except GoldenFault as fault:
            return GoldenVerdict(tenant, run_id, None, (fault,)), None
        try:
            check_golden(stored.data, tenant, run_id)
        except GoldenFault as fault:
            faults.append(fault)
        try:
            key_id = check_signature(tenant, run_id, stored.data, stored.signature, self.keys, self.now())
        except GoldenFault as fault:
            faults.append(fault)
        if expected is not None and stored.data != expected:
            faults.append(_first_difference(stored.data, expected))
        return GoldenVerdict(tenant, run_id, key_id, tuple(faults)), stored


class GoldenRecorder(BaseGoldenRecorder):
    """Goldens as files below `folder`."""

    storage: GoldenFolder

    def __init__(self, folder: str | Path | GoldenFolder, keys: GoldenKeys, now: Callable[[], int] | None = None):
        super().__init__(folder if isinstance(folder, GoldenFolder) else GoldenFolder(Path(folder)), keys, now)


class InMemoryGoldenRecorder(BaseGoldenRecorder):
    """Goldens in the memory of this process."""

    storage: MemoryGoldens

    def __init__(self, keys: GoldenKeys, now: Callable[[], int] | None = None):
        super().__init__(MemoryGoldens(), keys, now)


class MemoryGoldens:
    """What `GoldenFolder` is, in memory: `files` maps tenant and name to what lies there."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], Stored] = {}

    def write(self, batch: Sequence[Signed]) -> None:
        """Keep all of them."""
        for golden, signature in batch:
            key = golden.tenant, safe_name(golden.run_id) + GOLDEN
            before = self.files.get(key)
            kept = before.signature if before is not None and before.data == golden.data else None
            self.files[key] = Stored(golden.data, kept if signature is None else signature, golden.ended_at)

    def read(self, tenant: str, run_id: str) -> Stored:
        """What is there of a run. Raises GoldenFault."""
        return self.read_named(tenant, safe_name(run_id) + GOLDEN)

    def read_named(self, tenant: str, name: str) -> Stored:
        """What is there under a name. Raises GoldenFault."""
        found = self.files.get((tenant, name))
        if found is None:
            raise GoldenFault(0, "missing", "there is no golden of this run")
        return found

    def names(self, tenant: str) -> list[str]:
        """The names of the tenant's goldens, sorted."""
        return sorted(name for whose, name in self.files if whose == tenant)


def _first_difference(data: bytes, expected: bytes) -> GoldenFault:
    """Which line is not as the log says it, and in what."""
    ours, theirs = data.split(b"\n"), expected.split(b"\n")
    number = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False), 1) if one != other), 0)
    number = number or min(len(ours), len(theirs))
    try:
        found = compare_golden(data, expected, ignore_timestamps=False)
    except IntegrityError:
        found = []
    where = next((each for each in found if each.actual_line in (0, number)), None)
    if where is None:
        return GoldenFault(number, "log", "this line is not what the log says")
    pointer = where.pointer or where.event
    return GoldenFault(number, "log", f"{pointer} is {where.actual}, by the log it is {where.expected}")


def _now() -> int:
    return time.time_ns() // 1000
