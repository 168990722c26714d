"""Traces of runs: ids that follow from the log, so that whichever process tells of a run or a step names the same.

A trace and its spans are named as W3C Trace Context has it (https://www.w3.org/TR/trace-context/): by 16 and 8 bytes,
not all zero. The ids are SHA-256 of what they stand for, each kind with a prefix of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .events import RunStarted
from .hashing import sha256_hex
from .step_events import StepIndex

_TRACE_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,400})?")
_SAMPLED = 0x01


class TraceParent(NamedTuple):
    """A span somewhere: its trace and its own id in lower-case hexadecimal, and whether the trace is recorded."""

    trace_id: str
    span_id: str
    sampled: bool

    def header(self) -> str:
        """The value of the header `traceparent`, of version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_traceparent(text: object) -> TraceParent | None:
    """What a `traceparent` says (W3C Trace Context, 3.2); None for whatever is none.

    Of later versions than 00 so much is read as this one has, as the standard wants it.
    """
    found = _TRACE_PARENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


class RunTrace(NamedTuple):
    """The trace that a run is in, the id of its own span, and the span of whoever started it, if that is known."""

    trace_id: str
    span_id: str
    parent: TraceParent | None


def run_trace(stream: str, started: RunStarted) -> RunTrace:
    """Where the run of `stream` belongs: to the trace it was started in, else to one of its own.

    Its own follows from when it started, too: the same run id in another database is another run.
    """
    parent = parse_traceparent(started.trace)
    trace_id = _id("trace", f"{stream}\0{started.at}", 32) if parent is None else parent.trace_id
    return RunTrace(trace_id, _id("run", stream, 16), parent)


def step_span_id(stream: str, index: StepIndex, attempt: int) -> str:
    """The id of the span of one attempt at a step."""
    return _id("step", f"{stream}\0{index}\0{attempt}", 16)


def wait_span_id(stream: str, index: StepIndex) -> str:
    """The id of the span of a step's wait."""
    return _id("wait", f"{stream}\0{index}", 16)


def _id(kind: str, of: str, digits: int) -> str:
    # All zeros are no id; the chance is 2^-64, and a trace is no place for an error.
    return sha256_hex(f"refold/trace/1\0{kind}\0{of}".encode())[:digits].replace("0" * digits, "1" * digits)
