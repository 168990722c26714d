"""Entity tags of runs (RFC 9110, section 8.8.3), by which clients need not be told again what they know."""

from __future__ import annotations

from fastapi import Request

from ..core.errors import RunNotFoundError
from ..core.ids import ERASURES, stream_of
from ..eventstore.rebuild import is_held
from ..eventstore.store import Store
from ..projections.run_view import RunView, look_at


def look(request: Request, store: Store, run_id: str, tenant: str) -> tuple[str, RunView | None]:
    """A run as it stands with its tag; without the run if the request has the tag already. Raises RunNotFoundError.

    The tag is of its head, of whether somebody works on it, and of what was erased. It is weak, for why no worker would
    take the run up is not in it. The head is asked for first: what is then newer than its tag is told again, not left
    out.
    """
    stream = stream_of(tenant, run_id)
    heads = store.heads([stream, ERASURES])
    if stream not in heads:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    head, erased = heads[stream], heads[ERASURES].version if ERASURES in heads else 0

    def tag(held: bool) -> str:
        return f'W/"{head.version}-{(head.hash or "")[:16]}-{int(held)}-{erased}"'

    if "if-none-match" in request.headers:
        known = tag(is_held(store.dispatch.lease(stream)))
        if matches(request, known):
            return known, None
    view = look_at(store, run_id, tenant)
    return tag(view.held), view


def matches(request: Request, tag: str) -> bool:
    """Whether the If-None-Match header names the tag, compared weakly."""
    offers = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(offer.strip() in ("*", tag, tag.removeprefix("W/")) for offer in offers)
