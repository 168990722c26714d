"""What operators set by environment variables, beyond the database's URL (`refold.compose`)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..api.access.issuer import Issuer
from ..core.addresses import Allowed
from ..core.errors import CallError, Problem
from ..core.webhook_signing import parse_secret

DEFAULT_PATIENCE = 30.0
"""Seconds."""


def store_patience() -> float:
    """REFOLD_STORE_PATIENCE: for how many seconds a database that does not answer is asked again. Raises CallError."""
    text = os.environ.get("REFOLD_STORE_PATIENCE", "")
    try:
        seconds = float(text) if text else DEFAULT_PATIENCE
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise CallError(Problem("", f"REFOLD_STORE_PATIENCE is {text[:40]!r}", "give a number of seconds, 0 or more"))
    return seconds


GOLDENS = "REFOLD_GOLDENS"
"""The environment variable that names the folder of goldens."""

GOLDEN_KEYS = "REFOLD_GOLDEN_KEYS"
"""The environment variable that names the file of their keys. Goldens are kept where one is named."""


def golden_folder(given: str | None) -> Path:
    """Where goldens lie: `given`, else REFOLD_GOLDENS, else the folder `goldens`."""
    return Path(given or os.environ.get(GOLDENS) or "goldens")


def golden_key_file(given: str | None) -> Path | None:
    """The file of their keys: `given`, else REFOLD_GOLDEN_KEYS; None if none is named."""
    path = given or os.environ.get(GOLDEN_KEYS)
    return Path(path) if path else None


WEBHOOK_KEYS = "REFOLD_WEBHOOK_KEYS"
"""The environment variable that names the file of webhooks' secrets."""

WEBHOOK_ALLOW = "REFOLD_WEBHOOK_ALLOW"
"""The environment variable that lists networks and hosts, joined by commas, that webhooks may be sent to."""

WEBHOOK_HTTP = "REFOLD_WEBHOOK_HTTP"
"""The environment variable that, set to 1, allows webhooks without encryption."""

WEBHOOK_CA = "REFOLD_WEBHOOK_CA"
"""The environment variable that names a file of certificates to be trusted instead of the usual ones."""


WEBHOOK_SECRET = "REFOLD_WEBHOOK_SECRET"
"""The environment variable that holds the secret of a simulation's webhook."""


def webhook_key_file(given: str | None) -> Path | None:
    """The file of webhooks' secrets: `given`, else REFOLD_WEBHOOK_KEYS; None if none is named."""
    path = given or os.environ.get(WEBHOOK_KEYS)
    return Path(path) if path else None


def webhook_allowed(allow: Sequence[str] = (), http: bool = False) -> Allowed:
    """What webhooks may reach besides the public internet, by options and environment. Raises CallError."""
    listed = [item.strip() for item in os.environ.get(WEBHOOK_ALLOW, "").split(",")]
    return Allowed.parse([*allow, *filter(None, listed)], http or os.environ.get(WEBHOOK_HTTP) == "1")


def webhook_secret() -> bytes | None:
    """The secret of REFOLD_WEBHOOK_SECRET, which signs what a simulation tells; None without. Raises CallError."""
    text = os.environ.get(WEBHOOK_SECRET)
    return parse_secret(text) if text else None


def webhook_authorities() -> Path | None:
    """The file of certificates that REFOLD_WEBHOOK_CA names; None if it names none."""
    path = os.environ.get(WEBHOOK_CA)
    return Path(path) if path else None


PUBLIC_URL = "REFOLD_PUBLIC_URL"
"""The environment variable that says under which URL people reach the server."""


def public_url(given: str | None) -> str | None:
    """`given`, else REFOLD_PUBLIC_URL: scheme, host and port, as browsers name them; None if nobody says.

    Raises CallError.
    """
    text = given or os.environ.get(PUBLIC_URL)
    if not text:
        return None
    try:
        url = urlsplit(text)
        fits = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.username
    except ValueError:
        fits, url = False, urlsplit("")
    if not fits or url.path not in ("", "/") or url.query or url.fragment:
        raise CallError(Problem("", f"{text[:60]!a} is no URL of a server", "give it as https://refold.example.com"))
    return f"{url.scheme}://{url.netloc}"


def token_issuer() -> Issuer | None:
    """Whose tokens count, by REFOLD_OIDC_ISSUER, _AUDIENCE, _JWKS, _ALGORITHMS, _SCOPES_CLAIM and _TENANT_CLAIM; None
    if none of the first three is set. Lists are joined by commas. Raises CallError."""

    def said(name: str) -> str:
        return os.environ.get(f"REFOLD_OIDC_{name}", "").strip()

    def listed(name: str) -> list[str]:
        return [word.strip() for word in said(name).split(",") if word.strip()]

    if not (said("ISSUER") or said("AUDIENCE") or said("JWKS")):
        return None
    claims = (said("SCOPES_CLAIM"), said("TENANT_CLAIM"))
    return Issuer.parse(said("ISSUER"), listed("AUDIENCE"), said("JWKS"), listed("ALGORITHMS"), *claims)
