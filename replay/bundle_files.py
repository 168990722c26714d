"""Audit bundles as zip files whose bytes follow from what is in them.

Nothing is compressed, names are sorted, times fixed. So a bundle that was read can be written again and must have the
same bytes: no flipped bit, hidden entry or comment stays unseen. Nothing is ever written to disk under a name from it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping

from .audit_faults import AuditFault

MANIFEST, CHECKPOINT = "bundle.json", "checkpoint"
EVENTS, INBOX = "events.jsonl", "inbox.jsonl"
GOLDEN, GOLDEN_SIGNATURE = "golden.steps.jsonl", "golden.steps.jsonl.sig"
LARGE = "large/"
"""What is in a bundle; below `large/` payloads lie under their SHA-256."""

MAX_BYTES = 2**30
MAX_FILES = 100_000
"""No bundle is larger, and none has more files."""

_NAMES = re.compile(
    rf"{re.escape(MANIFEST)}|{CHECKPOINT}|{re.escape(EVENTS)}|{re.escape(INBOX)}|{re.escape(GOLDEN)}(\.sig)?"
    rf"|{LARGE}[0-9a-f]{{64}}"
)
_NEEDED = (MANIFEST, CHECKPOINT, EVENTS)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The bundle with these files. Raises AuditFault where it would be too large."""
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_BYTES:
        raise AuditFault("bundle", "size", f"the run is too large for a bundle of {MAX_BYTES} bytes")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            bundle.writestr(entry, files[name])
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a bundle. Raises AuditFault for anything that `pack` would not have written."""
    if len(data) > 2 * MAX_BYTES:
        raise AuditFault("bundle", "size", f"it has {len(data)} bytes; no bundle has")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            files = _read(bundle)
    except AuditFault:
        raise
    except Exception as error:  # zipfile raises a dozen kinds for what is no zip
        raise AuditFault("bundle", "unreadable", f"it is no bundle, or cut: {error}") from None
    for name in _NEEDED:
        if name not in files:
            raise AuditFault("bundle", "missing", f"there is no {name} in it")
    if pack(files) != data:
        raise AuditFault("bundle", "changed", "its bytes are not those that its content is written as")
    return files


def _read(bundle: zipfile.ZipFile) -> dict[str, bytes]:
    entries = bundle.infolist()
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise AuditFault("bundle", "size", f"it says that it holds more than {MAX_BYTES} bytes or {MAX_FILES} files")
    files: dict[str, bytes] = {}
    for entry in entries:
        if not _NAMES.fullmatch(entry.filename) or entry.filename in files:
            raise AuditFault("bundle", "foreign", f"{ascii(entry.filename)[:90]} has no place in a bundle")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise AuditFault("bundle", "foreign", f"{entry.filename} is compressed, and nothing in a bundle is")
        files[entry.filename] = bundle.read(entry)
    return files
