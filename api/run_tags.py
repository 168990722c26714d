"""Entity tags of runs (RFC 9110, section 8.8.3), by which clients need not be told again what they know."""

from __future__ import annotations

from fastapi import Request

from ..core.ids import ERASURES, stream_of
from ..eventstore.rebuild import is_held
from ..eventstore.store import Store
from ..projections.run_view import check_run


def tag_of(store: Store, run_id: str, tenant: str) -> str:
    """The tag of a run as it stands: by its head, by whether somebody works on it, and by what was erased. It is weak,
    for why no worker would take the run up is not in it. Raises RunNotFoundError."""
    head = check_run(store, run_id, tenant)
    erased = store.heads([ERASURES]).get(ERASURES)
    held = is_held(store.dispatch.lease(stream_of(tenant, run_id)))
    return f'W/"{head.version}-{(head.hash or "")[:16]}-{int(held)}-{0 if erased is None else erased.version}"'


def matches(request: Request, tag: str) -> bool:
    """Whether the If-None-Match header names the tag, compared weakly."""
    offers = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(offer.strip() in ("*", tag, tag.removeprefix("W/")) for offer in offers)
