"""`--metrics`: what `refold worker` and `refold projector` tell Prometheus."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .serving_options import folders_of

if TYPE_CHECKING:
    from socket import socket

    from ...core.histogram import Histogram
    from ...eventstore.store import Store
    from ...projections.golden_patrol import GoldenPatrol
    from ..metrics.telling import Counting

MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="HOST:PORT", help="Tell Prometheus here; PORT alone: of 127.0.0.1.", show_default=False
    ),
]
"""Where metrics are told."""


@contextmanager
def bound_for(address: str | None) -> Generator[socket | None]:
    """A socket bound to the address, if one is given. Raises CallError."""
    if address is None:
        yield None
        return
    from ..metrics.server import metrics_socket

    with closing(metrics_socket(address)) as bound:
        yield bound


def folders_kept(url: str, goldens: Path | None) -> dict[str, Path]:
    """The folders of this machine in which the store at `url` lies, and goldens where they are kept."""
    found = folders_of(url, goldens or Path())
    return found if goldens else {name: each for name, each in found.items() if name != "goldens"}


def tell(
    until: ExitStack,
    bound: socket,
    store: Store,
    url: str,
    *,
    goldens: Path | None = None,
    appends: Histogram | None = None,
    counting: Counting | None = None,
    patrol: GoldenPatrol | None = None,
) -> str:
    """Tell metrics on the socket for as long as `until` is open; returns where."""
    from ...api.metrics_text import Metrics
    from ..metrics.server import MetricsServer
    from ..metrics.telling import telling

    metrics = Metrics()
    folders = folders_kept(url, goldens)
    until.enter_context(telling(metrics, store, folders, appends=appends, counting=counting, patrol=patrol))
    return until.enter_context(MetricsServer(bound, metrics)).url
