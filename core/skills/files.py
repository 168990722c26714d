"""The skill that writes files, within one folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ..canonical import canonical_json
from ..errors import Failure
from ..exceptions_mapped import code_of
from ..runtime.skill import skill

ROOT_VARIABLE = "REFOLD_FILES_ROOT"
"""The environment variable that names the folder; the current folder without it."""

_MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EBUSY}


@skill(side_effect=True)
def file_write(path: str, content: str | None = None, json: Any = None) -> dict[str, Any]:
    """Write `content` as UTF-8, or `json` as canonical JSON, to `path` under the folder REFOLD_FILES_ROOT.

    The file appears whole or not at all, missing folders are made, and writing the same again changes nothing.
    Returns the path under the folder, the size in bytes and the SHA-256. Fails with FILE_REFUSED when the path leads
    out of the folder, by `..` or by a link, with FILE_DENIED when the system does not permit it, with FILE_MISSING when
    the folder is not there, with DISK_FULL, and else with FILE_ERROR.
    """
    if (content is None) == (json is None):
        message = "skill 'file_write': give one of the inputs 'content' and 'json'"
        raise Failure("SKILL_INPUT_INVALID", message, retryable=False)
    data = content.encode() if content is not None else canonical_json(json)
    root = Path(os.environ.get(ROOT_VARIABLE) or ".")
    try:
        root = root.resolve(strict=True)
        target = _within(root, path)
        with _folder(root, target.parent.parts) as folder:
            _replace(folder, target.name, data)
    except OSError as error:
        retryable = None if error.errno in _MAY_PASS else False
        message = f"{path[:200]!r} could not be written: {error.strerror}"
        raise Failure(code_of(error) or "FILE_ERROR", message, retryable=retryable) from error
    return {"path": target.as_posix(), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _within(root: Path, path: str) -> Path:
    """The path with every link followed, relative to the root."""
    if not path or "\0" in path or path.startswith("/"):
        raise _refused(path, "is empty, absolute or holds a NUL")
    try:
        resolved = (root / path).resolve()
    except RuntimeError:  # how Python reports a circle of links before 3.13
        raise _refused(path, "goes round in links") from None
    if resolved == root or not resolved.is_relative_to(root):
        raise _refused(path, f"leads out of the folder that {ROOT_VARIABLE} names")
    return resolved.relative_to(root)


@contextlib.contextmanager
def _folder(root: Path, parts: tuple[str, ...]) -> Generator[int]:
    """A descriptor of the folder, made where it is missing.

    Opened part by part and following no link: between the check and the use somebody may have put one there.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(root, flags)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
                os.fsync(folder)
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _replace(folder: int, name: str, data: bytes) -> None:
    temporary = f".refold-{secrets.token_hex(8)}.tmp"
    created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        with open(created, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _refused(path: str, reason: str) -> Failure:
    return Failure("FILE_REFUSED", f"the path {path[:200]!r} {reason}", retryable=False)
