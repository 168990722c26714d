"""Bearer tokens of an issuer: which count, and which of the usual forgeries do not."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from refold.api.access import jwks
from refold.api.access.issuer import Issuer
from refold.api.access.tokens import IssuedTokens
from refold.core.errors import CallError

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER = RSAKey.generate_key(2048, {"kid": "other"})


def published(*keys: RSAKey | ECKey) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told: dict[str, Any] = {"iss": "https://issuer.example", "aud": "refold", "sub": "ada", "exp": now + 600}
    told |= {"iat": now, "scope": "openid read run", "tenant": "acme", **changes}
    return {name: value for name, value in told.items() if value is not None}


def signed(key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    told = {"alg": alg, "kid": key.kid, **(header or {})}
    return jwt.encode(told, claims(**changes), key, algorithms=[alg])


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture
def tokens(tmp_path: Path) -> IssuedTokens:
    """Of an issuer whose keys lie in a file."""
    file = tmp_path / "keys.json"
    file.write_text(published(RSA, EC))
    return IssuedTokens(Issuer.parse("https://issuer.example", ["refold", "other"], str(file)))


async def test_a_token_grants_what_its_claims_say(tokens: IssuedTokens) -> None:
    grant = await tokens.read(signed())
    assert grant is not None and (grant.name, grant.tenant, grant.scopes) == ("ada", "acme", {"read", "run"})
    everywhere = await tokens.read(signed(EC, "ES256", tenant="*", scope=["admin"], aud=["x", "other"]))
    assert everywhere is not None and (everywhere.tenant, everywhere.scopes) == (None, {"admin"})
    for scope, found in (
        ("a\u00a0read\nrun admin", {"admin"}),
        (["read", 1, None, ["run"]], {"read"}),
        ({"run": 1}, set()),
    ):
        grant = await tokens.read(signed(scope=scope))
        assert grant is not None and grant.scopes == found


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "somebody"},
        {"aud": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 9_000_000_000},
        {"iat": 9_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
        {"tenant": None},
        {"tenant": "a/b"},
        {"tenant": "control"},
        {"tenant": ["acme"]},
    ],
    ids=str,
)
async def test_a_token_with_wrong_claims_does_not_count(tokens: IssuedTokens, changes: dict[str, Any]) -> None:
    assert await tokens.read(signed(**changes)) is None


async def test_a_clock_may_be_a_minute_off(tokens: IssuedTokens) -> None:
    now = int(time.time())
    assert await tokens.read(signed(exp=now - 30, nbf=now + 30, iat=now + 30)) is not None


async def test_forged_tokens_do_not_count(tokens: IssuedTokens) -> None:
    none = f"{part({'alg': 'none', 'kid': 'rsa'})}.{part(claims())}."
    # The public key as the secret of an HMAC (RFC 8725, section 2.1).
    confused = signed(OctKey.import_key(RSA.as_pem(private=False).hex(), {"kid": "rsa"}), "HS256")
    head, body, mark = signed().split(".")
    forged = [
        none,
        confused,
        signed(OTHER),
        signed(OTHER, header={"kid": "rsa"}),
        signed(OTHER, header={"jwk": OTHER.as_dict(private=False)}),
        f"{head}.{part(claims(sub='eve'))}.{mark}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{part([1])}.{body}.{mark}",
        f"{part({'alg': 'RS256', 'kid': 7})}.{body}.{mark}",
        f"{part({'alg': 'RS256', 'kid': 'rsa', 'crit': ['x'], 'x': 1})}.{body}.{mark}",
        "A" * 20_000 + "." + body,
        base64.urlsafe_b64encode(b"[" * 2_900).decode() + ".e30.e30",
        "",
        "..",
        "a.b.c",
    ]
    assert [text[:60] for text in forged if await tokens.read(text) is not None] == []


async def test_claims_may_stand_within_objects(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(published(RSA))
    about = ("https://issuer.example", ["refold"], str(tmp_path / "keys.json"), [])
    read = IssuedTokens(Issuer.parse(*about, scopes_claim="realm.roles", tenant_claim="org")).read
    grant = await read(signed(realm={"roles": ["audit"]}, org="acme"))
    assert grant is not None and (grant.tenant, grant.scopes) == ("acme", {"audit"})


@contextmanager
def issuer() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server of key sets: its URL, and what it answers and how often it was asked."""
    said: dict[str, Any] = {"status": 200, "body": published(RSA), "asked": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said["asked"] += 1
            self.send_response(said["status"])
            self.end_headers()
            self.wfile.write(said["body"].encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys", said
        finally:
            server.shutdown()
            thread.join()


async def test_keys_are_fetched_for_an_unknown_name_but_not_each_time_and_kept_while_the_issuer_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with issuer() as (url, said):
        tokens = IssuedTokens(Issuer.parse("https://issuer.example", ["refold"], url))
        assert await tokens.read(signed()) is not None
        said["body"] = published(RSA, OTHER)
        for _ in range(5):
            assert await tokens.read(signed(OTHER)) is None
        assert said["asked"] == 1
        monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.0)
        assert await tokens.read(signed(OTHER)) is not None
        assert said["asked"] == 2
        for said["status"], said["body"] in (
            (500, ""),
            (302, ""),
            (200, "no keys"),
            (200, "[]"),
            (200, "x" * 1_100_000),
        ):
            assert await tokens.read(signed(EC, "ES256")) is None
            assert await tokens.read(signed()) is not None
        monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
        assert await tokens.read(signed()) is not None


@pytest.mark.parametrize(
    "about",
    [
        ("https://i", ["a"], "http://issuer.example/keys"),
        ("https://i", ["a"], "ftp://127.0.0.1/keys"),
        ("https://i", ["a"], "http://[::1"),
        ("https://i", ["a"], "keys.json", ["none"]),
        ("https://i", ["a"], "keys.json", ["HS256"]),
        ("https://i", [], "keys.json"),
        ("", ["a"], "keys.json"),
        ("https://i", ["a"], ""),
    ],
    ids=str,
)
def test_settings_that_let_others_in_are_refused(about: tuple[Any, ...]) -> None:
    with pytest.raises(CallError):
        Issuer.parse(*about)
