"""Where projections are tested: each store, and those that several processes can share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refold import open_store
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the schema."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'store.db'}" if is_file else request.getfixturevalue("postgres_url")
    open_store(url).close()
    return url


@pytest.fixture
def shared(url: str) -> Iterator[Store]:
    """A handle on the database at `url`."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def memory() -> MemoryStore:
    """A store in this process."""
    return MemoryStore()
