"""The failures of who asks the HTTP API: they have no right, or not this one."""

from __future__ import annotations

from .failure_entry import ONCE, CatalogEntry, Category, Recovery, entry

_R, _A, _V = Category.RESOURCE, Category.PERMISSION, Category.VALIDATION

ACCESS_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "CREDENTIALS_REFUSED", _A, Recovery.FIX_CONFIG, 401, ONCE,
        "The request carries no key, token or session that counts.",
        "Send a key as the header Authorization: Bearer rfk_...; who runs the server makes one: "
        "refold keys create NAME --scope read",
    ),
    entry(
        "SCOPE_MISSING", _A, Recovery.ASK_PERSON, 403, ONCE,
        "The key does not have the scope that this needs, or not for this tenant.",
        "The message names the scope; a key that has it: refold keys create NAME --scope SCOPE",
    ),
    entry(
        "CREDENTIALS_THROTTLED", _R, Recovery.RETRY_LATER, 429, ONCE,
        "Too many credentials from this address were refused within a minute.",
        "Wait as long as Retry-After says, and correct the key that is sent",
    ),
    entry(
        "FORM_REFUSED", _A, Recovery.RETRY_LATER, 403, ONCE,
        "A form was not sent from a page of this server, or from one that has gone stale.",
        "Load the page again and send the form from there",
    ),
    entry(
        "KEY_NOT_FOUND", _V, Recovery.FIX_INPUT, 404, ONCE,
        "There is no key of this id.",
        "See which there are: refold keys list",
    ),
)  # fmt: skip
"""Of access."""
