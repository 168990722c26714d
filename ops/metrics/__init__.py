"""What Refold tells Prometheus: see docs/metrics.md."""

from __future__ import annotations
