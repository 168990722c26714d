"""`refold webhooks`: subscribing, trying, looking at what was sent and sending it again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refold import open_store
from refold.eventstore.outbox import Lookup
from refold.tests.cli.driver import Refold, start
from refold.tests.cli.test_shadow import until
from refold.tests.support.authority import Authority
from refold.tests.support.sink import Answer, Sink, sink


@pytest.fixture(autouse=True)
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_WEBHOOK_KEYS", str(folder / "keys.json"))


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_WEBHOOK_ALLOW", "127.0.0.1")
    monkeypatch.setenv("REFOLD_WEBHOOK_HTTP", "1")


@pytest.fixture
def receiver(allowed: None) -> Iterator[Sink]:
    with sink() as made:
        yield made


def added(refold: Refold, receiver: Sink, *words: str) -> dict[str, Any]:
    done = refold("webhooks", "add", receiver.url(), "--on", "run.*", *words, "--json")
    assert done.code == 0, done.err
    return done.lines[0]


def delivered(refold: Refold, count: int) -> None:
    """Run a deliverer until so many messages were delivered."""
    with start("webhooks", "deliver") as process:
        until(lambda: len([*_statuses("delivered")]) == count, "deliveries")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0 and f"is drained: {count} messages" in err, err


def _statuses(status: str) -> list[str]:
    store = open_store()
    try:
        return [each.message_id for each in store.outbox.deliveries(Lookup("default"), 100) if each.status == status]
    finally:
        store.close()


def test_an_endpoint_is_told_of_runs_and_its_secret_is_shown_once(refold: Refold, receiver: Sink, folder: Path) -> None:
    made = added(refold, receiver, "--description", "the pager", "--by", "ada")
    assert made["secret"].startswith("whsec_") and made["by"] == "ada"
    assert os.stat(folder / "keys.json").st_mode & 0o777 == 0o600
    assert refold("run", "hello.json", "--run-id", "a", "--json").code == 0
    delivered(refold, 2)
    assert [each.json["type"] for each in receiver.taken] == ["run.started", "run.completed"]
    assert all(each.is_signed_with(made["secret"]) for each in receiver.taken)
    shown = refold("webhooks", "show", made["endpoint_id"], "--json")
    assert "secret" not in shown.lines[0] and shown.lines[0]["delivered"] == 2
    listed = refold("webhooks", "list", "--json").lines
    assert [each["endpoint_id"] for each in listed] == [made["endpoint_id"]]
    assert made["secret"] not in refold("events", "a", "--json").out + shown.out + json.dumps(listed)
    sent = refold("webhooks", "deliveries", "--json").lines
    assert [(each["topic"], each["status"], each["attempts"]) for each in sent] == [
        ("run.completed", "delivered", 1), ("run.started", "delivered", 1),
    ]  # fmt: skip
    assert refold("webhooks", "deliveries", "--failed").err == "no messages\n"
    assert made["endpoint_id"] in refold("webhooks", "list").out
    assert refold("verify", "--all").code == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/",
        "https://localhost/",
        "http://example.com/",
        "https://u:p@example.com/",
        "https://0x7f.1/",
    ],
)
def test_an_address_inside_is_refused_with_6_and_nothing_is_kept(refold: Refold, folder: Path, url: str) -> None:
    done = refold("webhooks", "add", url, "--on", "run.*", "--json")
    assert (done.code, done.lines[0]["error"]["code"]) == (6, "WEBHOOK_ADDRESS_REFUSED")
    assert "u:p" not in done.out + done.err
    assert not (folder / "keys.json").exists()


def test_what_is_allowed_by_options_is_taken(refold: Refold) -> None:
    words = ("--allow", "10.0.0.0/8", "--allow-http", "--on", "run.failed", "--json")
    assert refold("webhooks", "add", "http://10.1.2.3/hook", *words).code == 0
    assert refold("webhooks", "add", "http://192.168.0.1/hook", *words).code == 6
    done = refold("webhooks", "add", "http://10.1.2.3/hook", "--allow", "10.0.0.0/99", "--on", "run.*")
    assert done.code == 2 and "neither a network" in done.err


def test_a_wrong_pattern_or_no_key_file_is_told(
    refold: Refold, receiver: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = refold("webhooks", "add", receiver.url(), "--on", "run.fialed")
    assert done.code == 2 and "did you mean 'run.failed'" in done.err
    assert refold("webhooks", "add", receiver.url()).code == 2
    assert json.loads(Path("keys.json").read_text()) == {"keys": {}}, "a key whose endpoint was refused is not kept"
    monkeypatch.delenv("REFOLD_WEBHOOK_KEYS")
    for words in (("add", receiver.url(), "--on", "run.*"), ("deliver",)):
        done = refold("webhooks", *words)
        assert done.code == 2 and "REFOLD_WEBHOOK_KEYS" in done.err


def test_a_key_file_that_others_may_read_is_refused(refold: Refold, receiver: Sink, folder: Path) -> None:
    added(refold, receiver)
    (folder / "keys.json").chmod(0o640)
    for words in (("deliver",), ("add", receiver.url(), "--on", "run.*")):
        done = refold("webhooks", *words)
        assert done.code == 2 and "mode 0640" in done.err and "whsec" not in done.err


def test_a_ping_tells_what_came_of_it(refold: Refold, receiver: Sink) -> None:
    made = added(refold, receiver)
    done = refold("webhooks", "test", made["endpoint_id"], "--json")
    assert (done.code, done.lines[0]["taken"], done.lines[0]["code"]) == (0, True, 204)
    assert receiver.taken[0].json["type"] == "webhook.ping" and receiver.taken[0].is_signed_with(made["secret"])
    receiver.answer(Answer(500, body=b"no room"))
    done = refold("webhooks", "test", made["endpoint_id"])
    assert done.code == 1 and "[WEBHOOK_NOT_TAKEN] HTTP 500: no room" in done.out
    done = refold("webhooks", "test", "ep_none")
    assert done.code == 2 and "no endpoint 'ep_none'" in done.err


def test_a_ping_inside_is_refused(refold: Refold, receiver: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    made = added(refold, receiver)
    monkeypatch.delenv("REFOLD_WEBHOOK_ALLOW")
    done = refold("webhooks", "test", made["endpoint_id"], "--json")
    assert (done.code, done.lines[0]["failure"]) == (6, "WEBHOOK_ADDRESS_REFUSED")
    assert receiver.taken == []


def test_a_rotated_secret_is_shown_and_signs_beside_the_old_one(refold: Refold, receiver: Sink, folder: Path) -> None:
    made = added(refold, receiver)
    rotated = refold("webhooks", "rotate", made["endpoint_id"], "--overlap", "1h", "--json").lines[0]
    assert rotated["replaced"] == made["key_id"] and rotated["secret"] != made["secret"]
    refold("webhooks", "test", made["endpoint_id"])
    assert all(receiver.taken[0].is_signed_with(each["secret"]) for each in (made, rotated))
    again = refold("webhooks", "rotate", made["endpoint_id"], "--overlap", "0s", "--json").lines[0]
    assert set(json.loads((folder / "keys.json").read_text())["keys"]) == {again["key_id"], rotated["key_id"]}
    refold("webhooks", "test", made["endpoint_id"])
    assert [receiver.taken[1].is_signed_with(each["secret"]) for each in (made, rotated, again)] == [False, False, True]


def test_what_is_dead_is_listed_and_sent_again(refold: Refold, receiver: Sink) -> None:
    made = added(refold, receiver)
    receiver.answer(410)
    assert refold("run", "hello.json", "--run-id", "a", "--json").code == 0
    with start("webhooks", "deliver") as process:
        until(lambda: len(_statuses("dead")) == 2, "dead letters")
        process.send_signal(signal.SIGTERM)
    assert len(receiver.taken) == 1
    dead = refold("webhooks", "dead", "--json").lines
    assert [each["code"] for each in dead] == [None, 410]
    assert "disabled" in refold("webhooks", "list").out
    assert refold("webhooks", "enable", made["endpoint_id"]).code == 0
    receiver.answer(204)
    assert refold("webhooks", "replay", dead[1]["message_id"], "--json").lines == [{"replayed": 1}]
    assert refold("webhooks", "replay", "--all", "--json").lines == [{"replayed": 1}]
    delivered(refold, 2)
    assert [each.id for each in receiver.taken] == [dead[1]["message_id"], dead[1]["message_id"], dead[0]["message_id"]]
    assert refold("webhooks", "replay", "msg_none").code == 2
    assert refold("webhooks", "replay").code == 2


def test_an_endpoint_is_changed_disabled_and_removed_with_its_secrets(refold: Refold, receiver: Sink) -> None:
    endpoint = added(refold, receiver)["endpoint_id"]
    changed = refold("webhooks", "change", endpoint, "--on", "step.failed", "--description", "new", "--json").lines[0]
    assert (changed["patterns"], changed["description"], changed["url"]) == (["step.failed"], "new", receiver.url())
    assert refold("webhooks", "change", endpoint, "--url", "https://10.0.0.1/").code == 6
    disabled = refold("webhooks", "disable", endpoint, "--reason", "holidays", "--json").lines[0]
    assert (disabled["enabled"], disabled["why"]) == (False, "holidays")
    assert refold("webhooks", "remove", endpoint).code == 0
    assert json.loads(Path("keys.json").read_text()) == {"keys": {}}
    assert refold("webhooks", "list").err == "no webhooks\n"
    assert refold("webhooks", "remove", endpoint).code == 2


def test_a_private_authority_is_trusted_where_it_is_named(
    refold: Refold, folder: Path, allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(folder)
    with sink(authority.certificate("127.0.0.1")) as receiver:
        endpoint = added(refold, receiver)["endpoint_id"]
        done = refold("webhooks", "test", endpoint)
        assert done.code == 1 and "SSLCertVerificationError" in done.out
        monkeypatch.setenv("REFOLD_WEBHOOK_CA", str(authority.file))
        assert refold("webhooks", "test", endpoint).code == 0
        monkeypatch.setenv("REFOLD_WEBHOOK_CA", "none.pem")
        assert refold("webhooks", "test", endpoint).code == 2


def test_an_imported_log_is_history_of_which_nobody_is_told(refold: Refold, receiver: Sink) -> None:
    added(refold, receiver)
    assert refold("run", "hello.json", "--run-id", "a", "--json").code == 0
    assert refold("store", "export", "log.ndjson").code == 0
    other = ("--database", "sqlite:///other.db")
    assert refold("store", "import", "log.ndjson", *other).code == 0
    assert refold("run", "hello.json", "--run-id", "b", "--json", *other).code == 0
    with start("webhooks", "deliver", *other) as process:
        until(lambda: len(receiver.taken) == 2, "messages")
        process.send_signal(signal.SIGTERM)
    assert [each.json["data"]["run_id"] for each in receiver.taken] == ["b", "b"]


def test_dev_delivers_where_a_key_file_is_named(refold: Refold, receiver: Sink) -> None:
    added(refold, receiver)
    with start("dev", "--port", "0", "--json") as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        assert refold("run", "hello.json", "--run-id", "a", "--json").code == 0
        until(lambda: len(receiver.taken) == 2, "messages")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
