"""Labels of metrics, traces and logs: bounded in number, and the same wherever a tenant is told of."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

OTHER = "other"
"""What is told of everything beyond the number of labels that are kept."""

MOST = 200
"""So many values of a label are told apart, the first that come."""

_LONGEST = 120


@lru_cache(10_000)
def tenant_label(tenant: str) -> str:
    """The first 12 hex digits of the SHA-256 of a tenant's name: who has only metrics or traces learns no names."""
    return sha256(tenant.encode("utf-8", "backslashreplace")).hexdigest()[:12]


class Bounded:
    """The values of one label. Whatever callers make up, there are no more than `most`, and `other`."""

    def __init__(self, most: int = MOST):
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """The label for `value`: itself, or `other` where it is one too many, too long, or cannot be shown."""
        if value in self._known:
            return value
        if len(self._known) >= self._most or not 0 < len(value) <= _LONGEST or not value.isprintable():
            return OTHER
        self._known.add(value)
        return value
