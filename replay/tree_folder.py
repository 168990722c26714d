"""The tree over the log as files, kept apart from the database: whoever owns that cannot rewrite these unseen.

    levels/0, levels/1, …   the hashes of a level end to end: full tiles of c2sp.org/tlog-tiles, 8,192 bytes each
    positions               of each leaf its position in the log, 8 bytes, big-endian
    tree.json               size, root and last position: what counts; written last, whole or not at all
    checkpoint              the latest signed head

Everything but the signatures follows from the log: removed, the folder is built again with the same bytes. Once a leaf
is in it, its event is not needed any more, neither for proofs nor for further leaves.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import CallError, Problem
from ..projections.golden_single_files import sync_folder
from .audit_faults import AuditFault
from .merkle import HASH_BYTES, TILE, Levels, root_of

_POSITION_BYTES = 8
_SCAN = 16 * TILE


class TreeFolder:
    """A tree in a folder. Any number of processes may read; one at a time writes, within `writing`."""

    def __init__(self, root: Path):
        """Raises AuditFault where the files are not those of the tree that they say they hold."""
        self.root = root
        self.size = 0
        self.position = 0
        self._levels = Levels()
        self._unsynced: set[Path] = set()
        self._open()

    @contextmanager
    def writing(self) -> Generator[None]:
        """Within, nobody else writes. Raises CallError where the folder cannot be made."""
        try:
            (self.root / "levels").mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unusable(self.root, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._open()
            yield
        finally:
            os.close(lock)

    @property
    def head_root(self) -> bytes:
        """The root of the tree as it stands."""
        return self._levels.root()

    def append(self, leaves: Sequence[bytes], positions: Sequence[int]) -> None:
        """Append hashes of leaves with their positions; they last when `commit` has returned. Within `writing`."""
        sizes = [self.size >> 8 * level for level in range(9)]
        gained = self._levels.add(leaves)
        packed = struct.pack(f">{len(positions)}Q", *positions)
        try:
            self._extend(self.root / "positions", self.size * _POSITION_BYTES, packed)
            for level, new in enumerate(gained):
                self._extend(self._level(level), sizes[level] * HASH_BYTES, new)
        except OSError as error:
            raise _unusable(self.root, error) from None
        self.size, self.position = self._levels.size, positions[-1]

    def commit(self) -> None:
        """Make durable what was appended. Within `writing`."""
        told = {"position": self.position, "root": self.head_root.hex(), "size": self.size}
        try:
            for path in self._unsynced:
                _sync(path)
            self._unsynced.clear()
            sync_folder(self.root / "levels")
            self.write("tree.json", json.dumps(told, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise _unusable(self.root, error) from None

    def read(self, level: int, first: int, count: int) -> bytes:
        """So many hashes of a level; see `refold.replay.merkle.Hashes`."""
        data = _read(self._level(level), first * HASH_BYTES, count * HASH_BYTES)
        if len(data) != count * HASH_BYTES:
            raise AuditFault("tree", "damaged", f"{self._level(level)} is too short for a tree of {self.size} leaves")
        return data

    def root_at(self, size: int) -> bytes:
        """The root when the tree had `size` leaves, which it has reached."""
        return root_of(self, size)

    def position_of(self, leaf: int) -> int:
        """The position in the log of a leaf."""
        data = _read(self.root / "positions", leaf * _POSITION_BYTES, _POSITION_BYTES)
        if len(data) != _POSITION_BYTES:
            raise AuditFault("tree", "damaged", f"{self.root / 'positions'} is too short")
        return int.from_bytes(data, "big")

    def leaf_at(self, position: int) -> int:
        """The number of the first leaf at this position of the log or after it; the size where there is none."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            if self.position_of(middle) < position:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, hashes: Sequence[bytes], first: int = 0) -> dict[bytes, int]:
        """The numbers of those of `hashes` that are leaves, none of which comes before leaf `first`."""
        wanted, found = set(hashes), dict[bytes, int]()
        for start in range(first, self.size, _SCAN):
            data = self.read(0, start, min(_SCAN, self.size - start))
            for at in range(0, len(data), HASH_BYTES):
                if (hashed := data[at : at + HASH_BYTES]) in wanted:
                    found.setdefault(hashed, start + at // HASH_BYTES)
            if len(found) == len(wanted):
                break
        return found

    def checkpoint(self) -> bytes | None:
        """The latest signed head, None before the first."""
        try:
            return (self.root / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the folder whole or not at all, durably."""
        hidden = self.root / f".tmp-{secrets.token_hex(8)}"
        try:
            with open(hidden, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(hidden, self.root / name)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        sync_folder(self.root)

    def _open(self) -> None:
        try:
            told: dict[str, Any] = json.loads((self.root / "tree.json").read_bytes())
            self.size, self.position, root = int(told["size"]), int(told["position"]), str(told["root"])
        except FileNotFoundError:
            self.size, self.position, self._levels = 0, 0, Levels()
            return
        except OSError as error:
            raise _unusable(self.root, error) from None
        except (ValueError, TypeError, KeyError):
            raise AuditFault("tree", "damaged", f"{self.root / 'tree.json'} is not as it was written") from None
        tails: list[bytes] = []
        level = 0
        while (count := self.size >> 8 * level) > 0:
            tail = count % TILE
            tails.append(self.read(level, count - tail, tail) if tail else b"")
            level += 1
        self._levels = Levels(self.size, tails)
        if self._levels.root().hex() != root:
            reason = f"the files in {self.root} do not hold the tree of tree.json; remove them, and it is built again"
            raise AuditFault("tree", "damaged", reason)

    def _level(self, level: int) -> Path:
        return self.root / "levels" / str(level)

    def _extend(self, path: Path, at: int, data: bytes) -> None:
        """Make `data` what the file holds from `at` on: what a crash left there goes."""
        self._unsynced.add(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(file, at)
            rest = memoryview(data)
            while rest:
                written = os.pwrite(file, rest, at)
                rest, at = rest[written:], at + written
        finally:
            os.close(file)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _read(path: Path, at: int, count: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        return os.pread(file, count, at)
    finally:
        os.close(file)


def _unusable(path: Path, error: OSError) -> CallError:
    reason = f"the tree in {path} cannot be used: {error.strerror}"
    return CallError(Problem("", reason, "name a folder of yours by --tree or REFOLD_AUDIT"))
