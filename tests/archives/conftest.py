"""Where archives are tested: beside each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refold.eventstore.tiered import TieredStore
from refold.tests.support.archived import opened
from refold.tests.support.projected import fill
from refold.tests.support.tampering import store_runs_async


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the schema, and a folder for archives."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'store.db'}" if is_file else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("REFOLD_ARCHIVE", str(tmp_path / "archives"))
    opened(url).close()
    return url


@pytest.fixture
def store(url: str) -> Iterator[TieredStore]:
    """A handle on the database at `url`."""
    store = opened(url)
    yield store
    store.close()


@pytest.fixture
async def filled(store: TieredStore) -> TieredStore:
    """With runs of every kind: specs and functions, ended and waiting, with large payloads, messages and children."""
    await fill(store, 15, 3)
    await store_runs_async(store)
    return store
