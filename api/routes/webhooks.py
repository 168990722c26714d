"""Webhooks: where a tenant's events are sent, and what came of it. All of it takes an operator: URLs can be secrets."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from ...core.durations import seconds_of
from ...core.errors import CallError, Problem, RequestDoneError
from ...core.runtime.admission import MAX_REASON
from ...core.webhook_log import Endpoint
from ...eventstore.outbox import Lookup
from ...projections.webhook_view import counted, delivery_json, endpoint_json
from ..answers import answer
from ..answers.webhooks import CountedEndpoint, DeliveryPage, EndpointPage, NewSecret, Replayed, WebhookEndpoint
from ..bodies import Body, documented, read
from ..callers import Operator
from ..idempotency import KEY_HEADER, once, secret_told
from ..missing import missing
from ..pages import PageParameters, cursor_of, cut, key_of
from ..ports import Given, Ports
from ..webhook_secrets import forget, with_new_secret

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
"""`/v1/webhooks`."""

_MOST_ENDPOINTS = 100
"""Of one event there are no more deliveries."""

_Words = Annotated[str, Field(max_length=200)]
_Patterns = Annotated[list[str], Field(min_length=1, max_length=100)]
_Message = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")]


class SubscribeBody(Body):
    """Events of the topics in `patterns` (`run.*`, `approval.requested`) are sent to `url` from now on."""

    url: Annotated[str, Field(max_length=2000)]
    patterns: _Patterns
    description: _Words = ""


class ChangeBody(Body):
    """What is given is changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"patterns": ["run.failed"]}]})

    url: Annotated[str, Field(max_length=2000)] | None = None
    patterns: _Patterns | None = None
    description: _Words | None = None


class DisableBody(Body):
    """Why it is told of nothing any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "it is being moved"}]})

    reason: Annotated[str, Field(max_length=200)] = ""


class RotateBody(Body):
    """For how long the secret of before signs too: seconds, "12h", "2d"; at most a year."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap": "12h"}]})

    overlap: Annotated[str, Field(max_length=50)] | int = "1d"


class EmptyBody(Body):
    """An empty object."""


class ReplayBody(Body):
    """Which message that was given up or failed; without, all of the endpoint's."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message_id": "msg_5f3a9c0d1e2b4a6f8c7d"}]})

    message_id: Annotated[str, Field(max_length=MAX_REASON)] | None = None


class DeliveryParameters(PageParameters):
    """Which deliveries."""

    status: Annotated[Literal["waiting", "delivered", "dead"] | None, Field(description="That stand so.")] = None
    failed: Annotated[bool, Field(description="That were not taken when they were last tried.")] = False
    message_id: Annotated[_Message | None, Field(description="Of this message.")] = None


_MADE: dict[int | str, dict[str, Any]] = {201: {"model": NewSecret, "description": "It is subscribed."}}


@router.get("", response_model=EndpointPage, summary="List webhooks")
async def list_webhooks(ports: Given, caller: Operator, wanted: Annotated[PageParameters, Query()]) -> Response:
    """With how many deliveries wait, were taken, or were given up."""
    every = sorted(await ports.engine.webhooks.list(tenant=caller.tenant), key=lambda each: each.endpoint_id)
    counts = await ports.ask(ports.store.outbox.counts, caller.tenant)
    shown, cursor = cut(every, wanted, lambda each: each.endpoint_id)
    rows = [endpoint_json(each) | counted(counts, each) for each in shown]
    return answer({"webhooks": rows, "next_cursor": cursor})


@router.post(
    "",
    status_code=201,
    responses=_MADE,
    openapi_extra=documented(SubscribeBody, KEY_HEADER),
    summary="Subscribe a webhook",
)
async def subscribe_webhook(request: Request, ports: Given, caller: Operator) -> Response:
    """The answer holds the secret that its messages are signed with, this once. Sent again, another one is made, unless
    under an Idempotency-Key."""
    body, path = await read(request, SubscribeBody), ports.places.need_webhook_keys()
    allowed = ports.places.webhook_allowed
    beside = await once(ports, caller, request, body)
    try:
        made, secret = await with_new_secret(
            ports,
            path,
            lambda key_id: ports.engine.webhooks.subscribe(
                body.url,
                body.patterns,
                key_id,
                tenant=caller.tenant,
                description=body.description,
                by=caller.name,
                allowed=allowed,
                beside=beside,
            ),
        )
    except RequestDoneError:
        raise secret_told("the webhook was subscribed", "rotate its secret") from None
    headers = {"location": f"/v1/webhooks/{made.endpoint_id}", "cache-control": "no-store"}
    return answer({**endpoint_json(made), "secret": secret}, HTTPStatus.CREATED, headers)


@router.get("/dead-letters", response_model=DeliveryPage, summary="Deliveries that were given up, of all webhooks")
async def list_dead_letters(ports: Given, caller: Operator, wanted: Annotated[PageParameters, Query()]) -> Response:
    """They wait for somebody to have them sent again. A page ends with all of an event's."""
    return await _deliveries(ports, Lookup(caller.tenant, None, None, "dead"), wanted)


@router.get("/{endpoint_id}", response_model=CountedEndpoint, summary="One webhook")
async def get_webhook(endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """As it stands, without its secret."""
    found = await _known(ports, endpoint_id, caller.tenant)
    counts = await ports.ask(ports.store.outbox.counts, caller.tenant)
    return answer(endpoint_json(found) | counted(counts, found))


@router.patch(
    "/{endpoint_id}", response_model=WebhookEndpoint, openapi_extra=documented(ChangeBody), summary="Change a webhook"
)
async def change_webhook(request: Request, endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """Its address, its patterns, its description: what is given."""
    body = await read(request, ChangeBody)
    await _known(ports, endpoint_id, caller.tenant)
    made = await ports.engine.webhooks.change(
        endpoint_id,
        tenant=caller.tenant,
        url=body.url,
        patterns=body.patterns,
        description=body.description,
        by=caller.name,
        allowed=ports.places.webhook_allowed,
    )
    return answer(endpoint_json(made))


@router.delete("/{endpoint_id}", status_code=204, response_class=Response, summary="Remove a webhook")
async def remove_webhook(endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """Nothing is sent there any more, and its secrets go. 404 once it is removed."""
    await _known(ports, endpoint_id, caller.tenant)
    gone = await ports.engine.webhooks.remove(endpoint_id, tenant=caller.tenant, by=caller.name)
    if ports.places.webhook_keys is not None:
        await forget(ports, ports.places.webhook_keys, [each for each in (gone.key_id, gone.replaced) if each])
    return Response(status_code=204)


@router.post(
    "/{endpoint_id}/enable",
    response_model=WebhookEndpoint,
    openapi_extra=documented(EmptyBody),
    summary="Enable a webhook",
)
async def enable_webhook(request: Request, endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """It is told of what happens from now on."""
    await read(request, EmptyBody)
    await _known(ports, endpoint_id, caller.tenant)
    return answer(endpoint_json(await ports.engine.webhooks.enable(endpoint_id, tenant=caller.tenant, by=caller.name)))


@router.post(
    "/{endpoint_id}/disable",
    response_model=WebhookEndpoint,
    openapi_extra=documented(DisableBody),
    summary="Disable a webhook",
)
async def disable_webhook(request: Request, endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """It is told of nothing until it is enabled; what waits is given up."""
    body, tenant = await read(request, DisableBody), caller.tenant
    await _known(ports, endpoint_id, tenant)
    made = await ports.engine.webhooks.disable(endpoint_id, body.reason, tenant=tenant, by=caller.name)
    return answer(endpoint_json(made))


@router.post(
    "/{endpoint_id}/rotate",
    response_model=NewSecret,
    openapi_extra=documented(RotateBody, KEY_HEADER),
    summary="Give a webhook a new secret",
)
async def rotate_webhook(request: Request, endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """The answer holds it, this once; for a while the old one signs too."""
    body, path = await read(request, RotateBody), ports.places.need_webhook_keys()
    try:
        seconds = seconds_of(body.overlap)
    except CallError as error:
        raise CallError([Problem("/overlap", each.reason, each.fix) for each in error.problems]) from None
    before = await _known(ports, endpoint_id, caller.tenant)
    beside = await once(ports, caller, request, body)
    try:
        made, secret = await with_new_secret(
            ports,
            path,
            lambda key_id: ports.engine.webhooks.rotate(
                endpoint_id, key_id, tenant=caller.tenant, overlap_seconds=seconds, by=caller.name, beside=beside
            ),
        )
    except RequestDoneError:
        raise secret_told("the secret was replaced", "replace it under another idempotency key") from None
    if before.replaced is not None:
        await forget(ports, path, [before.replaced])
    return answer({**endpoint_json(made), "secret": secret}, headers={"cache-control": "no-store"})


@router.get("/{endpoint_id}/deliveries", response_model=DeliveryPage, summary="What was sent, and what came of it")
async def list_deliveries(
    endpoint_id: str, ports: Given, caller: Operator, wanted: Annotated[DeliveryParameters, Query()]
) -> Response:
    """The latest event first."""
    await _known(ports, endpoint_id, caller.tenant)
    of = Lookup(caller.tenant, endpoint_id, wanted.message_id, wanted.status, wanted.failed)
    return await _deliveries(ports, of, wanted)


@router.post(
    "/{endpoint_id}/deliveries:replay",
    response_model=Replayed,
    openapi_extra=documented(ReplayBody),
    summary="Have dead letters, and what failed when last tried, sent now",
)
async def replay_deliveries(request: Request, endpoint_id: str, ports: Given, caller: Operator) -> Response:
    """One that was given up or failed when last tried, or all: they are due now. Others are left alone."""
    body = await read(request, ReplayBody)
    await _known(ports, endpoint_id, caller.tenant)
    message = body.message_id
    if message is not None and not (message.isascii() and message.isprintable()):
        raise missing("dead letter", message)
    of = Lookup(caller.tenant, endpoint_id, message)
    count = await ports.ask(ports.store.outbox.replay, of, time.time_ns() // 1000)
    if message is not None and not count:
        raise missing("dead letter", message)
    return answer({"replayed": count})


async def _known(ports: Ports, endpoint_id: str, tenant: str) -> Endpoint:
    for each in await ports.engine.webhooks.list(tenant=tenant):
        if each.endpoint_id == endpoint_id:
            return each
    raise missing("webhook", endpoint_id)


async def _deliveries(ports: Ports, of: Lookup, wanted: PageParameters) -> Response:
    key = key_of(wanted.cursor, int)
    before = None if key is None else min(max(int(key[0]), 0), 2**62)
    rows = await ports.ask(ports.store.outbox.deliveries, of, wanted.limit + _MOST_ENDPOINTS + 1, before)
    end = wanted.limit
    while end < len(rows) and rows[end].position == rows[end - 1].position:
        end += 1  # The cursor is a position: what has the same one cannot be parted.
    cursor = cursor_of(rows[end - 1].position) if end < len(rows) else None
    return answer({"deliveries": [delivery_json(each) for each in rows[:end]], "next_cursor": cursor})
