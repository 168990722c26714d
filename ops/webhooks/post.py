"""One attempt to send a message: the host is resolved once, every address checked, and one of these connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import httpx2

from ...core.addresses import Address, Allowed, Target, address_of, check_address, check_target, parse_url
from ...core.errors import AddressRefusedError, CallError, Problem
from ...core.webhook_signing import signed_headers
from ...projections.texts import message_text

CONNECT_SECONDS = 5.0
"""How long to wait for a connection, and again for its encryption."""

WHOLE_SECONDS = 15.0
"""How long an attempt may take, resolving included."""

MAX_ANSWER_BYTES = 4096
"""So much of an answer is read at most; of one that is good, nothing."""

_MOST_ADDRESSES = 4
_DAY_SECONDS = 86_400

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Tells the addresses of a host, as texts. Raises OSError."""


class Message(NamedTuple):
    """What is sent: a body under an id, signed with each of `secrets`; `trace` is the `traceparent` of the attempt."""

    message_id: str
    body: bytes
    secrets: Sequence[bytes]
    trace: str | None = None


class Sent(NamedTuple):
    """What came of an attempt.

    `code` is the HTTP status, `failure` a code of the failure catalog and `error` what went wrong, both "" if the
    receiver took it. It asked to be left alone for `retry_after` seconds.
    """

    code: int | None = None
    failure: str = ""
    error: str = ""
    retry_after: int = 0

    @property
    def taken(self) -> bool:
        """Whether the receiver took it."""
        return not self.failure


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def tls_context(authorities: Path | None = None) -> ssl.SSLContext:
    """Whom to trust: the usual authorities, or those in a file of PEM certificates. Raises CallError."""
    if authorities is None:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        reason = f"the certificates {authorities} cannot be read: {error.strerror or error}"
        raise CallError(Problem("", reason, "name a file of PEM certificates")) from None


class Poster:
    """Sends messages by POST to URLs that others have named."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: Resolve = resolve,
        whole_seconds: float = WHOLE_SECONDS,
    ):
        """`allowed` is what may be reached besides the public internet."""
        self._allowed = allowed
        self._tls = tls or tls_context()
        self._resolve = resolver
        self._seconds = whole_seconds

    async def check(self, url: str) -> None:
        """Raises AddressRefusedError if nothing may be sent there, as far as that can be told now, and OSError if the
        host is not known."""
        target = parse_url(url)
        check_target(target, self._allowed)
        await self._addresses(target)

    async def send(self, url: str, message: Message, now: int) -> Sent:
        """Make one attempt; `now` is in microseconds since the epoch. Never raises: what went wrong is in the answer,
        with no more of the URL than scheme, host and port."""
        try:
            target = parse_url(url)
            check_target(target, self._allowed)
        except AddressRefusedError as error:
            return Sent(None, error.code, str(error))
        attempt = _Attempt(target, message, now, self._tls)
        try:
            async with asyncio.timeout(self._seconds):
                return await attempt.make(await self._addresses(target))
        except AddressRefusedError as error:
            return Sent(None, error.code, str(error))
        except TimeoutError:
            if attempt.answered is not None:
                return attempt.answered
            return Sent(None, "WEBHOOK_TIMEOUT", f"{target.shown} did not answer within {self._seconds:g} s")
        except Exception as error:
            # A host that is not known, a certificate that is none, an answer that is no HTTP: all the same to us. The
            # library's errors carry the request, and with it the URL.
            return Sent(None, "WEBHOOK_UNREACHABLE", f"{target.shown} could not be reached or broke off: {_why(error)}")

    async def _addresses(self, target: Target) -> list[Address]:
        if target.literal is not None:
            return [target.literal]
        found = [address_of(text) for text in await self._resolve(target.host, target.port)]
        if not found:
            raise OSError("no address")
        for address in found:
            check_address(address, target, self._allowed)
        return found[:_MOST_ADDRESSES]


class _Attempt:
    def __init__(self, target: Target, message: Message, now: int, tls: ssl.SSLContext):
        self._target = target
        self._now = now
        self._tls = tls
        self._body = message.body
        self._headers = {
            "host": target.authority,
            "content-type": "application/json",
            "user-agent": "refold-webhooks",
            # Compressed answers would have to be unpacked before their size is known.
            "accept-encoding": "identity",
            **({} if message.trace is None else {"traceparent": message.trace}),
            **signed_headers(message.secrets, message.message_id, now // 1_000_000, message.body),
        }
        self.answered: Sent | None = None

    async def make(self, addresses: Sequence[Address]) -> Sent:
        """Send to the first of the addresses that takes a connection."""
        for address in addresses[:-1]:
            try:
                return await self._post(address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._post(addresses[-1])

    async def _post(self, address: Address) -> Sent:
        target = self._target
        host = f"[{address}]" if ":" in str(address) else str(address)
        # The certificate is checked against the name of the host, as if it had been connected to by name.
        extensions = {"sni_hostname": target.host}
        limits = httpx2.Timeout(WHOLE_SECONDS, connect=CONNECT_SECONDS)
        async with (
            httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=limits, follow_redirects=False) as client,
            client.stream(
                "POST",
                f"{target.scheme}://{host}:{target.port}{target.path}",
                content=self._body,
                headers=self._headers,
                extensions=extensions,
            ) as response,
        ):
            self.answered = self._judged(response, "")
            if self.answered.taken:
                return self.answered
            return self._judged(response, await _beginning(response))

    def _judged(self, response: httpx2.Response, said: str) -> Sent:
        code = response.status_code
        if 200 <= code < 300:
            return Sent(code)
        failure = "WEBHOOK_GONE" if code == 410 else "WEBHOOK_NOT_TAKEN"
        more = ", and redirects are not followed" if 300 <= code < 400 else f": {said}" if said else ""
        after = _seconds_of(response.headers.get("retry-after", ""), self._now)
        return Sent(code, failure, f"HTTP {code}{more}", after)


def _why(error: BaseException) -> str:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{type(error).__name__}: {error.verify_message}"
    return type(error).__name__


async def _beginning(response: httpx2.Response) -> str:
    received = bytearray()
    async for chunk in response.aiter_raw(MAX_ANSWER_BYTES):
        received += chunk
        if len(received) >= MAX_ANSWER_BYTES:
            break
    text = " ".join(received[:MAX_ANSWER_BYTES].decode("utf-8", "replace").split())
    return message_text("".join(each for each in text if each.isprintable()))


def _seconds_of(header: str, now: int) -> int:
    """What Retry-After says (RFC 9110, 10.2.3), in seconds from `now`, at most a day; 0 for what cannot be read."""
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:10]), _DAY_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now / 1_000_000
    except (ValueError, OverflowError):
        return 0
    return min(max(round(seconds), 0), _DAY_SECONDS)
