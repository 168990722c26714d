"""What a shadow simulation's folder holds, for whoever looks at it from outside, during the simulation or long after.

Nothing in it is believed: what cannot be read is told and counted, never raised. Memory does not grow with the file.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from .pid_file import Holder, holder_of
from .shadow_book import FORMAT, PID, RECORDS, SUMMARY
from .shadow_summary import COUNTED, Record

ShadowState = Literal["running", "ended", "stopped", "dead", "empty", "missing"]
"""Running: a process holds the folder. Ended: it did what it set out to do. Stopped: a signal ended it between two
cycles. Dead: it ended in any other way. Empty: nothing was ever recorded. Missing: there is no such folder."""

LONGEST_LINE = 1024 * 1024
"""In bytes; a longer line is no record."""

MOST_KEPT = 200
"""So many records, cycles and mismatches are kept to be shown, the latest; all are counted."""

_MOST_FAULTS = 20
_LONGEST_SUMMARY = 4 * 1024 * 1024
_SLACK_SECONDS = 5.0


class Cycle(NamedTuple):
    """A cycle as it was recorded; `counted` has the numbers of `COUNTED`, `mismatches` those that it found."""

    number: int
    at: str
    tenant: str
    seconds: float
    counted: Mapping[str, int]
    mismatches: list[dict[str, Any]]
    faults: dict[str, int]
    revived: list[str]


@dataclass(slots=True)
class ShadowSeen:
    """What was seen in `folder`. `faults` say what could not be read, `unreadable` how many lines that were; `half` is
    how many bytes of a line without an end the file ends with. `options` are those of the latest session."""

    folder: Path
    state: ShadowState = "missing"
    holder: Holder | None = None
    size: int = 0
    cycles: int = 0
    mismatches: int = 0
    sessions: int = 0
    options: tuple[str, ...] = ()
    counted: Counter[str] = field(default_factory=Counter[str])
    started_at: str | None = None
    updated_at: str | None = None
    latest_time: float | None = None
    file_time: float | None = None
    half: int = 0
    unreadable: int = 0
    faults: list[str] = field(default_factory=list[str])
    summary: dict[str, Any] | None = None
    records: deque[Record] = field(default_factory=lambda: deque[Record](maxlen=MOST_KEPT))
    last_cycles: deque[Cycle] = field(default_factory=lambda: deque[Cycle](maxlen=MOST_KEPT))
    found: deque[dict[str, Any]] = field(default_factory=lambda: deque[dict[str, Any]](maxlen=MOST_KEPT))

    def age(self, now: float) -> tuple[float | None, bool]:
        """How many seconds before `now` (since the epoch) something was last recorded, None for never; and whether the
        folder's times lie in the future: then the clock was set back, and nobody knows."""
        times = [each for each in (self.latest_time, self.file_time) if each is not None]
        if not times or not self.records:
            return None, False
        past = [each for each in times if each <= now + _SLACK_SECONDS]
        # A clock that was set back leaves records of the future; the file system may know better.
        return max(now - past[0], 0.0) if past else 0.0, not past

    def to_json(self, now: float) -> dict[str, Any]:
        """As a JSON object."""
        age, future = self.age(now)
        holder = self.holder
        return {
            "folder": str(self.folder),
            "state": self.state,
            "alive": self.state == "running",
            "host": holder and holder.host,
            "pid": holder and holder.pid,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
            "age_seconds": None if age is None else round(age, 3),
            "in_the_future": future,
            "sessions": self.sessions,
            "options": list(self.options),
            "cycles": self.cycles,
            **{name: self.counted[name] for name in COUNTED},
            "mismatches": self.mismatches,
            "records_bytes": self.size,
            "half_a_line_bytes": self.half,
            "unreadable_lines": self.unreadable,
            "faults": self.faults,
        }


def look(folder: Path) -> ShadowSeen:
    """Look at the folder of a shadow simulation. Never raises for what lies there."""
    seen = ShadowSeen(folder)
    if not folder.is_dir():
        seen.faults.append("there is no such folder")
        return seen
    try:
        seen.holder = holder_of(folder / PID)
    except OSError as error:
        seen.faults.append(f"{PID} cannot be read: {error.strerror or error}")
    # In this order: what the summary says was recorded before, whatever happens meanwhile.
    seen.summary = _summary(folder / SUMMARY, seen)
    try:
        with _opened(folder / RECORDS) as file:
            status = os.fstat(file.fileno())
            seen.size, seen.file_time = status.st_size, status.st_mtime
            for number, line in enumerate(_lines(file, seen), 1):
                _take(seen, number, line)
    except FileNotFoundError:
        pass
    except OSError as error:
        seen.unreadable += 1
        seen.faults.append(f"{RECORDS} cannot be read: {error.strerror or error}")
    seen.state = _state(seen)
    return seen


def _state(seen: ShadowSeen) -> ShadowState:
    if seen.holder is not None and seen.holder.lives:
        return "running"
    if not seen.records:
        return "empty" if not (seen.sessions or seen.unreadable) else "dead"
    last = next((each for each in reversed(seen.records) if each["type"] in ("session", "end", "cycle")), None)
    if last is not None and last["type"] == "end":
        return "ended"
    told = None if seen.summary is None else seen.summary.get("state")
    return "stopped" if told == "stopped" and last is not None and last["type"] == "cycle" else "dead"


def _opened(path: Path) -> BinaryIO:
    # A pipe in the place of the file must not keep us waiting.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is no file")
    return file


def _summary(path: Path, seen: ShadowSeen) -> dict[str, Any] | None:
    try:
        with _opened(path) as file:
            told: Any = json.loads(file.read(_LONGEST_SUMMARY))
        if isinstance(told, dict):
            return told  # pyright: ignore[reportUnknownVariableType]
        seen.faults.append(f"{SUMMARY} is no JSON object")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        seen.faults.append(f"{SUMMARY} is no JSON")
    except OSError as error:
        seen.faults.append(f"{SUMMARY} cannot be read: {error.strerror or error}")
    return None


def _lines(file: BinaryIO, seen: ShadowSeen) -> Iterator[bytes | None]:
    """The whole lines; None for one that is too long. What has no end is counted in `half`."""
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n"):
            yield line
            continue
        length = len(line)
        while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
            length += len(more)
        if not more:
            seen.half = length
            return
        yield None


def _take(seen: ShadowSeen, number: int, line: bytes | None) -> None:
    try:
        if line is None:
            raise ValueError(f"it is longer than {LONGEST_LINE} bytes")
        record: Any = json.loads(line)
        if not isinstance(record, dict) or not isinstance(record.get("type"), str):  # pyright: ignore[reportUnknownMemberType]
            raise ValueError("it is no record")
        if record.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
            written = repr(record.get("format"))[:40]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            raise ValueError(f"it is of format {written}, and this release reads {FORMAT}")
        _count(seen, record)  # pyright: ignore[reportUnknownArgumentType]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        seen.unreadable += 1
        if len(seen.faults) < _MOST_FAULTS:
            why = str(error) if type(error) is ValueError else "it is no record of a shadow run"
            seen.faults.append(f"line {number} of {RECORDS}: {why}")


def _count(seen: ShadowSeen, record: Record) -> None:
    """Add a record. Whatever raises does so before anything is counted."""
    at = str(record["at"])
    time = datetime.fromisoformat(at)
    if time.tzinfo is None:
        raise ValueError("its time has no zone")
    if record["type"] == "cycle":
        cycle = _cycle(record)
        seen.cycles += 1
        seen.counted.update(cycle.counted)
        seen.mismatches += len(cycle.mismatches)
        seen.last_cycles.append(cycle)
        seen.found.extend({"cycle": cycle.number, "at": cycle.at, **each} for each in cycle.mismatches)
    if record["type"] == "session":
        seen.options = tuple(str(each) for each in _list(record.get("options", [])))
    seen.sessions += record["type"] == "session"
    seen.started_at = seen.started_at or at
    seen.updated_at, seen.latest_time = at, time.timestamp()
    seen.records.append(record)


def _cycle(record: Record) -> Cycle:
    mismatches = [
        {name: str(each[name]) for name in ("check", "kind", "tenant", "run_id", "message")}
        for each in _list(record["mismatches"])
    ]
    faults = {str(name): _number(count) for name, count in record["faults"].items()}
    seconds = float(record["seconds"])
    if not 0 <= seconds < 1e9:
        raise ValueError("it took no time that can be")
    counted = {name: _number(record[name]) for name in COUNTED}
    revived = [str(each) for each in _list(record["revived"])]
    return Cycle(_number(record["cycle"]), record["at"], str(record["tenant"]), seconds, counted, mismatches, faults,
                 revived)  # fmt: skip


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value  # pyright: ignore[reportUnknownVariableType]


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("a number in it is none")
    return value
