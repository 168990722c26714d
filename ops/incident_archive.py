"""Files about an incident in one archive: a tar whose bytes follow from what is in it, with a manifest of hashes."""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..core.errors import CallError, Problem, StoreRefusedError
from ..projections.golden_single_files import sync_folder

MANIFEST = "manifest.json"
"""The file that names all others, with sizes and SHA-256."""


class IncidentArchive:
    """Collects files, at most `most` bytes together: what has no room is left out, and `left_out` says so."""

    def __init__(self, most: int):
        self.left_out: dict[str, str] = {}
        self._most = most
        self._files: dict[str, bytes] = {}

    @property
    def room(self) -> int:
        """How many bytes more there is room for."""
        return self._most - sum(map(len, self._files.values()))

    def add(self, name: str, data: bytes) -> None:
        """Add a file, unless there is no room for it."""
        if len(data) > self.room:
            self.left_out[name] = f"its {len(data)} bytes are more than the archive may still hold"
        else:
            self._files[name] = data

    def add_json(self, name: str, value: Any) -> None:
        """Add a JSON document."""
        self.add(
            name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        )

    def skip(self, name: str, why: str) -> None:
        """Say that something could not be had."""
        self.left_out[name] = why

    def manifest(self, about: dict[str, Any]) -> dict[str, Any]:
        """What the manifest says: `about`, every file by name, and what was left out."""
        files = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in self._sorted()}
        return {"format": 1, **about, "files": files, "left_out": dict(sorted(self.left_out.items()))}

    def tar(self, manifest: dict[str, Any]) -> bytes:
        """The compressed archive. The same files and manifest give the same bytes: no times, no owners, one order."""
        packed = io.BytesIO()
        with (
            # Without a name and a time.
            gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, data in ((MANIFEST, _json(manifest)), *self._sorted()):
                member = tarfile.TarInfo(f"incident/{name}")
                member.size, member.mode, member.mtime = len(data), 0o600, 0
                tar.addfile(member, io.BytesIO(data))
        return packed.getvalue()

    def _sorted(self) -> list[tuple[str, bytes]]:
        return sorted(self._files.items())


@contextmanager
def reserved(path: Path) -> Generator[Path]:
    """A file beside `path`, ours alone (mode 0600), that gets its name at the end, whole and durable; what is there
    already stays. Raises CallError if the name is taken, StoreRefusedError if it cannot be written."""
    fix = "name a file that does not exist, in a folder that does"
    if os.path.lexists(path):
        raise CallError(Problem("", f"{path} exists", fix))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CallError(Problem("", f"{path} cannot be made: {error.strerror}", fix)) from None
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.link(part, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise CallError(Problem("", f"{path} exists by now", fix)) from None
    except OSError as error:
        raise StoreRefusedError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace") + b"\n"
