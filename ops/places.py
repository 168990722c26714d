"""Where the files lie that the server needs, by the environment: the same variables as the commands'."""

from __future__ import annotations

import os
from pathlib import Path

from ..api.places import Places
from .settings import GOLDENS, golden_folder, golden_key_file, webhook_allowed, webhook_key_file

AUDIT = "REFOLD_AUDIT"
"""The environment variable that names the folder of the tree over the log."""

CERTIFICATES = "REFOLD_CERTIFICATES"
"""The environment variable that names the folder of certificates."""


def places(folder: str | None = None, keys: str | None = None) -> Places:
    """What the environment says, goldens and their keys as given instead. Raises CallError."""
    golden_keys = golden_key_file(keys)
    named = folder or os.environ.get(GOLDENS) or golden_keys is not None
    return Places(
        goldens=golden_folder(folder) if named else None,
        golden_keys=golden_keys,
        tree=_named(AUDIT),
        certificates=_named(CERTIFICATES),
        webhook_keys=webhook_key_file(None),
        webhook_allowed=webhook_allowed(),
    )


def _named(variable: str) -> Path | None:
    text = os.environ.get(variable)
    return Path(text) if text else None
