"""Bearer tokens of an issuer: JWTs (RFC 7519, RFC 8725) whose signature, times, issuer and audience are right."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Mapping
from typing import Any, cast

import orjson
from joserfc import jwt
from joserfc.errors import JoseError

from ...core.access_log import SCOPES
from ...core.errors import CallError
from ...core.ids import check_tenant
from ...core.runtime.admission import MAX_LABEL
from .access import Grant
from .issuer import Issuer
from .jwks import KeySetSource, PublicKey

LEEWAY_SECONDS = 60
"""By how much the issuer's clock may differ from ours."""

EVERY_TENANT = "*"
"""What the tenant's claim says of who may act for all."""

_LONGEST_HEADER = 4_000
_log = logging.getLogger(__name__)


class IssuedTokens:
    """Reads the tokens of an issuer; fulfils `refold.api.access.access.TokenReader`."""

    def __init__(self, issuer: Issuer):
        self._issuer = issuer
        self._keys = KeySetSource(issuer.jwks)
        self._registry = jwt.JWTClaimsRegistry(
            now=lambda: int(time.time()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "values": list(issuer.audience)},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def read(self, token: str) -> Grant | None:
        """What the token grants; None if it does not count."""
        header = _header_of(token)
        if header is None or header.get("alg") not in self._issuer.algorithms:
            return None
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            return None
        for key in await self._keys.candidates(kid):
            claims = self._claims(token, key)
            if claims is not None:
                return self._grant(claims)
        return None

    def _claims(self, token: str, key: PublicKey) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(token, key, algorithms=list(self._issuer.algorithms)).claims
            self._registry.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        return claims

    def _grant(self, claims: dict[str, Any]) -> Grant | None:
        name = claims["sub"]
        if not name or len(name) > MAX_LABEL or not name.isprintable():
            return None
        tenant = _claim(claims, self._issuer.tenant_claim)
        try:
            whose = None if tenant == EVERY_TENANT else check_tenant(tenant)
        except CallError:
            _log.warning("a token of the issuer names no tenant in its claim %s", self._issuer.tenant_claim)
            return None
        said = _claim(claims, self._issuer.scopes_claim)
        words = said.split(" ") if isinstance(said, str) else cast("list[Any]", said) if isinstance(said, list) else []
        scopes = frozenset(scope for scope in SCOPES if scope in words)
        until = min(int(claims["exp"]) + LEEWAY_SECONDS, 2**40) * 1_000_000
        return Grant(name, whose, scopes, None, until)


def _header_of(token: str) -> Mapping[str, Any] | None:
    """The header, which nobody has signed for yet: it says which key to try."""
    head, dot, _ = token.partition(".")
    if not dot or len(head) > _LONGEST_HEADER:
        return None
    try:
        told = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None
    return cast("dict[str, Any]", told) if isinstance(told, dict) else None


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name, or what the dots of the name lead to."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = cast("dict[str, Any]", found).get(part) if isinstance(found, dict) else None
    return found
