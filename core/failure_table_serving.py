"""The failures of a server that has too much to do, or of a caller who asks too much of it."""

from __future__ import annotations

from .failure_entry import BACKOFF, ONCE, CatalogEntry, Category, Recovery, entry

SERVING_FAILURES: tuple[CatalogEntry, ...] = (
    entry(
        "REQUESTS_TOO_MANY", Category.RESOURCE, Recovery.RETRY_LATER, 429, ONCE,
        "The caller sends more requests in a time than the server takes from one.",
        "Wait as long as Retry-After says, and send fewer at a time; who runs the server may raise it: "
        "refold serve --rate N",
    ),
    entry(
        "SERVER_BUSY", Category.RESOURCE, Recovery.RETRY, 503, BACKOFF,
        "The server has as much to do as it takes on, or is about to stop.",
        "Send the request again as Retry-After says; more servers can stand side by side on one PostgreSQL database",
    ),
)  # fmt: skip
"""Of the HTTP server itself."""
