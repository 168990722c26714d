"""The resources besides runs, in the order in which the OpenAPI document shows them."""

from __future__ import annotations

from .routes import (
    audit,
    budgets,
    emergency,
    erasure,
    failures,
    goldens,
    inbox,
    policies,
    projections,
    schedules,
    specs,
    webhooks,
)

RESOURCES = (
    specs,
    inbox,
    schedules,
    failures,
    budgets,
    policies,
    webhooks,
    emergency,
    projections,
    goldens,
    audit,
    erasure,
)
"""Modules with a `router` each."""
