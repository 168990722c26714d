"""What operators set by environment variables, beyond the database's URL (`refold.compose`)."""

from __future__ import annotations

import math
import os

from ..core.errors import CallError, Problem

DEFAULT_PATIENCE = 30.0
"""Seconds."""


def store_patience() -> float:
    """REFOLD_STORE_PATIENCE: for how many seconds a database that does not answer is asked again. Raises CallError."""
    text = os.environ.get("REFOLD_STORE_PATIENCE", "")
    try:
        seconds = float(text) if text else DEFAULT_PATIENCE
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise CallError(Problem("", f"REFOLD_STORE_PATIENCE is {text[:40]!r}", "give a number of seconds, 0 or more"))
    return seconds
