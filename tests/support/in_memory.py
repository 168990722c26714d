"""Where the tests' files lie: in memory, if there is room, for nearly all of them write to a database.

Nothing is lost by that. What tests kill are processes, and what these have written is the kernel's; of a power cut no
test can tell, on a disk neither. But a commit on a disk waits for it, and so does every database made and dropped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
"""A file system in memory, as Linux has it."""

ROOM_BYTES = 4 * 2**30
"""The least that must be free there; the whole suite needs a small part of it."""


def use_memory(place: Path = SHARED_MEMORY) -> None:
    """Have the temporary files of this process and of its children lie in memory, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and _is_fit(place):
        os.environ["TMPDIR"] = str(place)
        tempfile.tempdir = None


def _is_fit(place: Path) -> bool:
    if not os.access(place, os.W_OK | os.X_OK):
        return False
    # Programs are started from there too.
    return not os.statvfs(place).f_flag & os.ST_NOEXEC and shutil.disk_usage(place).free >= ROOM_BYTES
