"""Plans on stdin, one a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ...core.documents import MAX_DOCUMENT_BYTES
from ...core.errors import CallError, Problem


def plan_lines() -> Iterator[bytes]:
    """The lines of stdin that are not blank, as they come. Raises CallError for one that is too long."""
    # A line at a time, so that whoever writes plans hears of each at once; a line without end is not waited for.
    source = sys.stdin.buffer
    try:
        while line := source.readline(MAX_DOCUMENT_BYTES + 2):
            if len(line) > MAX_DOCUMENT_BYTES + 1:
                problem = Problem("", f"a line is longer than {MAX_DOCUMENT_BYTES} bytes", "send smaller plans")
                raise CallError(problem)
            if line.strip():
                yield line
    except OSError as error:
        raise CallError(Problem("", f"the plans cannot be read: {error.strerror or error}")) from None
