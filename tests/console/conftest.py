"""Fixtures: the console over the store in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from refold import open_store
from refold.tests.api.client import Api
from refold.tests.support.served import served


@pytest.fixture
def console() -> Iterator[Api]:
    """A client that asks for pages, as a browser does."""
    with closing(open_store("memory:")) as store, served(store) as base:
        headers = {"accept": "text/html,*/*;q=0.8"}
        with httpx2.Client(base_url=base, timeout=60, headers=headers) as client:
            yield Api(client, store, base)
