"""One attempt: what is connected to is what was checked, whatever names resolve to, and whatever receivers do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from refold.core.addresses import Allowed
from refold.core.errors import AddressRefusedError
from refold.core.webhook_signing import secret_text
from refold.ops.webhooks.post import MAX_ANSWER_BYTES, WHOLE_SECONDS, Message, Poster, Resolve, Sent, resolve
from refold.tests.support.authority import Authority
from refold.tests.support.sink import Answer, Sink, sink

NOW = 1_795_000_000_000_000
MESSAGE = Message("msg_1", b'{"a":1}', [b"s" * 32])
HERE = Allowed.parse(["127.0.0.0/8"], http=True)
SECRET = secret_text(b"s" * 32)


class Resolver:
    """Answers with one list of addresses after another, the last for ever, and counts how often it was asked."""

    def __init__(self, *answers: Sequence[str]):
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def sent(
    url: str, allowed: Allowed = HERE, resolver: Resolve = resolve, whole_seconds: float = WHOLE_SECONDS
) -> Sent:
    return await Poster(allowed, resolver=resolver, whole_seconds=whole_seconds).send(url, MESSAGE, NOW)


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


async def test_a_message_arrives_signed_as_it_was_written(receiver: Sink) -> None:
    assert await sent(receiver.url("/hook?token=x")) == Sent(204)
    (taken,) = receiver.taken
    assert (taken.path, taken.body, taken.id) == ("/hook?token=x", MESSAGE.body, "msg_1")
    assert taken.headers["webhook-timestamp"] == "1795000000"
    assert taken.is_signed_with(SECRET) and not taken.is_signed_with(secret_text(b"o" * 32))
    assert (taken.headers["content-type"], taken.headers["user-agent"]) == ("application/json", "refold-webhooks")


async def test_the_host_is_named_although_the_address_is_connected_to(receiver: Sink) -> None:
    resolver = Resolver(["127.0.0.1"])
    assert (await sent(receiver.url(host="hooks.example.com"), resolver=resolver)).taken
    assert receiver.taken[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert resolver.asked == [("hooks.example.com", receiver.port)]


async def test_a_name_that_resolves_anew_is_not_asked_again(receiver: Sink) -> None:
    """DNS rebinding: the first answer passes the check, the second would lead inside."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    allowed = Allowed.parse(["127.0.0.1/32"], http=True)
    assert (await sent(receiver.url(host="rebound.example.com"), allowed, resolver)).taken
    assert len(resolver.asked) == 1, "resolved once for the check and the connection"
    refused = await sent(receiver.url(host="rebound.example.com"), allowed, resolver)
    assert refused.failure == "WEBHOOK_ADDRESS_REFUSED" and "127.0.0.2, which is loopback" in refused.error
    assert len(receiver.taken) == 1


async def test_a_public_answer_first_and_loopback_second_never_reaches_loopback(receiver: Sink) -> None:
    resolver = Resolver(["192.0.2.1"], ["127.0.0.1"])  # unreachable, and allowed here in the place of a public one
    allowed = Allowed.parse(["192.0.2.0/24"], http=True)
    first = await sent(receiver.url(host="rebound.example.com"), allowed, resolver, whole_seconds=0.3)
    assert first.failure in ("WEBHOOK_TIMEOUT", "WEBHOOK_UNREACHABLE")
    assert len(resolver.asked) == 1
    assert (
        await sent(receiver.url(host="rebound.example.com"), allowed, resolver)
    ).failure == "WEBHOOK_ADDRESS_REFUSED"
    assert receiver.taken == []


async def test_one_bad_address_among_good_ones_refuses_all(receiver: Sink) -> None:
    allowed = Allowed.parse(["127.0.0.1/32"], http=True)
    for bad in ("10.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%2"):
        told = await sent(receiver.url(host="mixed.example.com"), allowed, Resolver(["127.0.0.1", bad]))
        assert told.failure == "WEBHOOK_ADDRESS_REFUSED", bad
    assert receiver.taken == []


async def test_where_an_address_takes_no_connection_the_next_one_is_tried(receiver: Sink) -> None:
    resolver = Resolver(["127.0.0.9", "127.0.0.1"])
    assert (await sent(receiver.url(host="two.example.com"), resolver=resolver)).taken
    assert len(receiver.taken) == 1


async def test_what_is_refused_is_not_so_much_as_resolved() -> None:
    resolver = Resolver(["127.0.0.1"])
    for url in ("https://localhost/", "https://user:secret@example.com/", "http://example.com/", "file:///etc/passwd"):
        told = await sent(url, Allowed(), resolver)
        assert (told.code, told.failure) == (None, "WEBHOOK_ADDRESS_REFUSED")
        assert "secret" not in told.error
    assert resolver.asked == []


async def test_a_host_is_checked_beforehand_by_all_its_addresses() -> None:
    await Poster(Allowed(), resolver=Resolver(["1.1.1.1", "2606:4700::1"])).check("https://example.com/")
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1"):
        await Poster(Allowed(), resolver=Resolver(["1.1.1.1", "10.0.0.1"])).check("https://example.com/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(receiver: Sink, status: int) -> None:
    with sink() as inside:
        receiver.answer(Answer(status, {"location": inside.url()}))
        told = await sent(receiver.url())
        assert (told.code, told.failure) == (status, "WEBHOOK_NOT_TAKEN") and "not followed" in told.error
        assert inside.taken == []


async def test_a_failure_tells_the_status_and_the_beginning_of_what_was_said(receiver: Sink) -> None:
    receiver.answer(Answer(500, body=b"no\n\x1b[31mroom  token=abcdef " + b"x" * 100_000))
    told = await sent(receiver.url("/secret-path"))
    assert told.code == 500 and told.failure == "WEBHOOK_NOT_TAKEN"
    assert told.error.startswith("HTTP 500: no [31mroom token=*** xxx") and len(told.error) <= 320
    assert "secret-path" not in told.error


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999", 86_400),
        ("Wed, 18 Nov 2026 11:08:20 GMT", 100),
        ("Wed, 18 Nov 2020 11:08:20 GMT", 0),
        ("soon", 0),
        ("-5", 0),
    ],
)
async def test_retry_after_is_read(receiver: Sink, header: str, seconds: int) -> None:
    receiver.answer(Answer(503, {"retry-after": header}))
    assert (await sent(receiver.url())).retry_after == seconds


async def test_gone_is_told_apart(receiver: Sink) -> None:
    receiver.answer(410)
    told = await sent(receiver.url())
    assert (told.code, told.failure) == (410, "WEBHOOK_GONE")


async def test_a_good_answer_counts_although_its_body_never_ends(receiver: Sink) -> None:
    receiver.answer(Answer(200, drip=True))
    assert (await sent(receiver.url())).taken


async def test_a_bad_answer_that_drips_is_cut_and_counts_by_its_status(receiver: Sink) -> None:
    receiver.answer(Answer(500, drip=True))
    told = await sent(receiver.url(), whole_seconds=0.5)
    assert (told.code, told.failure) == (500, "WEBHOOK_NOT_TAKEN")


@contextmanager
def rude(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that does to every connection what `behave` does; its URL."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not end.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        behave(connection, end)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/token"
        end.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def silent(connection: socket.socket, end: threading.Event) -> None:
    """Take the request and say nothing."""
    end.wait(20)


def dripping_headers(connection: socket.socket, end: threading.Event) -> None:
    """Headers a byte at a time (slow loris)."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-a: ")
    while not end.wait(0.02):
        connection.sendall(b"a")


def babbling(connection: socket.socket, end: threading.Event) -> None:
    """What is no HTTP."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def hanging_up(connection: socket.socket, end: threading.Event) -> None:
    """Close at once."""


def endless_headers(connection: socket.socket, end: threading.Event) -> None:
    """Headers without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not end.is_set():
        connection.sendall(b"x-more: " + b"a" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    ("behave", "failure"),
    [
        (silent, "WEBHOOK_TIMEOUT"),
        (dripping_headers, "WEBHOOK_TIMEOUT"),
        (babbling, "WEBHOOK_UNREACHABLE"),
        (hanging_up, "WEBHOOK_UNREACHABLE"),
        (endless_headers, "WEBHOOK_UNREACHABLE"),
    ],
)
async def test_a_rude_receiver_is_cut_off(
    behave: Callable[[socket.socket, threading.Event], None], failure: str
) -> None:
    with rude(behave) as url:
        told = await sent(url, whole_seconds=1.0)
    assert (told.code, told.failure) == (None, failure)
    assert "token" not in told.error


async def test_no_more_of_an_answer_is_read_than_a_little() -> None:
    read: list[int] = []

    def endless_body(connection: socket.socket, end: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
        while not end.is_set():
            connection.sendall(chunk)
            read.append(len(chunk))

    with rude(endless_body) as url:
        told = await sent(url)
    assert told.code == 400
    # What the two kernels had room for was taken from the receiver, not read by us.
    assert MAX_ANSWER_BYTES == 4096 and sum(read) < 32_000_000


async def test_nobody_there_and_no_such_host_are_unreachable() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert (await sent("http://127.0.0.1:9999/")).failure == "WEBHOOK_UNREACHABLE"
    assert (await sent("http://nowhere.example.com/", resolver=unknown)).failure == "WEBHOOK_UNREACHABLE"
    assert (await sent("http://nowhere.example.com/", resolver=Resolver([]))).failure == "WEBHOOK_UNREACHABLE"


async def test_proxies_of_the_environment_are_not_used(receiver: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    with sink() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert (await sent(receiver.url())).taken
        assert proxy.taken == [] and len(receiver.taken) == 1


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_the_certificate_is_checked_against_the_name_although_the_address_is_pinned(authority: Authority) -> None:
    poster = Poster(HERE, tls=authority.context(), resolver=Resolver(["127.0.0.1"]))
    with sink(authority.certificate("hooks.example.com")) as receiver:
        assert receiver.url().startswith("https:")
        assert await poster.send(receiver.url(host="hooks.example.com"), MESSAGE, NOW) == Sent(204)
        assert receiver.taken[0].headers["host"] == f"hooks.example.com:{receiver.port}"
        for other in ("other.example.com", "127.0.0.1"):
            told = await poster.send(receiver.url(host=other), MESSAGE, NOW)
            assert told.failure == "WEBHOOK_UNREACHABLE" and "certificate is not valid for" in told.error
        assert len(receiver.taken) == 1


async def test_a_certificate_for_an_address_is_good_for_that_address(authority: Authority) -> None:
    poster = Poster(HERE, tls=authority.context())
    with sink(authority.certificate("127.0.0.1")) as receiver:
        assert (await poster.send(receiver.url(), MESSAGE, NOW)).taken


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    with sink(authority.certificate("127.0.0.1")) as receiver:
        told = await sent(receiver.url())
        assert told.failure == "WEBHOOK_UNREACHABLE" and "Cert" in told.error
        assert receiver.taken == []
