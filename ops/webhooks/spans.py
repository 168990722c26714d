"""Spans of attempts to deliver: in the trace of the run that they tell of."""

from __future__ import annotations

from contextlib import suppress

from ...core.errors import RefoldError
from ...core.events import RunStarted
from ...core.labels import tenant_label
from ...core.runtime.run_spans import root_of
from ...core.runtime.tracing import Span, Tracer
from ...core.traces import TraceParent
from ...eventstore.log import EventLog
from ...eventstore.outbox import Delivery
from ...eventstore.store import Store
from .post import Sent


def delivery_span(tracer: Tracer, store: Store, delivery: Delivery) -> Span:
    """The span of an attempt that begins now. It says nothing of the URL, which may be a secret. May block."""
    about = {
        "refold.tenant": tenant_label(delivery.tenant),
        "refold.webhook_event": delivery.topic,
        "refold.message_id": delivery.message_id,
        "refold.attempt": delivery.attempts + 1,
    }
    return tracer.begin("webhook delivery", about, kind="client", parent=_run(tracer, store, delivery.stream))


def delivery_ended(span: Span, sent: Sent) -> None:
    """What came of the attempt."""
    told: dict[str, str | int | float | bool] = {"refold.status": "delivered" if sent.taken else "failed"}
    if sent.code is not None:
        told["http.response.status_code"] = sent.code
    if sent.failure:
        told["refold.failure_code"] = sent.failure
    span.end(told, sent.failure or None)


def _run(tracer: Tracer, store: Store, stream: str) -> TraceParent | None:
    """The span of the run of `stream`, if it is one's that can be read."""
    with suppress(RefoldError):
        first = EventLog(store, "").events(stream, 0, 1)
        if first and isinstance(first[0], RunStarted):
            return root_of(tracer, stream, first[0])[1]
    return None
