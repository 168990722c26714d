"""The folder of a shadow simulation: `records.jsonl`, `summary.json`, `shadow.log`, `shadow.pid`.

A record is durable before anything else is told of it. Whoever wants to know counts records by their fields; text is
for people.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.errors import CallError, Problem
from ..projections.times import iso
from .pid_file import PidFile

FORMAT = 1
"""The version of the records' shape, in each of them."""

RECORDS, SUMMARY, LOG, PID = "records.jsonl", "summary.json", "shadow.log", "shadow.pid"
"""The names of the files."""


class ShadowBook:
    """The folder, held by one process at a time: a lock on `shadow.pid` goes with the process, however that ends.

    Raises RunOwnedError when another process holds it, CallError when it cannot be used.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.dropped = 0
        """Bytes of half a line at the end of the records, which a kill had left; they were removed."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held = PidFile(folder / PID, "shadow run")
            self._log = open(folder / LOG, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            self.records = self._mended()
            self._out = os.open(folder / RECORDS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            _sync_folder(folder)
        except OSError as error:
            reason = f"the folder {folder} cannot be used: {error.strerror}"
            raise CallError(Problem("", reason, "name another by --folder")) from None

    @property
    def log_file(self) -> int:
        """The descriptor of the log, for the processes that are started."""
        return self._log.fileno()

    def add(self, type_: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Write a record, durably; returns it whole. Raises OSError."""
        record = {"format": FORMAT, "type": type_, "at": now(), **fields}
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self._out, view) :]
        os.fsync(self._out)
        self.records.append(record)
        return record

    def summarise(self, summary: dict[str, Any]) -> None:
        """Put `summary.json` in the place of the one before, whole. Raises OSError."""
        hidden = self.folder / f".{SUMMARY}"
        with open(hidden, "w", encoding="utf-8") as file:
            json.dump(summary, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(self.folder / SUMMARY)
        _sync_folder(self.folder)

    def say(self, text: str) -> None:
        """A line for people, in the log. What cannot be written there is lost."""
        with suppress(OSError):
            self._log.write(f"{now()} {text}\n")
            self._log.flush()

    def close(self) -> None:
        """Let go of the folder; `shadow.pid` stays, and the summary says that it has ended."""
        os.close(self._out)
        self._held.close()
        self._log.close()

    def _mended(self) -> list[dict[str, Any]]:
        """The records there are; a half line at the end is removed."""
        path = self.folder / RECORDS
        if not path.exists():
            return []
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        self.dropped = len(data) - whole
        if self.dropped:
            os.truncate(path, whole)
        return list(_parsed(data[:whole], path))


def now() -> str:
    """The time of day in ISO 8601, UTC."""
    return iso(time.time_ns() // 1000)


def _parsed(data: bytes, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(data.splitlines(), 1):
        try:
            record: Any = json.loads(line)
            known = record["format"] == FORMAT and isinstance(record["type"], str)
        except (ValueError, TypeError, KeyError):
            known = False
            record = None
        if not known:
            reason = f"line {number} of {path} is no record of a shadow run"
            raise CallError(Problem("", reason, "keep the folder for later, and name another by --folder"))
        yield record


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
