"""What the API answers about webhooks."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class WebhookEndpoint(BaseModel):
    """Where events are sent that fit the `patterns`. `key_id` names the secret, which is told only when it is made;
    until `retired_at` the one that it `replaced` signs too. `why`: why it is not enabled."""

    endpoint_id: str
    tenant: str
    url: str
    patterns: list[str]
    description: str
    key_id: str
    at: str
    by: str
    replaced: str | None
    retired_at: str | None
    enabled: bool
    why: str


class CountedEndpoint(WebhookEndpoint):
    """An endpoint with how many deliveries wait, were taken, or were given up."""

    waiting: int
    delivered: int
    dead: int


class EndpointPage(BaseModel):
    """Endpoints by id."""

    webhooks: list[CountedEndpoint]
    next_cursor: str | None


class NewSecret(WebhookEndpoint):
    """An endpoint with its new secret, which is never told again."""

    secret: str


class WebhookDelivery(BaseModel):
    """An event on its way to an endpoint, or there. `attempts` since it was noted or replayed (`since`); `code` is the
    last HTTP status, `error` what went wrong ("" nothing), `body_hash` the SHA-256 of what was sent last."""

    endpoint_id: str
    position: int
    message_id: str
    tenant: str
    stream: str
    version: int
    topic: str
    status: Literal["waiting", "delivered", "dead"]
    attempts: int
    since: str
    due: str | None
    code: int | None
    error: str
    body_hash: str
    tried_at: str | None


class DeliveryPage(BaseModel):
    """Deliveries, the latest event first."""

    deliveries: list[WebhookDelivery]
    next_cursor: str | None


class Replayed(BaseModel):
    """So many deliveries that were given up, or failed when last tried, are due now."""

    replayed: int
