"""What a collector of traces has taken by OTLP over HTTP: the spans in the bodies that a `sink` holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .sink import Sink


class Told(NamedTuple):
    """A span as the collector has it; `trace`, `span` and `parent` in hexadecimal, `process` is whose it is."""

    name: str
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    status: str
    process: str
    seconds: float


def collected(sink: Sink) -> list[Told]:
    """All spans, in the order in which they came."""
    found: list[Told] = []
    for taken in sink.taken:
        if taken.path != "/v1/traces":
            continue
        for resource in ExportTraceServiceRequest.FromString(taken.body).resource_spans:
            process = str(_values(resource.resource.attributes)["service.instance.id"])
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            found += [_told(span, process) for span in spans]
    return found


def _told(span: Any, process: str) -> Told:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    return Told(span.name, *ids, _values(span.attributes), span.status.message, process, seconds)


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
