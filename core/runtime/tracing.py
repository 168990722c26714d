"""The port for traces, and what this thread or task works on just now.

Nothing here knows OpenTelemetry but by what somebody else has loaded already: see `refold.ops.tracing` for what fulfils
`Tracer`.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any, Literal, NamedTuple, Protocol

from ..traces import RunTrace, TraceParent, parse_traceparent

Attributes = Mapping[str, str | int | float | bool]
"""What a span says of what it stands for."""

Kind = Literal["internal", "server", "client"]
"""Whether somebody else's request is answered, or one made to somebody else."""


class Span(Protocol):
    """What is done just now, to be told of when it has ended. None of its methods raises, nor waits for anything."""

    @property
    def place(self) -> TraceParent | None:
        """Where it is; None if it is nowhere to be seen."""
        ...

    def enter(self) -> object:
        """Make it the current one of this thread or task; what comes back is for `leave`."""
        ...

    def leave(self, token: object) -> None:
        """Make the one before it current again."""
        ...

    def stop(self, at: int | None = None) -> None:
        """It has ended now, or at this time; `end` may still add how."""
        ...

    def end(self, attributes: Attributes, failure: str | None = None, name: str | None = None) -> None:
        """Tell of it. `failure` is why it went wrong, `name` what it is called by now."""
        ...


class Tracer(Protocol):
    """Tells of spans. None of its methods raises, nor waits for anything. Times are in microseconds since the epoch."""

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
    ) -> Span:
        """A span under `parent`, else the first of a trace; ids are made where none are given."""
        ...

    def root(self, trace: RunTrace, name: str) -> TraceParent:
        """The span of a run as the parent of others: whether it is recorded is decided by what the run alone says."""
        ...


class Work(NamedTuple):
    """What is worked on: a run, by its stream, and in it a step, "" between steps. `trace` is its `traceparent`, as far
    as that is known."""

    stream: str
    step_id: str = ""
    attempt: int = 0
    trace: str | None = None
    span: Span | None = None

    @property
    def traceparent(self) -> str | None:
        """Where in which trace it is; None if in none."""
        place = None if self.span is None else self.span.place
        return self.trace if place is None else place.header()


_working: ContextVar[Work | None] = ContextVar("refold_working", default=None)


def working_on() -> Work | None:
    """What this thread or task works on."""
    return _working.get()


def enter(work: Work | None) -> tuple[Token[Work | None], object]:
    """Work on this from now on, until `leave` is called with what comes back. As `at_work`, for where every
    microsecond counts."""
    token = _working.set(work)
    return token, None if work is None or work.span is None else work.span.enter()


def leave(work: Work | None, entered: tuple[Token[Work | None], object]) -> None:
    """See `enter`."""
    _working.reset(entered[0])
    if work is not None and work.span is not None:
        work.span.leave(entered[1])


@contextmanager
def at_work(work: Work) -> Generator[None]:
    """Within, this is what is worked on."""
    entered = enter(work)
    try:
        yield
    finally:
        with suppress(ValueError):  # A task that nobody ends is tidied away in another context.
            leave(work, entered)


def current_traceparent() -> str | None:
    """The W3C `traceparent` of the current span: OpenTelemetry's, if anybody has loaded that and begun one, else that
    of the step that is worked on. None if there is none."""
    place = current_span()
    if place is not None:
        return place.header()
    work = _working.get()
    found = None if work is None else parse_traceparent(work.traceparent)
    return None if found is None else found.header()


def current_span() -> TraceParent | None:
    """OpenTelemetry's current span, None if there is none; nothing is loaded to find that out."""
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None or not hasattr(api, "get_current_span"):  # It is being loaded just now.
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return TraceParent(f"{context.trace_id:032x}", f"{context.span_id:016x}", bool(context.trace_flags & 1))
