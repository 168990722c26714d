"""Where signed heads lie: in a file, in a folder or at a URL; and how they are published, never over one another."""

from __future__ import annotations

import os
import secrets
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import httpx2

from ...core.errors import CallError, Problem, StoreUnreachableError
from ...projections.golden_single_files import sync_folder
from ...replay.audit_faults import AuditFault
from ...replay.merkle import consistency_proof
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import MAX_NOTE_BYTES, Note, check_follows, parse_note

LATEST = "latest"
"""The one name whose content changes."""

_SECONDS = 30.0


class _Shelf(Protocol):
    def get(self, name: str) -> bytes | None: ...

    def add(self, name: str, data: bytes) -> bool: ...

    def replace(self, name: str, data: bytes) -> None: ...

    def close(self) -> None: ...


def read_head(place: str) -> Note:
    """The signed head in a file, or the latest in a folder or at a URL that ends with a slash; unverified.

    Raises AuditFault, CallError, StoreUnreachableError.
    """
    base, _, name = place.rpartition("/") if _is_url(place) or not os.path.isdir(place) else (place, "", "")
    with closing(_shelf(base if _is_url(place) else base or ".")) as shelf:
        data = shelf.get(name or LATEST)
    if data is None:
        raise CallError(Problem("", f"there is no signed head at {place}", "name a file, folder or URL of one"))
    return parse_note(data)


def publish(place: str, note: Note, tree: TreeFolder) -> str | None:
    """Publish a head that `tree` has reached; the name of its file, or None where it is the latest one already.

    Raises AuditFault, publishing nothing, unless it continues what was published last.
    """
    with closing(_shelf(place, make=True)) as shelf:
        known = shelf.get(LATEST)
        if known == note.data:
            return None
        if known is not None:
            before = parse_note(known).head
            sizes = before.size, note.head.size
            check_follows(before, note.head, consistency_proof(tree, *sizes) if sizes[0] <= sizes[1] else None)
        name = f"{note.head.size:020d}-{sha256(note.data).hexdigest()[:16]}.head"
        if not shelf.add(name, note.data) and shelf.get(name) != note.data:
            raise AuditFault("head", "forked", f"there is another head under the name {name} at {place}")
        shelf.replace(LATEST, note.data)
        return name


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all, durably, in place of what was there. Raises CallError."""
    hidden = path.parent / f".tmp-{secrets.token_hex(8)}"
    try:
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(file)
            os.replace(hidden, path)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        reason = f"the file {path} cannot be written: {error.strerror}"
        raise CallError(Problem("", reason, "name a file in a folder of yours")) from None


def _shelf(place: str, *, make: bool = False) -> _Shelf:
    return _Url(place.rstrip("/")) if _is_url(place) else _Folder(Path(place), make=make)


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


class _Folder:
    def __init__(self, root: Path, *, make: bool = False):
        self._root = root
        if make:
            try:
                root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _unusable(root, error) from None

    def get(self, name: str) -> bytes | None:
        try:
            with open(self._root / name, "rb") as file:
                return file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self._root / name, error) from None

    def add(self, name: str, data: bytes) -> bool:
        hidden = self._root / f".tmp-{secrets.token_hex(8)}"
        write_file(hidden, data)
        try:
            os.link(hidden, self._root / name)  # unlike a rename, it does not replace what is there
        except FileExistsError:
            return False
        except OSError as error:
            raise _unusable(self._root, error) from None
        finally:
            hidden.unlink()
        sync_folder(self._root)
        return True

    def replace(self, name: str, data: bytes) -> None:
        write_file(self._root / name, data)

    def close(self) -> None:
        """Nothing is open."""


class _Url:
    def __init__(self, base: str):
        self._base = base
        self._client = httpx2.Client(timeout=_SECONDS)

    def get(self, name: str) -> bytes | None:
        answer = self._send("GET", name)
        if answer.status_code in (404, 410):
            return None
        self._check(answer, name)
        return answer.content[: MAX_NOTE_BYTES + 1]

    def add(self, name: str, data: bytes) -> bool:
        answer = self._send("PUT", name, data, {"If-None-Match": "*"})
        if answer.status_code in (409, 412):
            return False
        self._check(answer, name)
        return True

    def replace(self, name: str, data: bytes) -> None:
        self._check(self._send("PUT", name, data), name)

    def close(self) -> None:
        self._client.close()

    def _send(
        self, method: str, name: str, data: bytes | None = None, more: dict[str, str] | None = None
    ) -> httpx2.Response:
        headers = {"Content-Type": "text/plain; charset=utf-8", **(more or {})} if data is not None else {}
        try:
            return self._client.request(method, f"{self._base}/{name}", content=data, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise StoreUnreachableError(f"{self._base} does not answer: {error or type(error).__name__}") from None

    def _check(self, answer: httpx2.Response, name: str) -> None:
        if not 200 <= answer.status_code < 300:
            raise StoreUnreachableError(f"{self._base}/{name} answered {answer.status_code}")


def _unusable(path: Path, error: OSError) -> CallError:
    return CallError(Problem("", f"{path} cannot be used: {error.strerror}", "name a folder of yours"))
