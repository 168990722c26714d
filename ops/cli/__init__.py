"""The command line, `refold`.

`commands` holds every command's words and loads what a command does only when it is called, for `refold --help` must
answer within 0.3 s. Data goes to stdout, messages for people to stderr; `--json` gives one JSON object a line.
"""

from __future__ import annotations

from .main import main

__all__ = ["main"]
