"""Metrics in the text format of Prometheus: of this process, read when they are asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

_log = logging.getLogger(__name__)

Source = Callable[[], "Iterator[Metric]"]
"""Metrics as they are at the moment. Labels must be bounded: never a run id, never what a client made up."""


@dataclass
class Metrics:
    """The sources of what is told; whoever has more to tell adds another one. They are asked on threads of their own:
    what else asks the store must not delay them, least of all when it is away."""

    sources: list[Source] = field(default_factory=list[Source])
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "refold-io-metrics"))

    async def told(self) -> tuple[bytes, str]:
        """What `text` says, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.text)

    def close(self) -> None:
        """Tell no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def text(self) -> tuple[bytes, str]:
        """All metrics, and the content type."""
        # Loaded when first asked for: who only tries Refold out should not wait for it.
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_LATEST

        registry = CollectorRegistry(auto_describe=False)
        for source in self.sources:
            registry.register(_Collector(source))
        return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, source: Source):
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for. One source that fails must not keep the others from being told."""
        found: Sequence[Metric] = ()
        try:
            found = list(self._source())
        except Exception:
            _log.warning("metrics are not complete", exc_info=True)
        yield from found

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are not checked against each other, or every source would be asked twice."""
        return iter(())
