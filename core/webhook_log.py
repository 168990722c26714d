"""A tenant's webhooks, folded from its control stream, and what may follow in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from .canonical import Payload
from .errors import IntegrityError
from .events import Event
from .webhook_events import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookEvent,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookSubscribed,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant's events are sent: `patterns` say which.

    What is sent is signed with the secret of `key_id`, and until `retired_at` with that of `replaced` too. `why` says
    why it is not `enabled`. It was subscribed at `at` (microseconds since the epoch), by `by`.
    """

    endpoint_id: str
    tenant: str
    url: str
    patterns: tuple[str, ...]
    description: str
    key_id: str
    at: int
    by: str
    replaced: str | None = None
    retired_at: int = 0
    enabled: bool = True
    why: str = ""

    def key_ids(self, now: int) -> tuple[str, ...]:
        """The ids of the keys to sign with at `now`, the newest first."""
        return (self.key_id,) if self.replaced is None or now >= self.retired_at else (self.key_id, self.replaced)

    def to_json(self) -> dict[str, Any]:
        """The endpoint as a JSON object, for `of_json`."""
        return asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Endpoint:
        """The endpoint that `to_json` has written down."""
        about: dict[str, Any] = {**told, "patterns": tuple(told["patterns"])}
        return cls(**about)


class WebhookLog:
    """The endpoints of one tenant by id, as far as its control stream was taken in."""

    def __init__(self, tenant: str, events: Iterable[Event] = ()):
        self._tenant = tenant
        self._gone: set[str] = set()
        self.endpoints: dict[str, Endpoint] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if not isinstance(event, WebhookEvent):
            raise IntegrityError(f"{event.topic} cannot occur here")
        if event.tenant != self._tenant:
            raise IntegrityError(f"{event.topic} is of another tenant, {event.tenant!r}")
        known = self.endpoints.get(event.endpoint_id)
        if isinstance(event, WebhookSubscribed):
            if known is not None or event.endpoint_id in self._gone:
                raise IntegrityError(f"{event.topic}: there was an endpoint {event.endpoint_id!r} already")
            self.endpoints[event.endpoint_id] = _subscribed(event)
        elif known is None:
            raise IntegrityError(f"{event.topic}: there is no endpoint {event.endpoint_id!r}")
        elif isinstance(event, WebhookRemoved):
            del self.endpoints[event.endpoint_id]
            self._gone.add(event.endpoint_id)
        else:
            self.endpoints[event.endpoint_id] = _after(known, event)


def _subscribed(event: WebhookSubscribed) -> Endpoint:
    patterns = _texts(event.patterns, event.topic)
    about = (event.endpoint_id, event.tenant, event.url, patterns, event.description, event.key_id)
    return Endpoint(*about, event.at, event.by)


def _after(
    known: Endpoint, event: WebhookChanged | WebhookDisabled | WebhookEnabled | WebhookSecretRotated
) -> Endpoint:
    match event:
        case WebhookChanged():
            patterns = _texts(event.patterns, event.topic)
            return replace(known, url=event.url, patterns=patterns, description=event.description)
        case WebhookSecretRotated():
            if event.replaced != known.key_id or event.key_id == known.key_id:
                raise IntegrityError(f"{event.topic}: {event.key_id!r} cannot replace {event.replaced!r}")
            return replace(known, key_id=event.key_id, replaced=event.replaced, retired_at=event.retired_at)
        case WebhookDisabled() | WebhookEnabled():
            enabled = isinstance(event, WebhookEnabled)
            if known.enabled is enabled:
                raise IntegrityError(f"{event.topic}: {event.endpoint_id!r} is so already")
            return replace(known, enabled=enabled, why="" if isinstance(event, WebhookEnabled) else event.reason)


def _texts(patterns: Payload, topic: str) -> tuple[str, ...]:
    value: Any = patterns.value
    if type(value) is not list or not all(type(each) is str for each in cast("list[Any]", value)):
        raise IntegrityError(f"{topic}: the patterns are no list of texts")
    return tuple(cast("list[str]", value))
