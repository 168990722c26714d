"""Keys of this API: who may do what, for which tenant."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.access_log import Scope
from ...core.errors import CallError, Problem, RequestDoneError
from ...core.runtime.access_control import LONGEST_SECONDS, OVERLAP_SECONDS, IssuedKey
from ...core.runtime.admission import MAX_LABEL, MAX_REASON
from ...projections.key_view import key_view
from ..access.access import access_of
from ..answers import answer
from ..bodies import Body, documented, read
from ..callers import Admin, Caller
from ..idempotency import KEY_HEADER, once, secret_told
from ..ports import Given, Ports
from ..problems import Refusal

router = APIRouter(prefix="/v1/keys", tags=["keys"])
"""`/v1/keys`."""

KeyIdInPath = Annotated[str, Path(description="The key's id.", max_length=200, examples=["3aUfc0YkWm9pQzLd"])]
"""The id of a key within a path."""


class Key(BaseModel):
    """A key, without its secret. Times are ISO 8601 in UTC; `tenant` null: for all; `expires_at` null: never.

    Until `old_secret_until` the secret of before counts too; `last_used_at` is right to the minute."""

    key_id: str
    name: str
    tenant: str | None
    scopes: list[Scope]
    status: str
    created_at: str
    created_by: str
    expires_at: str | None
    rotated_at: str | None
    old_secret_until: str | None
    revoked_at: str | None
    revoked_by: str
    reason: str
    last_used_at: str | None


class NewKey(Key):
    """A key with its text, which is told this once."""

    key: str


class KeyPage(BaseModel):
    """Keys in the order in which they were made; there is more while `next_cursor` is set."""

    keys: list[Key]
    next_cursor: str | None


class KeyParameters(BaseModel):
    """Which part of the list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class CreateKeyBody(Body):
    """A key for the caller's tenant, or another `tenant`, or all; it counts for `expires_in_seconds`, or for ever."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    tenant: str | None = None
    all_tenants: bool = False
    expires_in_seconds: Annotated[float, Field(ge=1, le=LONGEST_SECONDS)] | None = None


class RotateKeyBody(Body):
    """For how long the secret of before counts too."""

    overlap_seconds: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)] = OVERLAP_SECONDS


class RevokeKeyBody(Body):
    """Why; it is recorded."""

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


@router.get("", response_model=KeyPage, summary="List keys")
async def list_keys(ports: Given, caller: Admin, wanted: Annotated[KeyParameters, Query()]) -> Response:
    """Those of the tenant, and for a caller for all tenants those of all; keys that count no more too."""
    found = await ports.engine.access.list(tenant=_whose(caller))
    begin = int(wanted.cursor or 0)
    shown = found[begin : begin + wanted.limit]
    last = await ports.ask(ports.store.key_uses.last)
    now, more = ports.engine.access.now(), len(found) > begin + wanted.limit
    told = [key_view(key, now, last.get(key.key_id)) for key in shown]
    return answer({"keys": told, "next_cursor": str(begin + wanted.limit) if more else None})


@router.post(
    "",
    status_code=201,
    response_model=NewKey,
    openapi_extra=documented(CreateKeyBody, KEY_HEADER),
    summary="Make a key",
)
async def create_key(request: Request, ports: Given, caller: Admin) -> Response:
    """Its text is in this answer and nowhere else. Nobody can give away what they may not do themselves.

    The first one must be an admin's for all tenants: from then on a key is asked for.
    """
    body = await read(request, CreateKeyBody)
    tenant = None if body.all_tenants else body.tenant if body.tenant is not None else caller.tenant
    if body.all_tenants and body.tenant is not None:
        raise CallError(Problem("/tenant", "the key is for all tenants", "leave one of them out"))
    if tenant != caller.tenant and not caller.everywhere:
        raise _beyond("keys for other tenants need a key for all of them")
    _check_scopes(caller, body.scopes)
    access = access_of(request)
    if access.is_open and not (tenant is None and "admin" in body.scopes):
        reason = "the first key must have the scope admin, for all tenants, or nobody could make another one here"
        raise CallError(Problem("/scopes", reason, "make that one first"))
    beside = await once(ports, caller, request, body)
    try:
        issued = await ports.engine.access.create(
            body.name, body.scopes, tenant=tenant, expires_in=body.expires_in_seconds, by=caller.name, beside=beside
        )
    except RequestDoneError:
        raise secret_told("the key was made", "revoke it, and make another one") from None
    await access.keys.renew()
    return _told(ports, issued, 201)


@router.get("/{key_id}", response_model=Key, summary="A key, without its secret")
async def get_key(key_id: KeyIdInPath, ports: Given, caller: Admin) -> Response:
    """As it stands."""
    key = await ports.engine.access.get(key_id, tenant=_whose(caller))
    last = await ports.ask(ports.store.key_uses.last)
    return answer(key_view(key, ports.engine.access.now(), last.get(key.key_id)))


@router.post(
    "/{key_id}/rotate",
    response_model=NewKey,
    openapi_extra=documented(RotateKeyBody, KEY_HEADER),
    summary="A new secret",
)
async def rotate_key(request: Request, key_id: KeyIdInPath, ports: Given, caller: Admin) -> Response:
    """The text is in this answer and nowhere else; the one of before counts for a while too."""
    body = await read(request, RotateKeyBody)
    key = await ports.engine.access.get(key_id, tenant=_whose(caller))
    _check_scopes(caller, key.scopes)
    beside = await once(ports, caller, request, body)
    try:
        issued = await ports.engine.access.rotate(
            key_id, overlap_seconds=body.overlap_seconds, tenant=_whose(caller), by=caller.name, beside=beside
        )
    except RequestDoneError:
        raise secret_told("the key was rotated", "rotate it under another idempotency key") from None
    await access_of(request).keys.renew()
    return _told(ports, issued, 200)


@router.post("/{key_id}/revoke", response_model=Key, openapi_extra=documented(RevokeKeyBody), summary="Revoke a key")
async def revoke_key(request: Request, key_id: KeyIdInPath, ports: Given, caller: Admin) -> Response:
    """It counts no more, everywhere within a second, nor does any session that was opened with it."""
    body = await read(request, RevokeKeyBody)
    key = await ports.engine.access.revoke(key_id, reason=body.reason, tenant=_whose(caller), by=caller.name)
    await access_of(request).keys.renew()
    return answer(key_view(key, ports.engine.access.now()))


def _whose(caller: Caller) -> str | None:
    return None if caller.everywhere else caller.tenant


def _check_scopes(caller: Caller, scopes: Any) -> None:
    """Who is given a secret is given what it opens."""
    beyond = [scope for scope in scopes if scope not in caller.scopes]
    if beyond:
        raise _beyond(f"nobody gives away what they do not have: the scope {beyond[0]}")


def _told(ports: Ports, issued: IssuedKey, status: int) -> Response:
    return answer({"key": issued.text, **key_view(issued.key, ports.engine.access.now())}, status)


def _beyond(why: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, why, code="SCOPE_MISSING")
