"""What a process that goes on for long says of its troubles."""

from __future__ import annotations

import logging

from .faults import Hidden
from .output import plain


class _Lines(logging.Formatter):
    """Time, level and message, without secrets and without what a terminal would obey."""

    def __init__(self, hide: Hidden):
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """The lines of one message."""
        return "\n".join(plain(line) for line in self._hide(super().format(record)).splitlines())


def log_to_stderr(hide: Hidden) -> None:
    """Have warnings and errors told on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(hide))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
