"""What operators decide about goldens, in control streams: ids and hashes, never a secret or a path.

`by` is who did it, "" when nobody said. See `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class GoldenKeyRotated:
    """In `control/golden_keys`: goldens are signed with the key `key_id`; the one that it replaced (None: there was
    none) verifies until `retired_at`, in microseconds since the epoch."""

    topic: ClassVar = "golden.key_rotated"
    schema: ClassVar = 1

    at: int
    key_id: str
    replaced: str | None
    retired_at: int | None
    by: str


@dataclass(frozen=True, slots=True)
class GoldenRetentionSet:
    """In `control/goldens/{tenant}`: goldens of runs that ended longer ago than `seconds` go into archives."""

    topic: ClassVar = "golden.retention_set"
    schema: ClassVar = 1

    at: int
    tenant: str
    seconds: float
    by: str


@dataclass(frozen=True, slots=True)
class GoldenArchived:
    """In `control/goldens/{tenant}`: so many goldens lie in the file `archive`, whose bytes have this SHA-256."""

    topic: ClassVar = "golden.archived"
    schema: ClassVar = 1

    at: int
    tenant: str
    archive: str
    runs: int
    sha256: str
    by: str


@dataclass(frozen=True, slots=True)
class GoldenRestored:
    """In `control/goldens/{tenant}`: so many goldens were brought back from `archive`, which had this SHA-256."""

    topic: ClassVar = "golden.restored"
    schema: ClassVar = 1

    at: int
    tenant: str
    archive: str
    runs: int
    sha256: str
    by: str


@dataclass(frozen=True, slots=True)
class GoldenResigned:
    """In `control/goldens/{tenant}`: so many goldens, archived ones among them, were signed anew with `key_id`."""

    topic: ClassVar = "golden.resigned"
    schema: ClassVar = 1

    at: int
    tenant: str
    key_id: str
    runs: int
    by: str


@dataclass(frozen=True, slots=True)
class GoldenArchiveResigned:
    """In `control/goldens/{tenant}`: `archive`, whose bytes have this SHA-256, holds the goldens of `replaced`, signed
    anew with `key_id`, and takes its place."""

    topic: ClassVar = "golden.archive_resigned"
    schema: ClassVar = 1

    at: int
    tenant: str
    archive: str
    replaced: str
    runs: int
    sha256: str
    key_id: str
    by: str


GoldenEvent = (
    GoldenKeyRotated | GoldenRetentionSet | GoldenArchived | GoldenRestored | GoldenResigned | GoldenArchiveResigned
)
"""Any of them."""
