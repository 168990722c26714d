"""The resources besides runs, in the order in which the OpenAPI document shows them."""

from __future__ import annotations

from .routes import (
    audit,
    budgets,
    bulk,
    emergency,
    erasure,
    failures,
    goldens,
    inbox,
    jobs,
    policies,
    projections,
    rebuilds,
    replays,
    schedules,
    specs,
    webhooks,
)

RESOURCES = (
    bulk,
    jobs,
    specs,
    inbox,
    schedules,
    failures,
    budgets,
    policies,
    webhooks,
    emergency,
    projections,
    rebuilds,
    replays,
    goldens,
    audit,
    erasure,
)
"""Modules with a `router` each."""
