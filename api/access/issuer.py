"""Whose bearer tokens count (OpenID Connect), as operators say it, and what of it is refused from the beginning."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...core.errors import CallError, Problem

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Which signatures count when nothing is said (RFC 7518, RFC 8037)."""

_POSSIBLE = (*ALGORITHMS, "RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512", "Ed25519")
"""None that knows no key, and none whose key for checking is also one for signing (HS256 and its like)."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Tokens of `issuer` count that are meant for one of `audience`, signed by one of `algorithms` with a key of the
    set `jwks` (RFC 7517), a file or a URL. The claims say scopes and tenant; a dot leads into an object."""

    issuer: str
    audience: tuple[str, ...]
    jwks: str
    algorithms: tuple[str, ...] = ALGORITHMS
    scopes_claim: str = "scope"
    tenant_claim: str = "tenant"

    @classmethod
    def parse(
        cls,
        issuer: str,
        audience: Sequence[str],
        jwks: str,
        algorithms: Sequence[str] = (),
        scopes_claim: str = "",
        tenant_claim: str = "",
    ) -> Issuer:
        """The issuer, if it can be one. Raises CallError."""
        if not issuer or not audience or not jwks:
            missing = "issuer" if not issuer else "audience" if not audience else "key set"
            raise CallError(Problem("", f"the {missing} of tokens is not set", "set issuer, audience and key set"))
        unknown = [each for each in algorithms if each not in _POSSIBLE]
        if unknown:
            reason = f"{unknown[0][:40]!a} is no algorithm by which tokens may be signed"
            raise CallError(Problem("", reason, f"choose of {', '.join(_POSSIBLE)}"))
        _check_place(jwks)
        chosen = tuple(algorithms) or ALGORITHMS
        return cls(issuer, tuple(audience), jwks, chosen, scopes_claim or "scope", tenant_claim or "tenant")


def _check_place(jwks: str) -> None:
    if "://" not in jwks:
        return
    try:
        url = urlsplit(jwks)
        host = url.hostname or ""
    except ValueError:
        url, host = None, ""
    if url is not None and host and (url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))):
        return
    reason = "a key set that comes over plain http can be replaced on the way"
    raise CallError(Problem("", f"{jwks[:60]!a}: {reason}", "give an https URL, or a file"))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
