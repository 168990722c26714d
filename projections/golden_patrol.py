"""Goldens verified again and again, while a projector runs: who alters one is found out.

A round takes so long as is asked for, or longer where more goldens lie there than a tenth of a core verifies meanwhile.
Between, a golden whose file has changed since the last look is verified soon: by the time at which the file system saw
the change, which nobody sets by hand.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..core.errors import CallError, IntegrityError, RefoldError, RunNotFoundError, StoreError
from ..eventstore.named_lease import NamedLease
from ..eventstore.store import Store
from .golden_faults import GoldenFault
from .golden_names import is_golden
from .golden_proof import recorded, shelf
from .golden_recorder import GoldenRecorder
from .goldens import GoldenPlace

ROUND_SECONDS = 3600.0
"""A round, unless operators say otherwise."""

LOOK_SECONDS = 5.0
"""How often it is looked which files have changed; more seldom where that takes long."""

_AGAIN_SECONDS = 0.2
_REST_SECONDS = 10.0
_SHARE = 9
"""Between two pieces of work it rests for so many times as long as the first took."""
_MOST_CHANGED = 10_000
_SAME_NS = 2_000_000_000
"""Changes so near to the latest one known are told apart one by one: file systems count time in ticks."""

_log = logging.getLogger(__name__)


class Shelved(NamedTuple):
    """A golden by where it lies."""

    tenant: str
    name: str


class GoldenPatrol:
    """The patrol over the goldens at `place`, on a thread; a context manager. One process at a time has it."""

    def __init__(
        self,
        store: Store,
        place: GoldenPlace,
        owner: str,
        round_seconds: float = ROUND_SECONDS,
        found: Callable[[], object] = lambda: None,
    ):
        """`found` is called for each golden that is found not to verify."""
        self._store = store
        self._place = place
        self._lease = NamedLease(store, "patrol", owner)
        self._round_seconds = round_seconds
        self._found = found
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refold-patrol", daemon=True)
        self._holds = False
        self._bad: dict[Shelved, str] = {}
        self._changed: deque[Shelved] = deque(maxlen=_MOST_CHANGED)
        self._mark = -1
        self._recent: dict[tuple[str, str], int] = {}
        self._looked = self._took = 0.0
        self._count = 0
        self._round: Iterator[Shelved] = iter(())
        self._next_at = 0.0

    @property
    def mismatched(self) -> int | None:
        """How many goldens do not verify, as far as is known; None while another process has the patrol."""
        return len(self._bad) if self._holds else None

    def __enter__(self) -> GoldenPatrol:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            rest = _REST_SECONDS
            try:
                rest = self._turn()
            except RefoldError as error:
                _log.warning("goldens are not verified for a moment: %s", error)
            except OSError as error:
                _log.warning("goldens cannot be looked at: %s", error.strerror or error)
            except Exception:
                _log.exception("the patrol over goldens failed, and goes on")
            self._closed.wait(max(rest, _SHARE * (time.monotonic() - began)))
        if self._holds:
            try:
                self._lease.release()
            except RefoldError as error:
                _log.info("the patrol: %s", error)

    def _turn(self) -> float:
        """Do one piece of work; tells for how many seconds there is nothing to be done."""
        now = time.monotonic()
        if now - self._looked >= max(LOOK_SECONDS, 2 * _SHARE * self._took):
            self._holds = self._lease.hold()
            if not self._holds:
                self._bad.clear()
                return LOOK_SECONDS
            self._look()
            self._looked, self._took = now, time.monotonic() - now
            for each in list(self._bad):
                self._verify(each)
        elif self._changed:
            self._verify(self._changed[0])  # kept if the store is away just now
            self._changed.popleft()
        elif now >= self._next_at and self._count:
            each = next(self._round, None)
            if each is None:
                self._round = self._all()
            else:
                self._verify(each)
            self._next_at = now + self._round_seconds / self._count
        if self._changed:
            return 0.0
        due = min(self._next_at if self._count else now + LOOK_SECONDS, self._looked + LOOK_SECONDS)
        return min(max(due - time.monotonic(), 0.0), LOOK_SECONDS)

    def _all(self) -> Iterator[Shelved]:
        for tenant in self._place.folder.tenants():
            for name in self._place.folder.names(tenant):
                yield Shelved(tenant, name)

    def _look(self) -> None:
        """Note which files have changed since the last look, and how many goldens there are."""
        first, mark, count = self._mark < 0, self._mark, 0
        near: dict[tuple[str, str], int] = {}
        for tenant in self._place.folder.tenants():
            with self._place.folder.opened(tenant) as folder:
                for entry in () if folder is None else os.scandir(folder):
                    name = entry.name.removesuffix(".sig")
                    if not is_golden(name):
                        continue
                    count += name == entry.name
                    try:
                        at = entry.stat(follow_symlinks=False).st_ctime_ns
                    except FileNotFoundError:
                        continue
                    key = tenant, entry.name
                    if at > mark - _SAME_NS:
                        near[key] = at
                        if not first and self._recent.get(key) != at:
                            self._note(Shelved(tenant, name))
        self._mark = max([mark, *near.values()])
        self._recent = {key: at for key, at in near.items() if at > self._mark - _SAME_NS}
        self._count = count

    def _note(self, shelved: Shelved) -> None:
        if not self._changed or self._changed[-1] != shelved:
            self._changed.append(shelved)

    def _verify(self, shelved: Shelved) -> None:
        """Verify one golden; what is wrong with it must be so twice, for somebody may be writing it just now."""
        why = self._fault(shelved)
        if why is not None and shelved not in self._bad:
            self._closed.wait(_AGAIN_SECONDS)
            why = self._fault(shelved)
        if why is None:
            self._bad.pop(shelved, None)
        elif shelved not in self._bad:
            self._bad[shelved] = why
            self._found()
            # A name may hold what terminals act upon.
            name, said = ascii(shelved.name)[1:-1][:120], ascii(why)[1:-1][:500]
            _log.warning("the golden %s of tenant %s does not verify: %s", name, shelved.tenant, said)

    def _fault(self, shelved: Shelved) -> str | None:
        """What is wrong with a golden; nothing, if it is not there any more. Raises StoreError, CallError."""
        tenant, name = shelved
        folder = self._place.folder
        if folder.ended_at(tenant, name) is None:
            return None
        run_id = shelf(folder.root, tenant, [name])[0].run_id
        if run_id is None:
            return None if folder.ended_at(tenant, name) is None else "it does not name the run it is called after"
        expected, fault = self._by_log(tenant, run_id)
        verdict = GoldenRecorder(folder, self._place.keys()).verify_golden(run_id, tenant, expected)
        faults = [each for each in (*verdict.faults, fault) if each is not None]
        if faults and folder.ended_at(tenant, name) is None:
            return None
        return f"run {run_id}: {'; '.join(map(str, faults))}" if faults else None

    def _by_log(self, tenant: str, run_id: str) -> tuple[bytes | None, GoldenFault | None]:
        try:
            golden = recorded(self._store, run_id, tenant)
        except RunNotFoundError:
            return None, GoldenFault(0, "log", "the log knows no such run")
        except (StoreError, CallError):
            raise
        except IntegrityError as error:
            return None, GoldenFault(0, "log", f"the log cannot be read: {error}")
        if golden is None:
            return None, GoldenFault(0, "log", "by the log, the run has not ended")
        return golden.data, None
