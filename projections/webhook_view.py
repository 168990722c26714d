"""Endpoints and deliveries as programs are shown them."""

from __future__ import annotations

from typing import Any

from ..core.webhook_log import Endpoint
from ..eventstore.outbox import Delivery, Status
from .times import iso

STATUSES: tuple[Status, ...] = ("waiting", "delivered", "dead")
"""How a delivery can stand."""


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as a JSON object, with times as texts."""
    retired = None if endpoint.replaced is None else iso(endpoint.retired_at)
    return {**endpoint.to_json(), "at": iso(endpoint.at), "retired_at": retired}


def counted(counts: dict[tuple[str, Status], int], endpoint: Endpoint) -> dict[str, int]:
    """How many deliveries an endpoint has, by status."""
    return {status: counts.get((endpoint.endpoint_id, status), 0) for status in STATUSES}


def delivery_json(each: Delivery) -> dict[str, Any]:
    """A delivery as a JSON object, with times as texts."""
    tried = None if each.tried_at is None else iso(each.tried_at)
    due = iso(each.due) if each.status == "waiting" else None
    return {**each._asdict(), "since": iso(each.since), "due": due, "tried_at": tried}
