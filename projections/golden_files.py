"""Goldens as files: a folder for each tenant, in it a golden and beside it its signature.

Everything goes through descriptors of folders, by names that `safe_name` made, without following links: nothing is read
or written outside. Files appear whole or not at all: written under a hidden name, synced, renamed, the folder synced.
The golden is durable before its signature is written, so whoever finds a signature finds what was signed.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from ..core.errors import GoldenStoreError
from .golden_faults import GoldenFault
from .golden_lines import Golden
from .golden_names import GOLDEN, SIGNATURE, is_golden, safe_name

MAX_BYTES = 2**31
"""No golden is larger; a file that is will not be read into memory."""

HIDDEN = ".tmp-"
"""How files begin that are not yet what they will be."""

_THREADS = 16
"""Syncs of small files that are under way together; measured, more bring nothing."""

_STALE_SECONDS = 3600


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

    def read(self, tenant: str, run_id: str) -> Stored:
        """The golden of a run, read once, with its signature. Raises GoldenFault or GoldenStoreError."""
        return self.read_named(tenant, safe_name(run_id) + GOLDEN)

    def read_named(self, tenant: str, name: str) -> Stored:
        """The golden in the file `name` of the tenant's folder. Raises GoldenFault or GoldenStoreError."""
        with self.opened(tenant) as folder:
            if folder is None or (golden := read_file(folder, name)) is None:
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
                return None if folder is None else _microseconds(os.lstat(name, dir_fd=folder))
            except FileNotFoundError:
                return None

    def remove(self, tenant: str, names: Iterable[str]) -> None:
        """Remove goldens by the names of their files, the signature first, and sync the folder."""
        with self.opened(tenant) as folder:
            if folder is None:
                return
            for name in names:
                for each in (f"{name}.sig", name):
                    with suppress(FileNotFoundError):
                        os.unlink(each, dir_fd=folder)
                    self._at("original removed")
            os.fsync(folder)

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
            self.root.mkdir(parents=True, exist_ok=True)
            root = os.open(self.root, _FOLDER)
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
        root = os.open(self.root, _FOLDER)
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
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


def write_hidden(folder: int, data: bytes, ended_at: int, at: Callable[[str], object] = lambda point: None) -> str:
    """Write `data` durably under a hidden name, which is returned. Raises OSError, leaving nothing."""
    with hidden_file(folder) as (name, file):
        at("opened")
        half = len(data) // 2
        _write_all(file, data[:half])
        at("half written")
        _write_all(file, data[half:])
        make_durable(file, ended_at)
        at("written")
    return name


@contextmanager
def hidden_file(folder: int) -> Generator[tuple[str, int]]:
    """A new file under a hidden name, with a descriptor to write to it; it is removed if anything goes wrong within."""
    name = HIDDEN + secrets.token_hex(12)
    file = os.open(name, _NEW, 0o644, dir_fd=folder)
    try:
        try:
            yield name, file
        finally:
            os.close(file)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        raise


def make_durable(file: int, ended_at: int) -> None:
    """Set the file's time (µs since the epoch) and sync it."""
    moment = ended_at * 1000 if 0 <= ended_at < 2**53 else 0
    os.utime(file, ns=(moment, moment))
    os.fsync(file)


def read_file(folder: int, name: str) -> tuple[bytes, int] | None:
    """The content of a regular file and its time (µs since the epoch), None if there is none.

    Raises GoldenFault for a link, a device, a folder or a pipe.
    """
    with opened_file(folder, name) as stream:
        if stream is None:
            return None
        return stream.read(), _microseconds(os.fstat(stream.fileno()))


@contextmanager
def opened_file(folder: int, name: str) -> Generator[BufferedReader | None]:
    """A regular file, to read; None if there is none. Raises GoldenFault for a link, a device, a folder or a pipe."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise GoldenFault(0, "link", f"{name} is a link or a device, not a file") from None
        raise
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise GoldenFault(0, "link", f"{name} is no regular file")
        if about.st_size > MAX_BYTES:
            raise GoldenFault(0, "unreadable", f"{name} has {about.st_size} bytes; no golden has")
        with open(file, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(file)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _microseconds(about: os.stat_result) -> int:
    return about.st_mtime_ns // 1000


def _holds(folder: int, name: str, data: bytes) -> bool:
    """Whether the file holds these bytes already."""
    try:
        if os.lstat(name, dir_fd=folder).st_size != len(data):
            return False
        found = read_file(folder, name)
    except (FileNotFoundError, GoldenFault):
        return False
    return found is not None and found[0] == data
