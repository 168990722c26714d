"""What operators set by environment variables, beyond the database's URL (`refold.compose`)."""

from __future__ import annotations

import math
import os
from pathlib import Path

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


GOLDENS = "REFOLD_GOLDENS"
"""The environment variable that names the folder of goldens."""

GOLDEN_KEYS = "REFOLD_GOLDEN_KEYS"
"""The environment variable that names the file of their keys. Goldens are kept where one is named."""


def golden_folder(given: str | None) -> Path:
    """Where goldens lie: `given`, else REFOLD_GOLDENS, else the folder `goldens`."""
    return Path(given or os.environ.get(GOLDENS) or "goldens")


def golden_key_file(given: str | None) -> Path | None:
    """The file of their keys: `given`, else REFOLD_GOLDEN_KEYS; None if none is named."""
    path = given or os.environ.get(GOLDEN_KEYS)
    return Path(path) if path else None
