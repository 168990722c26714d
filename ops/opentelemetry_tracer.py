"""Traces by OpenTelemetry: what fulfils `Tracer`. Only loaded where somebody wants them."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ..core.runtime.tracing import Attributes, Kind
from ..core.traces import RunTrace, TraceParent
from .span_queue import FLUSH_SECONDS, SpanQueue

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}


def tracer_of(exporters: Iterable[str]) -> OpenTelemetryTracer:
    """The tracer that sends to these exporters of `refold.ops.tracing.EXPORTERS`."""
    made = [_exporter(name) for name in exporters]
    return OpenTelemetryTracer(made[0] if len(made) == 1 else _Several(made))


class OpenTelemetryTracer:
    """A tracer provider of our own: ids of runs and steps are given, all others made. Fulfils `OpenTracer`."""

    def __init__(self, exporter: SpanExporter):
        self._ids = _Ids()
        self._queue = SpanQueue(exporter)
        # Values are cut when they are masked: half a secret would not be found.
        lengths = {"max_attribute_length": SpanLimits.UNSET, "max_span_attribute_length": SpanLimits.UNSET}
        self._provider = TracerProvider(
            resource=_resource(), id_generator=self._ids, span_limits=SpanLimits(**lengths), shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("refold")

    def begin(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        parent: TraceParent | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        at: int | None = None,
    ) -> _Span:
        """See `Tracer.begin`."""
        with self._ids.given(trace_id, span_id):
            span = self._tracer.start_span(
                name,
                _under(parent),
                _KINDS[kind],
                attributes,
                start_time=None if at is None else at * 1000,
            )
        return _Span(span)

    def root(self, trace: RunTrace, name: str) -> TraceParent:
        """See `Tracer.root`."""
        asked = self._provider.sampler.should_sample(
            _under(trace.parent), int(trace.trace_id, 16), name, SpanKind.INTERNAL
        )
        return TraceParent(trace.trace_id, trace.span_id, asked.decision.is_sampled())

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """See `OpenTracer.close`."""
        self._queue.close(seconds)

    def serve_skills(self) -> None:
        """See `OpenTracer.serve_skills`."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)


class _Span:
    def __init__(self, span: trace.Span):
        self._span = span
        self._ended: int | None = None

    @property
    def place(self) -> TraceParent | None:
        """See `Span.place`."""
        return _place(self._span.get_span_context())

    def enter(self) -> object:
        """See `Span.enter`."""
        return contexts.attach(trace.set_span_in_context(self._span))

    def leave(self, token: Any) -> None:
        """See `Span.leave`."""
        contexts.detach(token)

    def stop(self, at: int | None = None) -> None:
        """See `Span.stop`."""
        if self._ended is None:
            self._ended = time.time_ns() if at is None else at * 1000

    def end(self, attributes: Attributes, failure: str | None = None, name: str | None = None) -> None:
        """See `Span.end`."""
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failure is not None:
            self._span.set_status(Status(StatusCode.ERROR, failure))
        self._span.end(self._ended)


class _Ids(RandomIdGenerator):
    """Gives the ids that this thread has been told to give, else random ones."""

    def __init__(self) -> None:
        self._told = threading.local()

    def given(self, trace_id: str | None, span_id: str | None) -> _Ids:
        """Within, these are the ids of the one span that is begun."""
        self._told.ids = (trace_id, span_id)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._told.ids = (None, None)

    def generate_trace_id(self) -> int:
        """See `IdGenerator.generate_trace_id`."""
        told = getattr(self._told, "ids", (None, None))[0]
        return super().generate_trace_id() if told is None else int(told, 16)

    def generate_span_id(self) -> int:
        """See `IdGenerator.generate_span_id`."""
        told = getattr(self._told, "ids", (None, None))[1]
        return super().generate_span_id() if told is None else int(told, 16)


class _Several(SpanExporter):
    def __init__(self, exporters: Sequence[SpanExporter]):
        self._exporters = exporters

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """To each of them."""
        results = [exporter.export(spans) for exporter in self._exporters]
        return next((each for each in results if each is not SpanExportResult.SUCCESS), SpanExportResult.SUCCESS)

    def shutdown(self) -> None:
        """All of them."""
        for exporter in self._exporters:
            with suppress(Exception):
                exporter.shutdown()


def _exporter(name: str) -> SpanExporter:
    if name == "console":  # Commands have their results on stdout.
        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource() -> Resource:
    """Who tells: the service as OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES have it, else `refold`."""
    said = Resource.create()
    ours: dict[str, str] = {"service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    if str(said.attributes.get("service.name", "")).startswith("unknown_service"):
        ours["service.name"] = "refold"
    return said.merge(Resource(ours))


def _under(parent: TraceParent | None) -> contexts.Context:
    if parent is None:
        return contexts.Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    above = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(above), contexts.Context())


def _place(context: SpanContext) -> TraceParent | None:
    if not context.is_valid:
        return None
    return TraceParent(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)
