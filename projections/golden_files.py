"""Goldens as files: a folder for each tenant, in it a golden and beside it its signature.

Everything goes through descriptors of folders, by names that `safe_name` made, without following links: nothing is read
or written outside. Files appear whole or not at all: written under a hidden name, synced, renamed, the folder synced.
The golden is durable before its signature is written, so whoever finds a signature finds what was signed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from errno import ELOOP
from pathlib import Path
from shutil import rmtree
from typing import Literal, NamedTuple

from ..core.errors import GoldenStoreError
from .golden_faults import GoldenFault, lines_of
from .golden_lines import Golden
from .golden_names import GOLDEN, SIGNATURE, is_golden, safe_name
from .golden_single_files import (
    FOLDER,
    HIDDEN,
    doubled,
    make_folder,
    microseconds,
    read_file,
    sync_folder,
    write_hidden,
)

_THREADS = 16
"""Syncs of small files that are under way together; measured, more bring nothing."""

_STALE_SECONDS = 3600

_PATIENCE_SECONDS = 5.0
"""For so long a golden without a signature is given time to get it while somebody writes in its folder."""


State = Literal["missing", "equal", "other"]
"""How what is there of a run compares with its golden."""


class Signed(NamedTuple):
    """A golden, and the content of its signature file; None for one that is not signed yet."""

    golden: Golden
    signature: bytes | None


class Stored(NamedTuple):
    """What is there of a run: the bytes of its golden and of its signature, and when the run ended (µs)."""

    data: bytes
    signature: bytes | None
    ended_at: int


class GoldenFolder:
    """The folder of all goldens. Safe for threads and for several processes: the last writer of a file wins, whole."""

    def __init__(self, root: Path, at: Callable[[str], object] = lambda point: None):
        """`at` is told the name of each point of a write at which a process might die."""
        self.root = root
        self._at = at

    def reached(self, point: str) -> None:
        """Tell that a point is reached at which a process might die."""
        self._at(point)

    def write(self, batch: Sequence[Signed]) -> None:
        """Make all of them durable, with one sync of a tenant's folder for goldens and one for signatures.

        What is there already with the same bytes is left alone. Raises GoldenStoreError; some may then be written.
        """
        by_tenant: dict[str, list[Signed]] = {}
        for signed in batch:
            by_tenant.setdefault(signed.golden.tenant, []).append(signed)
        for tenant, of_tenant in by_tenant.items():
            with self.made(tenant) as folder, ThreadPoolExecutor(_THREADS) as threads:
                _share(folder)
                self._withdraw(folder, of_tenant)
                goldens = [(safe_name(each.golden.run_id) + GOLDEN, each.golden) for each in of_tenant]
                self._put(folder, threads, [(name, golden.data, golden.ended_at) for name, golden in goldens])
                self._at("goldens durable")
                signatures = [
                    (safe_name(each.golden.run_id) + SIGNATURE, each.signature, each.golden.ended_at)
                    for each in of_tenant
                    if each.signature is not None
                ]
                self._put(folder, threads, signatures)
                self._at("signatures durable")

    def states(self, goldens: Sequence[Golden]) -> list[State]:
        """Which of these goldens are there, with the same bytes or with others. Raises GoldenStoreError."""
        found: dict[int, State] = {}
        by_tenant: dict[str, list[int]] = {}
        for number, golden in enumerate(goldens):
            by_tenant.setdefault(golden.tenant, []).append(number)
        for tenant, numbers in by_tenant.items():
            with self.opened(tenant) as folder:
                for number in numbers:
                    golden = goldens[number]
                    found[number] = "missing" if folder is None else _state(folder, golden)
        return [found[number] for number in range(len(goldens))]

    def read(self, tenant: str, run_id: str) -> Stored:
        """The golden of a run, read once, with its signature. Raises GoldenFault or GoldenStoreError."""
        return self.read_named(tenant, safe_name(run_id) + GOLDEN)

    def read_named(self, tenant: str, name: str) -> Stored:
        """The golden in the file `name` of the tenant's folder. Raises GoldenFault or GoldenStoreError."""
        with self.opened(tenant) as folder:
            if folder is None or (golden := read_file(folder, name)) is None:
                raise GoldenFault(0, "missing", "there is no golden of this run")
            signature = read_file(folder, f"{name}.sig")
            if signature is None:  # Perhaps because somebody is just about to write it.
                _wait_for_writers(folder)
                if (golden := read_file(folder, name)) is None:
                    raise GoldenFault(0, "missing", "there is no golden of this run")
                signature = read_file(folder, f"{name}.sig")
        return Stored(golden[0], None if signature is None else signature[0], golden[1])

    def names(self, tenant: str) -> list[str]:
        """The names of the tenant's goldens, sorted. Raises GoldenStoreError."""
        with self.opened(tenant) as folder:
            return [] if folder is None else sorted(filter(is_golden, os.listdir(folder)))

    def ended_at(self, tenant: str, name: str) -> int | None:
        """When the run of this golden ended (µs since the epoch); None if there is no such file."""
        with self.opened(tenant) as folder:
            try:
                return None if folder is None else microseconds(os.lstat(name, dir_fd=folder))
            except FileNotFoundError:
                return None

    def remove(self, tenant: str, names: Iterable[str]) -> None:
        """Remove goldens by the names of their files, the signature first, and sync the folder."""
        with self.opened(tenant) as folder:
            if folder is None:
                return
            _share(folder)
            for name in names:
                for each in (f"{name}.sig", name):
                    with suppress(FileNotFoundError):
                        os.unlink(each, dir_fd=folder)
                    self._at("original removed")
            os.fsync(folder)

    def take_over(self, source: GoldenFolder, tenant: str, names: Sequence[str]) -> None:
        """Put goldens of `source` with their signatures here, in the place of others.

        They stay there too; where the file system allows, what lies in both is one file. Raises GoldenStoreError.
        """
        with source.opened(tenant) as giver, self.made(tenant) as folder:
            if giver is None or not names:
                return
            _share(folder)
            for name in names:
                with suppress(FileNotFoundError):
                    os.unlink(f"{name}.sig", dir_fd=folder)
            os.fsync(folder)
            for suffix in ("", ".sig"):
                for name in names:
                    hidden = doubled(giver, name + suffix, folder)
                    os.rename(hidden, name + suffix, src_dir_fd=folder, dst_dir_fd=folder)
                    # If both were one file already, it is still there.
                    with suppress(FileNotFoundError):
                        os.unlink(hidden, dir_fd=folder)
                os.fsync(folder)
                self._at("taken over")

    def tenants(self) -> list[str]:
        """The tenants that have goldens here, by what the first golden of each says. Raises GoldenStoreError."""
        try:
            folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
            return [tenant for folder in folders if (tenant := _tenant_of(folder)) is not None]
        except OSError as error:
            raise GoldenStoreError(f"{self.root} cannot be read: {error.strerror}") from None

    def make(self) -> None:
        """Make the folder durably, with those above it. Raises GoldenStoreError."""
        try:
            make_folder(self.root)
        except OSError as error:
            raise GoldenStoreError(f"{self.root} cannot be made: {error.strerror}") from None

    def discard(self) -> None:
        """Remove the folder with all that is in it; whoever looks finds all of it or none. Raises GoldenStoreError."""
        gone = self.root.with_name(f"{self.root.name}.gone")
        try:
            if self.root.is_symlink():
                raise OSError(ELOOP, os.strerror(ELOOP))
            for each in (gone, self.root):
                if each.is_dir():
                    each.replace(gone)
                    sync_folder(self.root.parent)
                    self._at("discarded")
                    rmtree(gone)
        except OSError as error:
            raise GoldenStoreError(f"{self.root} cannot be removed: {error.strerror}") from None

    def sweep(self, tenant: str, now_seconds: float) -> None:
        """Remove what processes left that died while they wrote, an hour ago or longer."""
        with self.opened(tenant) as folder:
            for name in [] if folder is None else os.listdir(folder):
                with suppress(FileNotFoundError):
                    stale = name.startswith(HIDDEN) and os.lstat(name, dir_fd=folder).st_ctime
                    if stale and stale < now_seconds - _STALE_SECONDS:
                        os.unlink(name, dir_fd=folder)

    @contextmanager
    def opened(self, tenant: str) -> Generator[int | None]:
        """A descriptor of the tenant's folder, None if there is none. What the system refuses within is a
        GoldenStoreError."""
        with self._telling(tenant):
            try:
                folder = self._open(safe_name(tenant))
            except FileNotFoundError:
                yield None
                return
            try:
                yield folder
            finally:
                os.close(folder)

    @contextmanager
    def made(self, tenant: str) -> Generator[int]:
        """As `opened`, but the folder is made if there is none."""
        name = safe_name(tenant)
        with self._telling(tenant):
            make_folder(self.root)
            root = os.open(self.root, FOLDER)
            try:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=root)
                    os.fsync(root)
            finally:
                os.close(root)
            folder = self._open(name)
            try:
                yield folder
            finally:
                os.close(folder)

    @contextmanager
    def _telling(self, tenant: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise GoldenStoreError(f"the goldens of tenant {tenant} in {self.root}: {why}") from None

    def _open(self, name: str) -> int:
        root = os.open(self.root, FOLDER)
        try:
            return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=root)
        finally:
            os.close(root)

    def _withdraw(self, folder: int, batch: Sequence[Signed]) -> None:
        """Remove the signatures of goldens that are about to change, so that a crash leaves unsigned ones, not wrong
        ones."""
        withdrawn = False
        for signed in batch:
            name = safe_name(signed.golden.run_id)
            if not _holds(folder, name + GOLDEN, signed.golden.data):
                with suppress(FileNotFoundError):
                    os.unlink(name + SIGNATURE, dir_fd=folder)
                    withdrawn = True
        if withdrawn:
            os.fsync(folder)

    def _put(self, folder: int, threads: ThreadPoolExecutor, files: Sequence[tuple[str, bytes, int]]) -> None:
        def put(file: tuple[str, bytes, int]) -> None:
            self._put_one(folder, *file)

        for _ in threads.map(put, files):
            pass
        self._at("renamed")
        # Also when nothing was written: whoever wrote it may have died before this.
        os.fsync(folder)

    def _put_one(self, folder: int, name: str, data: bytes, ended_at: int) -> None:
        if _holds(folder, name, data):
            return
        hidden = write_hidden(folder, data, ended_at, self._at)
        try:
            os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(hidden, dir_fd=folder)
            raise


def _share(folder: int) -> None:
    """Write in the folder, beside others, until it is closed. Where folders cannot be locked (NFS), nobody waits."""
    with suppress(OSError):
        fcntl.flock(folder, fcntl.LOCK_SH)


def _wait_for_writers(folder: int) -> None:
    """Wait for a moment at which nobody writes in the folder. Whoever died holds nobody up, a stopped one not long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return
        else:
            fcntl.flock(folder, fcntl.LOCK_UN)
            return


def _tenant_of(folder: Path) -> str | None:
    """Whose goldens lie in the folder, by the first of them; None if there are none."""
    first = min(filter(is_golden, os.listdir(folder)), default=None)
    if first is None:
        return None
    with open(folder / first, "rb") as stream:
        tenant = lines_of(stream.readline())[0].get("tenant")
    if not isinstance(tenant, str) or safe_name(tenant) != folder.name:
        raise GoldenStoreError(f"{folder / first} is not where it belongs")
    return tenant


def _state(folder: int, golden: Golden) -> State:
    name = safe_name(golden.run_id) + GOLDEN
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return "missing"
    return "equal" if _holds(folder, name, golden.data) else "other"


def _holds(folder: int, name: str, data: bytes) -> bool:
    """Whether the file holds these bytes already."""
    try:
        if os.lstat(name, dir_fd=folder).st_size != len(data):
            return False
        found = read_file(folder, name)
    except (FileNotFoundError, GoldenFault):
        return False
    return found is not None and found[0] == data
