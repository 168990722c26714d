"""Archives of goldens: `.tgz` files in a tenant's folder that any tar reads, and whose bytes follow from their content.

Members are sorted, owned by nobody in particular, and carry the time at which their run ended. An archive is read back
and compared before an original goes.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import GoldenStoreError, IntegrityError
from ..core.hashing import sha256_hex
from .golden_faults import GoldenFault
from .golden_files import GoldenFolder, Stored, read_file, write_hidden
from .golden_names import GOLDEN, SIGNATURE

_LONGEST = 250
"""No name of ours is longer."""

MAX_UNPACKED = 2**32
"""No archive that we write unpacks to more bytes."""


class Archive(NamedTuple):
    """An archive: the name of its file, the SHA-256 of its bytes, and the goldens in it by the names of their files."""

    name: str
    sha256: str
    goldens: dict[str, Stored]


def pack(goldens: dict[str, Stored]) -> bytes:
    """The bytes of an archive of these goldens, by the names of their files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, stored in sorted(goldens.items()):
            _add(tar, name, stored.data, stored.ended_at)
            if stored.signature is not None:
                _add(tar, f"{name}.sig", stored.signature, stored.ended_at)
    return packed.getvalue()


def unpack(data: bytes, name: str) -> dict[str, Stored]:
    """The goldens in an archive's bytes. Raises IntegrityError, naming the archive `name`, for what we never packed."""
    found: dict[str, tuple[bytes, int]] = {}
    left = MAX_UNPACKED
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped, tarfile.open(fileobj=zipped, mode="r|") as tar:
            for member in tar:
                left -= member.size
                if not _is_ours(member) or member.name in found or left < 0:
                    raise IntegrityError(
                        f"the archive {name} holds {ascii(member.name)[:80]}, which we never put there"
                    )
                stream = tar.extractfile(member)
                content = b"" if stream is None else stream.read()
                if len(content) != member.size:
                    raise IntegrityError(f"the archive {name} ends within {member.name}")
                found[member.name] = content, round(float(member.mtime) * 1_000_000)
            while zipped.read(1 << 20):  # to the end, where the checksum stands
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise IntegrityError(f"the archive {name} cannot be read: {error}") from None
    goldens: dict[str, Stored] = {}
    for golden, (content, ended_at) in found.items():
        if golden.endswith(GOLDEN):
            signature = found.get(f"{golden}.sig")
            goldens[golden] = Stored(content, None if signature is None else signature[0], ended_at)
    if len(goldens) + sum(f"{golden}.sig" in found for golden in goldens) != len(found):
        raise IntegrityError(f"the archive {name} holds a signature without its golden")
    return goldens


def archive_names(folder: GoldenFolder, tenant: str) -> list[str]:
    """The names of the tenant's archives, sorted."""
    with folder.opened(tenant) as opened:
        return [] if opened is None else sorted(name for name in os.listdir(opened) if _is_archive(name))


def read_archive(folder: GoldenFolder, tenant: str, name: str) -> Archive:
    """The archive in the file `name` of the tenant's folder. Raises IntegrityError, GoldenStoreError."""
    try:
        with folder.opened(tenant) as opened:
            if not _is_archive(name) or opened is None or (found := read_file(opened, name)) is None:
                raise GoldenStoreError(f"tenant {tenant} has no archive {ascii(name)[:80]}")
    except GoldenFault as fault:
        raise IntegrityError(f"the archive {name}: {fault}") from None
    return Archive(name, sha256_hex(found[0]), unpack(found[0], name))


def write_archive(folder: GoldenFolder, tenant: str, goldens: dict[str, Stored]) -> Archive:
    """Make an archive of these goldens, durable and read back from the disk. Raises GoldenStoreError, IntegrityError.

    The originals stay; its name follows from its content.
    """
    data = pack(goldens)
    digest = sha256_hex(data)
    name = f"archive-{digest[:32]}.tgz"
    last = max((stored.ended_at for stored in goldens.values()), default=0)
    with folder.made(tenant) as opened:
        hidden = write_hidden(opened, data, last)
        try:
            back = read_file(opened, hidden)
            if back is None or unpack(back[0], name) != goldens:
                raise IntegrityError(f"the archive {name} does not read back as what was put into it")
            os.rename(hidden, name, src_dir_fd=opened, dst_dir_fd=opened)
        except BaseException:
            os.unlink(hidden, dir_fd=opened)
            raise
        os.fsync(opened)
    return Archive(name, digest, goldens)


def remove_archive(folder: GoldenFolder, tenant: str, name: str) -> None:
    """Remove an archive's file. Raises GoldenStoreError."""
    with folder.opened(tenant) as opened:
        if not _is_archive(name) or opened is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.unlink(name, dir_fd=opened)
        os.fsync(opened)


def find_archived(folder: GoldenFolder, tenant: str, wanted: Sequence[str]) -> dict[str, str]:
    """In which archive each of the goldens `wanted` (names of files) lies, of several the last by name."""
    places: dict[str, str] = {}
    for name in archive_names(folder, tenant):
        held = read_archive(folder, tenant, name).goldens
        places.update({golden: name for golden in wanted if golden in held})
    return places


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
