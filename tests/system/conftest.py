"""What the tests with Debian's programs need; they fail, and say how to get them, where these are missing."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Prometheus and Alertmanager are here."""
    missing = [
        name for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool") if not shutil.which(name)
    ]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}; on Debian: make system-deps")
