"""The pytest plugin that lets the repository root be a package.

pytest imports the `__init__.py` of every package it walks through, under a name of its own making: the root would come
in a second time as a module named after the checkout's folder, and every class in it would exist twice. As a plain
folder it is only walked through. `-p` in pyproject.toml loads this before any conftest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout."""


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the root for a plain folder; leave every other folder to pytest."""
    return pytest.Dir.from_parent(parent, path=path) if path.resolve() == ROOT else None
