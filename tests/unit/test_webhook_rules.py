"""Signatures by an independent library, patterns, and what may follow in a control stream of webhooks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from refold.core.canonical import Payload
from refold.core.errors import CallError, IntegrityError
from refold.core.events import EVENTS
from refold.core.webhook_events import (
    WebhookDisabled,
    WebhookEnabled,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookSubscribed,
)
from refold.core.webhook_log import Endpoint, WebhookLog
from refold.core.webhook_patterns import check_patterns, is_offered, matches
from refold.core.webhook_signing import message_id, parse_secret, secret_text, signature, signed_headers


@given(st.binary(min_size=24, max_size=64), st.recursive(st.integers() | st.text(), st.lists))
def test_what_we_sign_the_standards_own_library_verifies(secret: bytes, value: object) -> None:
    body = Payload.of({"type": "x", "data": str(value)}).data
    other = b"o" * 32
    headers = signed_headers([other, secret], "msg_1", int(time.time()), body)
    assert Webhook(secret_text(secret)).verify(body, headers) == {"type": "x", "data": str(value)}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(b"n" * 32)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(secret)).verify(body + b" ", headers)


def test_the_signature_is_that_of_the_standards_example() -> None:
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "A" * 100])
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(CallError) as error:
        parse_secret(text)
    assert not text.removeprefix("whsec_") or text not in str(error.value)


def test_a_message_has_one_id_for_each_endpoint_and_event() -> None:
    assert message_id("ep_1", 7) == message_id("ep_1", 7)
    assert len({message_id(endpoint, position) for endpoint in ("ep_1", "ep_11") for position in (1, 11, 7)}) == 6


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("run.*", "run.completed", True),
        ("run.completed", "run.completed", True),
        ("run.completed", "run.failed", False),
        ("approval.*", "approval.granted", True),
        ("approval.*", "approvals.granted", False),
        ("step.failed", "step.failed", True),
        ("run.*", "step.failed", False),
    ],
)
def test_a_pattern_means_a_topic_or_a_family(pattern: str, topic: str, fits: bool) -> None:
    assert matches([pattern], topic) is fits


def test_steps_that_go_well_are_not_offered_and_ends_of_runs_are() -> None:
    offered = {topic for topic in EVENTS if is_offered(topic)}
    assert {"run.started", "run.completed", "run.failed", "run.parked", "step.failed"} <= offered
    assert not {"step.completed", "message.sent", "spec.registered", "webhook.subscribed"} & offered


@pytest.mark.parametrize(
    ("patterns", "why"),
    [
        ([], "0 patterns"),
        (["*"], "no pattern"),
        (["step.*"], "no pattern"),
        (["step.completed"], "no pattern"),
        (["run"], "no pattern"),
        (["run.**"], "no pattern"),
        (["run.compleeted"], "did you mean 'run.completed'"),
        (["run.*"] * 21, "21 patterns"),
    ],
)
def test_a_pattern_that_would_never_fit_is_refused(patterns: list[str], why: str) -> None:
    with pytest.raises(CallError, match=why.replace("*", r"\*")):
        check_patterns(patterns)


def test_patterns_are_kept_once_and_sorted() -> None:
    assert check_patterns(["step.failed", "run.*", "run.*"]) == ("run.*", "step.failed")


def subscribed(endpoint_id: str = "ep_1", tenant: str = "t", patterns: object = ("run.*",)) -> WebhookSubscribed:
    told = Payload.of(list(patterns) if isinstance(patterns, tuple) else patterns)
    return WebhookSubscribed(1, tenant, endpoint_id, "https://example.com/", told, "", "k1", "ada")


def test_a_rotated_secret_signs_beside_the_new_one_until_it_is_retired() -> None:
    log = WebhookLog("t", [subscribed(), WebhookSecretRotated(2, "t", "ep_1", "k2", "k1", 100, "ada")])
    endpoint = log.endpoints["ep_1"]
    assert (endpoint.key_ids(99), endpoint.key_ids(100)) == (("k2", "k1"), ("k2",))
    log.take(WebhookSecretRotated(3, "t", "ep_1", "k3", "k2", 200, "ada"))
    assert log.endpoints["ep_1"].key_ids(50) == ("k3", "k2"), "two secrets at most"
    assert Endpoint.of_json(endpoint.to_json()) == endpoint


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (subscribed(), "there was an endpoint"),
        (subscribed("ep_2", "u"), "another tenant"),
        (subscribed("ep_2", patterns={"a": 1}), "no list of texts"),
        (WebhookRemoved(2, "t", "ep_2", ""), "no endpoint 'ep_2'"),
        (WebhookEnabled(2, "t", "ep_1", ""), "is so already"),
        (WebhookSecretRotated(2, "t", "ep_1", "k1", "k1", 9, ""), "cannot replace"),
        (WebhookSecretRotated(2, "t", "ep_1", "k3", "k2", 9, ""), "cannot replace"),
    ],
)
def test_what_cannot_follow_breaks_the_fold(event: object, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        WebhookLog("t", [subscribed()]).take(event)  # pyright: ignore[reportArgumentType]


def test_a_removed_endpoint_does_not_come_back_under_its_id() -> None:
    log = WebhookLog(
        "t", [subscribed(), WebhookDisabled(2, "t", "ep_1", "why", ""), WebhookRemoved(3, "t", "ep_1", "")]
    )
    assert log.endpoints == {}
    with pytest.raises(IntegrityError, match="there was"):
        log.take(subscribed())
