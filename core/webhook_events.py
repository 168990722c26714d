"""What operators decide about webhooks, in control streams: addresses, patterns and key ids, never a secret.

`by` is who did it, "" when nobody said. See `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class WebhookSubscribed:
    """In `control/webhooks/{tenant}`: events of the tenant whose topics fit `patterns` (a list of texts) are sent to
    `url` from now on, signed with the secret that the key file holds under `key_id`."""

    topic: ClassVar = "webhook.subscribed"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    url: str
    patterns: Payload
    description: str
    key_id: str
    by: str


@dataclass(frozen=True, slots=True)
class WebhookChanged:
    """In `control/webhooks/{tenant}`: the endpoint has this address, these patterns and this description now."""

    topic: ClassVar = "webhook.changed"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    url: str
    patterns: Payload
    description: str
    by: str


@dataclass(frozen=True, slots=True)
class WebhookRemoved:
    """In `control/webhooks/{tenant}`: nothing is sent to the endpoint any more, and what waited is dropped."""

    topic: ClassVar = "webhook.removed"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    by: str


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """In `control/webhooks/{tenant}`: the endpoint is told of nothing until it is enabled; what waited is dead."""

    topic: ClassVar = "webhook.disabled"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class WebhookEnabled:
    """In `control/webhooks/{tenant}`: a disabled endpoint is told of what happens from now on."""

    topic: ClassVar = "webhook.enabled"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    by: str


@dataclass(frozen=True, slots=True)
class WebhookSecretRotated:
    """In `control/webhooks/{tenant}`: what is sent is signed with the secret of `key_id`, and until `retired_at`
    (microseconds since the epoch) with that of the key `replaced` too."""

    topic: ClassVar = "webhook.secret_rotated"
    schema: ClassVar = 1

    at: int
    tenant: str
    endpoint_id: str
    key_id: str
    replaced: str
    retired_at: int
    by: str


WebhookEvent = (
    WebhookSubscribed | WebhookChanged | WebhookRemoved | WebhookDisabled | WebhookEnabled | WebhookSecretRotated
)
"""Any of them."""
