"""Coming in and leaving: a key or a token is shown once, and a cookie stands for it from then on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ..access.access import access_of
from ..access.csrf import csrf_token
from ..access.sessions import choose_tenant, close_session, open_session, who
from ..callers import LOCAL, ServiceReader
from ..ports import Given
from ..problems import Refusal
from .forms import Form, form_of
from .pages import PageParameters, draw, html, shell_of

router = APIRouter(include_in_schema=False)
"""`/login`, `/logout` and `/tenant`."""

_REFUSED = "This key or token does not count here: it is mistyped, expired or revoked."


class LoginParameters(PageParameters):
    """Where to go then."""

    next: Annotated[str, Field(max_length=2000)] = "/runs"


class LoginForm(Form):
    """What somebody shows."""

    credential: Annotated[str, Field(max_length=20_000)] = ""
    next: str = "/runs"


class LogoutForm(Form):
    """Nothing but the token; the form of `/login` has the rest as well."""

    credential: str = ""
    next: str = ""


class TenantForm(Form):
    """Whose runs pages are to be about."""

    tenant: str = ""


@router.get("/login")
async def login_page(request: Request, ports: Given, wanted: Annotated[LoginParameters, Query()]) -> Response:
    """The form; or that none is needed."""
    return await _page(request, ports, _local(wanted.next), None)


@router.post("/login")
async def login(request: Request, ports: Given) -> Response:
    """Open a session for who shows a key or token that counts."""
    form = await form_of(request, LOCAL, LoginForm)  # Nobody is known yet.
    following = _local(form.next)
    try:
        await open_session(request, form.credential)
    except Refusal as refusal:
        if refusal.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
            raise
        waits = refusal.status == HTTPStatus.TOO_MANY_REQUESTS
        return await _page(request, ports, following, f"{str(refusal).capitalize()}." if waits else _REFUSED, refusal)
    return Response(status_code=303, headers={"location": following})


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session."""
    await form_of(request, LOCAL, LogoutForm)
    await close_session(request)
    return Response(status_code=303, headers={"location": "/login"})


@router.post("/tenant")
async def change_tenant(request: Request, caller: ServiceReader) -> Response:
    """Have pages be about another tenant from now on, for who may see them all."""
    form = await form_of(request, caller, TenantForm)
    choose_tenant(request, form.tenant)
    return Response(status_code=303, headers={"location": "/runs"})


async def _page(
    request: Request, ports: Given, following: str, fault: str | None, refusal: Refusal | None = None
) -> Response:
    caller = await who(request)
    model = {
        "next": following,
        "fault": fault,
        "open": access_of(request).is_open,
        "caller": None if caller is None else {"name": caller.name, "tenant": caller.tenant},
        "shell": {**shell_of(request, caller), "token": csrf_token(request)},
    }
    drawn = await ports.ask(draw, "login.html", model)
    return html(drawn, 200 if refusal is None else refusal.status, None if refusal is None else refusal.headers)


def _local(place: str) -> str:
    """A place of this server; anything else leads to the runs. No browser takes such a path for another host."""
    try:
        parts = urlsplit(place)
    except ValueError:
        return "/runs"
    is_path = place.startswith("/") and not place.startswith(("//", "/\\", "/login", "/logout"))
    safe = place.isascii() and place.isprintable() and "\\" not in place
    return place if is_path and safe and not parts.scheme and not parts.netloc else "/runs"
