"""Archives of goldens: `.tgz` files in a tenant's folder that any tar reads, and whose bytes follow from their content.

Members are sorted, owned by nobody in particular, and carry the time at which their run ended. An archive is read back
and compared before an original goes.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest
from io import BufferedReader
from typing import BinaryIO, NamedTuple

from ..core.errors import GoldenStoreError, IntegrityError
from ..core.hashing import sha256_hex
from .golden_faults import GoldenFault
from .golden_files import GoldenFolder, Stored
from .golden_names import GOLDEN, SIGNATURE
from .golden_single_files import hidden_file, make_durable, opened_file

_LONGEST = 250
"""No name of ours is longer."""

MAX_UNPACKED = 2**32
"""No archive that we write unpacks to more bytes."""


class Mark(NamedTuple):
    """What a golden in an archive is known by: SHA-256 of its bytes and its signature, and when the run ended (µs)."""

    sha256: str
    signature: str | None
    ended_at: int

    @classmethod
    def of(cls, stored: Stored) -> Mark:
        """The mark of what is stored."""
        signature = None if stored.signature is None else sha256_hex(stored.signature)
        return cls(sha256_hex(stored.data), signature, stored.ended_at)


class Archive(NamedTuple):
    """An archive: the name of its file, the SHA-256 of its bytes, and what is in it by the names of the files."""

    name: str
    sha256: str
    goldens: dict[str, Mark]


def pack(goldens: Iterable[tuple[str, Stored]], file: BinaryIO) -> None:
    """Write an archive of these goldens, which come by the names of their files, sorted; one at a time is in memory."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        before = ""
        for name, stored in goldens:
            if name <= before:
                raise ValueError(f"{name!r} comes after {before!r}")
            before = name
            _add(tar, name, stored.data, stored.ended_at)
            if stored.signature is not None:
                _add(tar, f"{name}.sig", stored.signature, stored.ended_at)


def unpack(file: BinaryIO, name: str) -> Iterator[tuple[str, Stored]]:
    """The goldens in an archive, one at a time, by the names of their files, sorted.

    Raises IntegrityError, naming the archive `name`, for what we never packed; that its bytes are whole is known only
    at the end.
    """
    pending: tuple[str, Stored] | None = None
    before = ""
    try:
        for member, content, ended_at in _members(file, name):
            if pending is not None and member == f"{pending[0]}.sig":
                yield pending[0], pending[1]._replace(signature=content)
                pending = None
                continue
            if member.endswith(SIGNATURE):
                raise IntegrityError(f"the archive {name} holds a signature without its golden")
            if member <= before:
                raise IntegrityError(f"the archive {name} holds {member} where we never put it")
            if pending is not None:
                yield pending
            pending, before = (member, Stored(content, None, ended_at)), member
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise IntegrityError(f"the archive {name} cannot be read: {error}") from None
    if pending is not None:
        yield pending


def _members(file: BinaryIO, name: str) -> Iterator[tuple[str, bytes, int]]:
    left = MAX_UNPACKED
    with gzip.GzipFile(fileobj=file) as zipped, tarfile.open(fileobj=zipped, mode="r|") as tar:
        for member in tar:
            left -= member.size
            if not _is_ours(member) or left < 0:
                raise IntegrityError(f"the archive {name} holds {ascii(member.name)[:80]}, which we never put there")
            stream = tar.extractfile(member)
            content = b"" if stream is None else stream.read()
            if len(content) != member.size:
                raise IntegrityError(f"the archive {name} ends within {member.name}")
            yield member.name, content, round(float(member.mtime) * 1_000_000)
        while zipped.read(1 << 20):  # to the end, where the checksum stands
            pass


def archive_names(folder: GoldenFolder, tenant: str) -> list[str]:
    """The names of the tenant's archives, sorted."""
    with folder.opened(tenant) as opened:
        return [] if opened is None else sorted(name for name in os.listdir(opened) if _is_archive(name))


def read_archive(folder: GoldenFolder, tenant: str, name: str) -> Archive:
    """The archive in the file `name` of the tenant's folder, read whole. Raises IntegrityError, GoldenStoreError."""
    with _opened(folder, tenant, name) as stream:
        return _read(stream, name)


def goldens_in(folder: GoldenFolder, tenant: str, name: str) -> Iterator[tuple[str, Stored]]:
    """The goldens in an archive, one at a time. Raises IntegrityError, maybe only at the end; GoldenStoreError."""
    with _opened(folder, tenant, name) as stream:
        yield from unpack(stream, name)


@contextmanager
def _opened(folder: GoldenFolder, tenant: str, name: str) -> Generator[BufferedReader]:
    try:
        with folder.opened(tenant) as opened:
            if opened is not None and _is_archive(name):
                with opened_file(opened, name) as stream:
                    if stream is not None:
                        yield stream
                        return
    except GoldenFault as fault:
        raise IntegrityError(f"the archive {name}: {fault}") from None
    raise GoldenStoreError(f"tenant {tenant} has no archive {ascii(name)[:80]}")


def _read(stream: BufferedReader, name: str) -> Archive:
    digest = file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return Archive(name, digest, {golden: Mark.of(stored) for golden, stored in unpack(stream, name)})


def write_archive(folder: GoldenFolder, tenant: str, goldens: Iterable[tuple[str, Stored]]) -> Archive:
    """Make an archive of these goldens, durable and read back from the disk. Raises GoldenStoreError, IntegrityError.

    They come by the names of their files, sorted. The originals stay; the archive's name follows from its content.
    """
    put: dict[str, Mark] = {}

    def noted() -> Iterator[tuple[str, Stored]]:
        for name, stored in goldens:
            put[name] = Mark.of(stored)
            yield name, stored

    with folder.made(tenant) as opened, hidden_file(opened) as (hidden, file):
        folder.reached("archive opened")
        with open(file, "wb", closefd=False) as stream:
            pack(noted(), stream)
        make_durable(file, max((mark.ended_at for mark in put.values()), default=0))
        folder.reached("archive written")
        with opened_file(opened, hidden) as back:
            made = None if back is None else _read(back, "just written")
        if made is None or made.goldens != put:
            raise IntegrityError("the archive does not read back as what was put into it")
        made = made._replace(name=f"archive-{made.sha256[:32]}.tgz")
        os.rename(hidden, made.name, src_dir_fd=opened, dst_dir_fd=opened)
        folder.reached("archive renamed")
        os.fsync(opened)
    folder.reached("archive durable")
    return made


def remove_archive(folder: GoldenFolder, tenant: str, name: str) -> None:
    """Remove an archive's file, if there is one. Raises GoldenStoreError."""
    with folder.opened(tenant) as opened:
        if opened is not None and _is_archive(name):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=opened)
            folder.reached("archive removed")
            os.fsync(opened)


def _add(tar: tarfile.TarFile, name: str, data: bytes, ended_at: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    # A fraction goes into a PAX header as text; a float holds microseconds exactly enough until the year 2255.
    member.mtime = ended_at / 1_000_000 if ended_at % 1_000_000 else ended_at // 1_000_000
    tar.addfile(member, io.BytesIO(data))


def _is_ours(member: tarfile.TarInfo) -> bool:
    name = member.name
    ends = name.endswith((GOLDEN, SIGNATURE))
    return member.isreg() and ends and "/" not in name and not name.startswith(".") and len(name) <= _LONGEST


def _is_archive(name: str) -> bool:
    return name.startswith("archive-") and name.endswith(".tgz") and "/" not in name
