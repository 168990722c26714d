"""The keys of the API: who may do what. A secret is shown once, when it is made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.access_log import SCOPES, Key
from ...core.durations import seconds_of
from ...core.errors import CallError, Problem
from ...core.runtime.access_control import IssuedKey
from ...projections.times import iso
from ..access.access import access_of
from ..callers import Admin, Caller
from ..ports import Given, Ports
from .forms import Form, form_of
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/keys` and what its forms send."""

MEANINGS = {
    "run": "start runs, and talk to them",
    "read": "look at them",
    "audit": "prove them",
    "operate": "steer the service: many runs at once, stops, budgets, webhooks",
    "admin": "say who may do what, and erase",
}
"""What each scope allows."""

_TIMES = ("created_at", "expires_at", "rotated_at", "old_secret_until", "revoked_at")


class KeyForm(Form):
    """A key to be made."""

    name: str = ""
    scope: list[str] = Field(default_factory=list[str])
    tenant: str | None = None
    everywhere: str | None = None
    expires: str | None = None


class RotateForm(Form):
    """For how long the secret of before still counts."""

    overlap: str = "1d"


class RevokeForm(Form):
    """Why."""

    reason: str = ""


@router.get("/keys")
async def keys_page(
    request: Request, ports: Given, caller: Admin, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The keys that the caller may know of."""
    return await page(request, ports, caller, "keys.html", await _model(ports, caller))


@router.post("/keys")
async def create_key(request: Request, ports: Given, caller: Admin) -> Response:
    """Make a key, and show it this once."""
    form = await form_of(request, caller, KeyForm)
    tenant = _tenant(caller, form)
    lasts = None if form.expires is None else seconds_of(form.expires)
    access = ports.engine.access
    made = await access.create(form.name, form.scope, tenant=tenant, expires_in=lasts, by=caller.name)
    await access_of(request).keys.renew()
    return await _shown(request, ports, caller, made)


@router.post("/keys/{key_id}/rotate")
async def rotate_key(request: Request, key_id: str, ports: Given, caller: Admin) -> Response:
    """Give a key another secret, and show it this once."""
    form = await form_of(request, caller, RotateForm)
    overlap = seconds_of(form.overlap)
    made = await ports.engine.access.rotate(key_id, overlap_seconds=overlap, tenant=_own(caller), by=caller.name)
    await access_of(request).keys.renew()
    return await _shown(request, ports, caller, made)


@router.post("/keys/{key_id}/revoke")
async def revoke_key(request: Request, key_id: str, ports: Given, caller: Admin) -> Response:
    """Have a key count no more."""
    form = await form_of(request, caller, RevokeForm)
    await ports.engine.access.revoke(key_id, reason=form.reason, tenant=_own(caller), by=caller.name)
    await access_of(request).keys.renew()
    return Response(status_code=303, headers={"location": "/keys"})


async def _model(ports: Ports, caller: Caller) -> dict[str, Any]:
    access = ports.engine.access
    now = access.now()
    found = [_told(key, now) for key in await access.list(tenant=_own(caller))]
    return {
        "keys": sorted(found, key=lambda each: (each["status"] != "active", each["name"])),
        "scopes": [{"name": name, "meaning": MEANINGS[name]} for name in SCOPES],
        "tenant": caller.tenant,
        "everywhere": caller.everywhere,
        "made": None,
    }


async def _shown(request: Request, ports: Ports, caller: Caller, made: IssuedKey) -> Response:
    """The page with the secret, which is nowhere else: so it is no redirection."""
    told = {**_told(made.key, ports.engine.access.now()), "secret": made.text}
    return await page(request, ports, caller, "keys.html", {**await _model(ports, caller), "made": told}, 201)


def _told(key: Key, now: int) -> dict[str, Any]:
    told = key.to_json(now)
    return told | {name: None if told[name] is None else iso(told[name]) for name in _TIMES}


def _own(caller: Caller) -> str | None:
    """Of which tenant the keys are that the caller may touch; None: of all."""
    return None if caller.everywhere else caller.tenant


def _tenant(caller: Caller, form: KeyForm) -> str | None:
    """For which tenant a key is. Raises CallError for one that is not the caller's."""
    if form.everywhere is not None:
        if not caller.everywhere:
            reason = "a key for all tenants is made by one for all tenants"
            raise CallError(Problem("/everywhere", reason, "name your tenant"))
        return None
    tenant = form.tenant or caller.tenant
    if tenant != caller.tenant and not caller.everywhere:
        raise CallError(Problem("/tenant", "this is not your tenant", "leave it out"))
    return tenant
