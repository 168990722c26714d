"""Small disks of our own, which can be filled: tmpfs, which only root can mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """A folder on a small disk. `small` is False where it is an ordinary folder that nobody should fill."""

    def __init__(self, folder: Path, small: bool):
        self.folder = folder
        self.small = small
        self._ballast = folder / ".ballast"

    def fill(self) -> None:
        """Leave no room on it."""
        with self._ballast.open("ab") as file:
            end = file.tell()
            for step in (1 << 24, 1 << 16, 1 << 12):
                while True:
                    try:
                        os.posix_fallocate(file.fileno(), end, step)
                    except OSError:
                        break
                    end += step

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A disk of that size at `folder`, unmounted afterwards; without the right to mount, an ordinary folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "refold-soak", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted and subprocess.run(["umount", str(folder)], capture_output=True).returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # somebody still stands in it
