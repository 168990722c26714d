"""What goes wrong with who asks the HTTP API, asked over HTTP, by the code that the answer must carry."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import httpx2

from refold.api.access.attempts import ALLOWED
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke
from .served import served


async def _key(bench: Bench, *scopes: str) -> dict[str, str]:
    issued = await bench.engine.access.create("somebody", scopes)
    return {"authorization": f"Bearer {issued.text}"}


async def _code(bench: Bench, path: str, headers: dict[str, str], times: int = 1, method: str = "GET") -> str | None:
    def ask() -> str:
        with served(bench.store) as url, httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
            answers = [client.request(method, path) for _ in range(times)]
        assert answers[-1].status_code >= HTTPStatus.BAD_REQUEST
        return answers[-1].json()["code"]

    return await asyncio.to_thread(ask)


async def no_key(bench: Bench) -> str | None:
    """A key is asked for, and none is sent."""
    await _key(bench, "read")
    return await _code(bench, "/v1/runs", {})


async def wrong_scope(bench: Bench) -> str | None:
    """The key is for something else."""
    return await _code(bench, "/v1/runs", await _key(bench, "audit"))


async def guessing(bench: Bench) -> str | None:
    """Somebody tries one key after the other."""
    await _key(bench, "read")
    return await _code(bench, "/v1/runs", {"authorization": "Bearer guessed"}, ALLOWED + 1)


async def foreign_form(bench: Bench) -> str | None:
    """A page of another site has a browser send something."""
    return await _code(bench, "/v1/runs", {"sec-fetch-site": "cross-site"}, method="POST")


async def unknown_key(bench: Bench) -> str | None:
    """A key that nobody made is revoked."""
    try:
        await bench.engine.access.revoke("0" * 16)
    except LookupError as error:
        return getattr(error, "code", None)
    return None


ACCESS: dict[str, Provoke] = {
    "CREDENTIALS_REFUSED": no_key,
    "SCOPE_MISSING": wrong_scope,
    "CREDENTIALS_THROTTLED": guessing,
    "FORM_REFUSED": foreign_form,
    "KEY_NOT_FOUND": unknown_key,
}
"""By the code that must be told."""
