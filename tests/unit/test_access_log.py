"""Which keys count: the pure rules."""

from __future__ import annotations

from typing import Any

import pytest

from refold.core.access_events import KeyCreated, KeyRevoked, KeyRotated, SessionClosed, SessionOpened
from refold.core.access_log import AccessLog, session_of
from refold.core.canonical import Payload
from refold.core.errors import IntegrityError
from refold.core.hashing import sha256_hex


def created(key_id: str = "k", secret: str = "one", **changes: Any) -> KeyCreated:
    told: dict[str, Any] = {
        "at": 10,
        "key_id": key_id,
        "name": "ci",
        "tenant": "acme",
        "scopes": Payload.of(["run", "read"]),
        "expires_at": None,
        "secret_sha256": sha256_hex(secret.encode()),
        "by": "ada",
    }
    return KeyCreated(**{**told, **changes})


def rotated(secret: str, at: int = 20, until: int = 30) -> KeyRotated:
    return KeyRotated(at, "k", sha256_hex(secret.encode()), until, "ada")


def test_a_key_is_opened_by_its_secret_alone() -> None:
    log = AccessLog([created(), created("other", "two", name="cd")])
    assert log.opened_by("k", "one", 11) is log.keys["k"]
    for key_id, secret in [("k", "two"), ("other", "one"), ("nobody", "one"), ("k", ""), ("", ""), ("k", "0" * 64)]:
        assert log.opened_by(key_id, secret, 11) is None


def test_a_key_counts_until_it_expires() -> None:
    log = AccessLog([created(expires_at=50)])
    assert log.opened_by("k", "one", 49) and not log.opened_by("k", "one", 50)
    assert [log.keys["k"].status(now) for now in (49, 50)] == ["active", "expired"]


def test_a_secret_that_was_replaced_counts_until_the_overlap_ends_and_one_before_it_not_at_all() -> None:
    log = AccessLog([created(), rotated("two")])
    assert [bool(log.opened_by("k", secret, 29)) for secret in ("one", "two")] == [True, True]
    assert [bool(log.opened_by("k", secret, 30)) for secret in ("one", "two")] == [False, True]
    log.take(rotated("three", 25, 40))
    assert [bool(log.opened_by("k", secret, 26)) for secret in ("one", "two", "three")] == [False, True, True]


def test_a_revoked_key_counts_no_more_with_any_secret_and_nothing_follows() -> None:
    log = AccessLog([created(), rotated("two"), KeyRevoked(25, "k", "lost", "bob")])
    assert not log.opened_by("k", "one", 26) and not log.opened_by("k", "two", 26)
    for event in (rotated("three"), KeyRevoked(26, "k", "", ""), created()):
        with pytest.raises(IntegrityError):
            log.take(event)
    assert log.version == 3


def test_what_is_told_of_a_key_holds_nothing_of_its_secret() -> None:
    log = AccessLog([created(), rotated("two")])
    told = str(log.keys["k"].to_json(21))
    assert not any(sha256_hex(secret)[:8] in told for secret in (b"one", b"two"))


def test_a_session_goes_on_until_it_is_closed_or_its_time_is_up() -> None:
    opened = SessionOpened(10, "s", "k", "ci", None, Payload.of(["read"]), 50, sha256_hex(b"secret"))
    session, closed = session_of("s", [opened]), session_of("s", [opened, SessionClosed(20, "s", "ci")])
    assert session is not None and closed is not None
    assert session.opened_by("secret", 49) and not session.opened_by("secret", 50)
    assert not session.opened_by("other", 11) and not closed.opened_by("secret", 21)
    assert session_of("s", []) is None
    for events in ([opened, opened], [SessionClosed(1, "s", "")]):
        with pytest.raises(IntegrityError):
            session_of("s", events)
    with pytest.raises(IntegrityError):
        session_of("t", [opened])
