"""A process that writes: `python -P -m refold.tests.support.writer_process URL NAME COMMITS`.

It appends to two streams of its own, a unit of both in each transaction, and prints its longest wait, in seconds.
"""

from __future__ import annotations

import sys
import time

from refold import open_store

from .units import Writer, said


def main(url: str, name: str, commits: int) -> None:
    """Commit, one unit after another."""
    store = open_store(url)
    writer = Writer(name)
    longest = 0.0
    for number in range(commits):
        unit = writer.unit((f"default/{name}-a", [said(str(number))]), (f"default/{name}-b", [said()] * 2))
        begun = time.monotonic()
        if store.commit([unit], name) != [True]:
            raise RuntimeError(f"commit {number} was refused")
        longest = max(longest, time.monotonic() - begun)
    store.close()
    sys.stdout.write(f"{longest}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
