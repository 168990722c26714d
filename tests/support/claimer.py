"""Claiming runs until there are none left, here or in a process of its own (which must be able to import this)."""

from __future__ import annotations

from refold import open_store
from refold.eventstore.store import Store

NOTHING = "[]"
"""What runs need that need no skills."""


def claim_until_empty(store: Store, name: str) -> list[str]:
    """What one claimer gets, a few at a time, until there is nothing left."""
    mine: list[str] = []
    while found := store.dispatch.claim(name, ["default"], [NOTHING], 3, 60):
        assert len(found) <= 3
        mine += found
    return mine


def claim_elsewhere(url: str, name: str) -> list[str]:
    """The same in a process that was just started."""
    store = open_store(url, migrate=False)
    try:
        return claim_until_empty(store, name)
    finally:
        store.close()
