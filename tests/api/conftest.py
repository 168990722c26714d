"""Fixtures: the API over every store, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from refold import open_store
from refold.tests.api.client import Api
from refold.tests.support.served import served


def _api(url: str) -> Iterator[Api]:
    with closing(open_store(url)) as store, served(store) as base, httpx2.Client(base_url=base, timeout=60) as client:
        yield Api(client, store, base)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    """The API over each of the stores."""
    if request.param == "postgres":
        yield from _api(request.getfixturevalue("postgres_url"))
    else:
        yield from _api("memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'store.db'}")


@pytest.fixture
def memory_api() -> Iterator[Api]:
    """The API over the store in memory, for what has nothing to do with the store."""
    yield from _api("memory:")
