"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from refold.tests.support.postgres import PostgresServer, fresh_database, temporary_server
from refold.tests.support.shared_postgres import SharedPostgres, shared_server_url

_SHARED = pytest.StashKey[SharedPostgres]()

# Tests share two cores with other tests: how long an example took says nothing.
hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Open the session in the process that was called by hand, not in workers of pytest-xdist."""
    if not hasattr(config, "workerinput"):
        config.stash[_SHARED] = SharedPostgres()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what `pytest_configure` opened; pytest calls this after Ctrl-C too."""
    if _SHARED in config.stash:
        config.stash[_SHARED].close()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test."""
    with fresh_database(shared_server_url()) as url:
        yield url


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own, to be stopped, killed and started again."""
    with temporary_server() as server:
        yield server
