"""What every test may ask for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from refold.tests.support.catalog_watch import CatalogWatch, watching
from refold.tests.support.in_memory import use_memory
from refold.tests.support.postgres import PostgresServer, fresh_database, temporary_server
from refold.tests.support.shared_postgres import SharedPostgres, shared_server_url

_SHARED = pytest.StashKey[SharedPostgres]()
_WATCH = pytest.StashKey[CatalogWatch]()
_STACK = pytest.StashKey[ExitStack]()

# Tests share two cores with other tests: how long an example took says nothing.
hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


@pytest.hookimpl(tryfirst=True)  # Before pytest makes its own folder for temporary files.
def pytest_configure(config: pytest.Config) -> None:
    """Open the session in the process that was called by hand, not in workers of pytest-xdist; watch in each."""
    gc.disable()
    # Before any test module is imported, for they register codes.
    config.stash[_STACK] = ExitStack()
    config.stash[_WATCH] = config.stash[_STACK].enter_context(watching())
    if not hasattr(config, "workerinput"):
        use_memory()
        config.stash[_SHARED] = SharedPostgres()


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through the modules and tests, which stay, again and again."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what `pytest_configure` opened; pytest calls this after Ctrl-C too."""
    config.stash[_STACK].close()
    if _SHARED in config.stash:
        config.stash[_SHARED].close()


@pytest.fixture(scope="session")
def catalog_watch(pytestconfig: pytest.Config) -> CatalogWatch:
    """Looks at every event that this process seals."""
    return pytestconfig.stash[_WATCH]


@pytest.fixture(autouse=True)
def codes_of_the_catalog(catalog_watch: CatalogWatch) -> Iterator[None]:
    """Fails a test in which something failed with a code that no catalog has."""
    catalog_watch.take()  # what a thread of an earlier test has left
    yield
    assert not (found := catalog_watch.take()), f"codes that no catalog has: {found}"


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
