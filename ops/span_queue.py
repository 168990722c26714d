"""Spans on their way out: masked, in a bounded queue, sent by one thread that nobody waits for.

The SDK's own processor says something for every batch that fails, and waits for exporters that hang.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status

from ..core.runtime.masked_logs import masked_text, masked_value

QUEUE_SPANS = 8192
"""So many spans wait at most; further ones are dropped."""

BATCH_SPANS = 512
"""So many are sent at once at most."""

DELAY_SECONDS = 1.0
"""How long a span waits for others at most before it is sent."""

FLUSH_SECONDS = 3.0
"""How long whoever ends waits for what is left to be sent."""

_EXPORTERS_LOGS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.attributes",
)
_LENGTHS = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_log = logging.getLogger(__name__)


class SpanQueue(SpanProcessor):
    """Hands spans that have ended to `exporter`. An exporter that fails or hangs costs spans, and one warning."""

    def __init__(
        self, exporter: SpanExporter, *, most: int = QUEUE_SPANS, batch: int = BATCH_SPANS, delay: float = DELAY_SECONDS
    ):
        self._exporter = exporter
        self._most = most
        self._batch = batch
        self._delay = delay
        self._waiting: deque[ReadableSpan] = deque()
        self._woken = threading.Event()
        self._closed = self._failing = False
        self.dropped = 0
        """How many spans were not sent: there were too many, or nobody took them."""
        self._longest = next((int(text) for name in _LENGTHS if (text := os.environ.get(name, "")).isdecimal()), None)
        self._thread = threading.Thread(target=self._work, name="refold-traces", daemon=True)
        for name in _EXPORTERS_LOGS:
            logging.getLogger(name).addFilter(self._is_not_ours)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor.on_end`: from any thread, at once."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._closed or len(self._waiting) >= self._most:
            self._lost(1)
            return
        self._waiting.append(span)
        if len(self._waiting) >= self._batch:
            self._woken.set()

    def on_start(self, span: Span, parent_context: contexts.Context | None = None) -> None:
        """See `SpanProcessor.on_start`."""

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, for at most so many seconds, then leave the rest."""
        if self._closed:
            return
        self._closed = True
        self._woken.set()
        self._thread.join(seconds)
        left = len(self._waiting)
        if left:
            self._waiting.clear()
            self._lost(left)
        # On a thread: it may wait for what hangs.
        threading.Thread(target=self._exporter.shutdown, name="refold-traces-end", daemon=True).start()
        for name in _EXPORTERS_LOGS:
            logging.getLogger(name).removeFilter(self._is_not_ours)

    def shutdown(self) -> None:
        """See `SpanProcessor.shutdown`."""
        self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanProcessor.force_flush`."""
        until = time.monotonic() + timeout_millis / 1000
        while self._waiting and time.monotonic() < until:
            self._woken.set()
            time.sleep(0.01)
        return not self._waiting

    def _work(self) -> None:
        # What sends spans is not to be told of in spans, should somebody have had its library instrumented.
        key: Any = getattr(contexts, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
        contexts.attach(contexts.set_value(key, True))
        while not self._closed:
            self._woken.wait(self._delay)
            self._woken.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._waiting:
            spans = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            try:
                taken = self._exporter.export([self._masked(span) for span in spans]) is SpanExportResult.SUCCESS
            except Exception:  # of whatever kind: spans are not worth a thread
                taken = False
            if not taken:
                self._lost(len(spans))
            elif self._failing:
                self._failing = False
                _log.warning("traces are sent again; %d spans were lost since the process began", self.dropped)

    def _lost(self, many: int) -> None:
        self.dropped += many
        if not self._failing:
            self._failing = True
            _log.warning("traces cannot be sent as they should; spans are dropped until they can")

    def _is_not_ours(self, _record: logging.LogRecord) -> bool:
        return threading.current_thread() is not self._thread

    def _masked(self, span: ReadableSpan) -> ReadableSpan:
        status = span.status
        told = None if status.description is None else masked_text(status.description)
        return ReadableSpan(
            name=masked_text(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._clean(span.attributes),
            events=[Event(masked_text(e.name), self._clean(e.attributes), e.timestamp) for e in span.events],
            links=[Link(link.context, self._clean(link.attributes)) for link in span.links],
            kind=span.kind,
            status=Status(status.status_code, told),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _clean(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {masked_text(name): self._short(masked_value(value)) for name, value in (attributes or {}).items()}

    def _short(self, value: Any) -> Any:
        """As the SDK would have done before: then half a secret would not have been found."""
        if isinstance(value, str):
            return value[: self._longest]
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self._short(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        return value
