"""Whether this process is to tell of traces, as the standard environment variables of OpenTelemetry say.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ has them. Nothing of OpenTelemetry is
loaded before they want it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Protocol

from ..core.runtime.tracing import Tracer

EXPORTERS = ("otlp", "console")
"""Where spans can go: to a collector by OTLP over HTTP, or as JSON lines to stderr."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_log = logging.getLogger(__name__)


class OpenTracer(Tracer, Protocol):
    """A tracer that holds on to something."""

    def close(self, seconds: float = ...) -> None:
        """Send what is left, for at most so many seconds; what comes later is dropped."""
        ...

    def serve_skills(self) -> None:
        """Have spans that skills begin by OpenTelemetry's own interface go the same way, unless the process has said
        already where they go."""
        ...


def open_tracer(environment: Mapping[str, str] = os.environ) -> OpenTracer | None:
    """The tracer that the environment asks for, None if it asks for none. One that it asks for in vain is told of in a
    warning: traces are not worth a run."""
    exporters = wanted_exporters(environment)
    if not exporters:
        return None
    try:
        from .opentelemetry_tracer import tracer_of

        return tracer_of(exporters)
    except Exception as error:
        _log.warning("there are no traces: %s", error)
        return None


@contextmanager
def process_tracer() -> Generator[OpenTracer | None]:
    """What `open_tracer` gives, closed in the end: for a process that runs no workflows."""
    tracer = open_tracer()
    try:
        yield tracer
    finally:
        if tracer is not None:
            tracer.close()


def wanted_exporters(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where spans are to go: names of `EXPORTERS`, none if nobody wants any."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named:
        named = "otlp" if any(environment.get(name, "").strip() for name in _ENDPOINTS) else "none"
    names = dict.fromkeys(name.strip().lower() for name in named.split(","))
    for name in [name for name in names if name not in EXPORTERS]:
        del names[name]
        if name not in ("", "none"):
            _log.warning("OTEL_TRACES_EXPORTER: %.40a is not known here: use %s or none", name, ", ".join(EXPORTERS))
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "http/protobuf")
    if "otlp" in names and protocol != "http/protobuf":
        _log.warning(
            "there are no traces: of the protocols of OTLP only http/protobuf is known here, not %.40a", protocol
        )
        del names["otlp"]
    return tuple(names)
