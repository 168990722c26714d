"""Names that may stand in metrics, traces and logs, where what they stand for should not."""

from __future__ import annotations

from .hashing import sha256_hex

LABEL_CHARACTERS = 12
"""Hexadecimal digits of a tenant's label: enough to tell thousands apart."""


def tenant_label(tenant: str) -> str:
    """What stands for a tenant: the first 12 hexadecimal digits of the SHA-256 of its name, the same everywhere."""
    return sha256_hex(tenant.encode())[:LABEL_CHARACTERS]
