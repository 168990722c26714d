"""Fixtures: a real browser, and real processes to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from refold.tests.browser.demo import demo_service
from refold.tests.browser.processes import PATIENCE_SECONDS, Service, service
from refold.tests.browser.watched import chromium

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; the test fails without it."""
    with chromium() as begun:
        yield begun


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service without processes, over each of the stores."""
    database = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with service(tmp_path, database) as begun:
        yield begun


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A service with something on every page, and its URL."""
    with demo_service(tmp_path_factory.mktemp("demo")) as begun:
        yield begun
