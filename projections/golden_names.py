"""Names of files for ids of any text: safe on every file system, and no two ids have the same.

A name keeps the id where that is harmless: small letters, digits and `._-`, as most run ids are. Any other id becomes
what can be kept of it, `~`, and the beginning of its SHA-256; no harmless id holds a `~`. So names that differ in case
alone, names of devices, dots and slashes, and the longest ids give other names. What a file is about stands inside it.
"""

from __future__ import annotations

import re

from ..core.hashing import sha256_hex

GOLDEN = ".steps.jsonl"
"""How the name of a golden ends."""

SIGNATURE = GOLDEN + ".sig"
"""How the name of a signature ends."""

_HARMLESS = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,99}[a-z0-9_-])?")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)")


def safe_name(text: str) -> str:
    """A name of at most 101 bytes for `text`; it neither begins nor ends with a dot and holds no slash."""
    if _HARMLESS.fullmatch(text) and not _DEVICE.match(text):
        return text
    kept = re.sub(r"[^a-z0-9_-]+", "_", text[:200].lower()).strip("_-")[:60] or "id"
    return f"{kept}~{sha256_hex(text.encode('utf-8', 'surrogatepass'))[:40]}"


def is_golden(name: str) -> bool:
    """Whether a file of this name is a golden."""
    return name.endswith(GOLDEN) and not name.startswith(".")
