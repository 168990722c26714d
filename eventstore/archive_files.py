"""Archives: files of ended runs, read by `zcat`, and never changed.

An archive is a sequence of gzip members (RFC 1952, 2.2). One holds a run: a line that names it and the heads of its
streams, then the events of the run and its inbox (`refold.eventstore.lines`). After the first run that refers to it, a
large payload has a member of its own. The file's name follows from its content.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import orjson

from ..core.errors import IntegrityError, StoreRefusedError, StoreUnreachableError
from ..core.ports import Head
from .archive_index import Span
from .chain import event_hash
from .codec import open_envelope
from .lines import event_line, event_of, payload_line, payload_of
from .store import Notification

FORMAT = 1
"""The version of the format."""

_GZIP = 31
"""What zlib calls gzip, with the largest window."""


class ArchivedRun(NamedTuple):
    """What one member holds: the run's stream, the heads of its streams, and their events, in order."""

    stream: str
    heads: Mapping[str, Head]
    events: Mapping[str, list[Notification]]


def pack_run(stream: str, heads: Mapping[str, Head], events: Iterable[Notification]) -> bytes:
    """The bytes of a run's member. Raises IntegrityError for events that cannot stand in one."""
    packer = zlib.compressobj(wbits=_GZIP)
    about = {"archived": FORMAT, "run": stream, "heads": {name: list(head) for name, head in heads.items()}}
    packed = [packer.compress(orjson.dumps(about) + b"\n")]
    packed.extend(packer.compress(event_line(*event)) for event in events)
    return b"".join((*packed, packer.flush()))


def unpack_run(data: bytes) -> ArchivedRun:
    """The run in a member. Raises ValueError for anything else."""
    first, *lines = _unpacked(data)
    about: dict[str, Any] = orjson.loads(first)
    if about["archived"] != FORMAT:
        raise ValueError("it holds no run in a format that is known here")
    heads: dict[str, Head] = {name: Head(*head) for name, head in about["heads"].items()}
    events: dict[str, list[Notification]] = {name: [] for name in heads}
    for line in lines:
        event = event_of(line)
        events[event.record.stream].append(event)
    return ArchivedRun(about["run"], heads, events)


def check_chain(stream: str, head: Head, events: Iterable[Notification]) -> None:
    """Raises IntegrityError unless these are all events of the stream up to its head, and their chain holds."""
    version, last = 0, None
    for _, record in events:
        version += 1
        if (record.stream, record.version) != (stream, version) or open_envelope(record).prev != last:
            raise IntegrityError(f"event {record.version} of {stream} does not follow from the one before it")
        last = event_hash(*record)
    if (version, last) != head:
        raise IntegrityError(f"the last event of {stream} is not the one that its head names")


def _unpacked(data: bytes) -> list[bytes]:
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        lines = BytesIO(unpacker.decompress(data)).readlines()
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof or unpacker.unused_data or not lines:
        raise ValueError("it does not end where it should")
    return lines


class ArchiveWriter:
    """An archive that is being written, under a hidden name; it gets its own by `finish`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._hidden = folder / f".{uuid4().hex}.part"
        self._digest = sha256()
        self.length = 0
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._hidden.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._hidden.unlink(missing_ok=True)

    def add(self, member: bytes) -> tuple[int, int]:
        """Append a member; tells where it stands, and its length."""
        start = self.length
        with _told(self._folder):
            self._file.write(member)
        self._digest.update(member)
        self.length += len(member)
        return start, len(member)

    def add_payload(self, digest: str, data: bytes) -> tuple[int, int]:
        """Append a large payload's member; tells where it stands. Raises IntegrityError for an altered one."""
        packer = zlib.compressobj(wbits=_GZIP)
        return self.add(packer.compress(payload_line(digest, data)) + packer.flush())

    def settle(self) -> tuple[str, str]:
        """Make the bytes durable; tells the name that the archive will have, and its SHA-256, read back from the disk.

        Raises IntegrityError when it does not read back as it was written.
        """
        with _told(self._folder):
            self._file.flush()
            os.fsync(self._file.fileno())
            with self._hidden.open("rb") as file:
                found = file_digest(file, "sha256").hexdigest()
        if found != self._digest.hexdigest():
            raise IntegrityError("the archive does not read back as it was written")
        return f"archive-{found[:32]}.ndjson.gz", found

    def read(self, span: Span) -> bytes:
        """Bytes of it, from the disk."""
        return _piece(self._hidden, span)

    def publish(self, name: str) -> None:
        """Give the archive its name, for good."""
        with _told(self._folder):
            os.replace(self._hidden, self._folder / name)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class ArchiveFolder:
    """The folder of a store's archives; `path` is None when nobody has said where it is."""

    def __init__(self, path: Path | None):
        self.path = path

    def writer(self) -> ArchiveWriter:
        """A new archive."""
        if self.path is None:
            raise StoreRefusedError("nobody has said where archives lie: set REFOLD_ARCHIVE, or give --archives")
        return ArchiveWriter(self.path)

    def run(self, span: Span) -> ArchivedRun:
        """The run in these bytes. Raises IntegrityError for missing or altered files, StoreRefusedError."""
        try:
            return unpack_run(self._read(span))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _altered(span, error) from None

    def payload(self, span: Span) -> tuple[str, bytes]:
        """Hash and bytes of the large payload in these bytes. Raises IntegrityError, StoreRefusedError."""
        try:
            (line,) = _unpacked(self._read(span))
            return payload_of(line)
        except ValueError as error:
            raise _altered(span, error) from None

    def digest(self, name: str) -> str | None:
        """The SHA-256 of an archive, None where there is no such file. Raises StoreRefusedError."""
        try:
            with self._path_of(name).open("rb") as file:
                return file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(name, error) from None

    def size(self, name: str) -> int | None:
        """The length of an archive in bytes, None where there is no such file."""
        try:
            return self._path_of(name).stat().st_size
        except OSError:
            return None

    def _read(self, span: Span) -> bytes:
        try:
            return _piece(self._path_of(span.file), span)
        except FileNotFoundError:
            raise IntegrityError(f"the archive {span.file} is missing from {self.path}") from None
        except OSError as error:
            raise _unreadable(span.file, error) from None

    def _path_of(self, name: str) -> Path:
        if self.path is None:
            raise StoreRefusedError(f"what is asked for lies in the archive {name}: set REFOLD_ARCHIVE to its folder")
        if "/" in name or name.startswith("."):
            raise IntegrityError(f"no archive of ours is called {ascii(name)[:80]}")
        return self.path / name


def _piece(path: Path, span: Span) -> bytes:
    with path.open("rb") as file:
        file.seek(span.start)
        return file.read(span.length)


def _altered(span: Span, error: Exception) -> IntegrityError:
    return IntegrityError(f"the archive {span.file} was altered: at byte {span.start}: {error}")


def _unreadable(name: str, error: OSError) -> StoreUnreachableError:
    return StoreUnreachableError(f"the archive {name} cannot be read: {error.strerror or error}")


@contextmanager
def _told(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreRefusedError(f"archives cannot be written to {folder}: {error.strerror or error}") from None
