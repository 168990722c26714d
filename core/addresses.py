"""Where Refold may send what it was not asked to send at once: URLs read strictly, and addresses that are refused.

Servers that call URLs which others have named are used to reach what only they can reach (OWASP: server-side request
forgery). So a URL is read by one narrow rule instead of a lenient parser, and every address that is not of the public
internet is refused unless it is allowed. The address that was checked must be the one that is connected to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, NoReturn

from .errors import AddressRefusedError, CallError, Problem

Address = IPv4Address | IPv6Address
"""An address of the internet."""

MAX_URL = 2048
"""The longest URL, in characters."""

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<rest>[/?][^#\\]*)?(?P<fragment>#.*)?"
)
_VISIBLE = re.compile(r"[!-~]*")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_QUAD = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_LOCAL_NAMES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "intranet",
    "onion",
    "test",
    "invalid",
)
"""Names of no public host, and what ends so: RFC 6761, 6762, 7686 and 8375, and ICANN's `internal`."""

_IPV4 = [
    (IPv4Network("169.254.169.254/32"), "a cloud's metadata service"),
    (IPv4Network("100.100.100.200/32"), "a cloud's metadata service"),
    (IPv4Network("168.63.129.16/32"), "a cloud's metadata service"),
    (IPv4Network("192.0.0.192/32"), "a cloud's metadata service"),
    (IPv4Network("0.0.0.0/8"), "unspecified"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("10.0.0.0/8"), "private"),
    (IPv4Network("172.16.0.0/12"), "private"),
    (IPv4Network("192.168.0.0/16"), "private"),
    (IPv4Network("100.64.0.0/10"), "shared by a carrier (CGNAT)"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("192.0.0.0/24"), "reserved"),
    (IPv4Network("192.0.2.0/24"), "for documentation"),
    (IPv4Network("192.88.99.0/24"), "reserved"),
    (IPv4Network("198.18.0.0/15"), "for benchmarks"),
    (IPv4Network("198.51.100.0/24"), "for documentation"),
    (IPv4Network("203.0.113.0/24"), "for documentation"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "reserved"),
]
"""IANA's registry of special-purpose addresses (RFC 6890), and what clouds answer their guests under."""

_IPV6 = [
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("fd00:ec2::254/128"), "a cloud's metadata service"),
    (IPv6Network("fc00::/7"), "private"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("fec0::/10"), "private"),
    (IPv6Network("ff00::/8"), "multicast"),
    (IPv6Network("2001::/23"), "reserved"),
    (IPv6Network("2001:db8::/32"), "for documentation"),
    (IPv6Network("3fff::/20"), "for documentation"),
]

_CARRIERS = [
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
]
"""IPv6 networks whose addresses hold one of IPv4, so many bits from the end (RFC 4291, 6052, 3056)."""

_GLOBAL = IPv6Network("2000::/3")

# Fetch standard, "bad port": what listens there is no web server, and may obey a line of a request.
_BAD_PORTS = frozenset(
    map(
        int,
        """0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117
        119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636
        989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6379 6566 6665 6666 6667 6668 6669 6679
        6697 10080 11211""".split(),  # noqa: SIM905 - a list of numbers
    )
)


class Target(NamedTuple):
    """A URL taken apart: `path` is all after the host, `literal` the address if the host is one."""

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None

    @property
    def authority(self) -> str:
        """Host and port as a `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """What a message may show of it: path and query may be secrets."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is allowed besides the public internet: addresses of `networks`, whatever `hosts` resolve to, and `http`."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    http: bool = False

    @classmethod
    def parse(cls, items: Iterable[str], http: bool = False) -> Allowed:
        """`items` are networks (`10.0.0.0/8`), addresses, or names of hosts. Raises CallError."""
        networks: list[IPv4Network | IPv6Network] = []
        hosts: set[str] = set()
        for item in items:
            try:
                networks.append(ip_network(item))
                continue
            except ValueError:
                pass
            host = item.lower().removesuffix(".")
            if not _is_name(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
                reason = f"{ascii(item)[:60]} is neither a network nor the name of a host"
                raise CallError(Problem("", reason, "allow such as 10.0.0.0/8 or hooks.example.com"))
            hosts.add(host)
        return cls(tuple(networks), frozenset(hosts), http)

    def has(self, address: Address) -> bool:
        """Whether the address, or the one of IPv4 that it holds, is in an allowed network."""
        inner = _carried(address)
        return any(each in network for network in self.networks for each in (address, inner) if each is not None)


_PORTS = {"http": 80, "https": 443}


def parse_url(text: str) -> Target:
    """The parts of a URL. Raises AddressRefusedError for one that not every program would read in the same way."""
    found = _URL.fullmatch(text)
    if len(text) > MAX_URL:
        _refuse(f"the URL is longer than {MAX_URL} characters")
    if not _VISIBLE.fullmatch(text):
        _refuse("the URL holds characters other than visible ASCII; write a host as xn--…, the rest as %XX")
    if found is None:
        _refuse("this is no URL such as https://example.com/hook")
    scheme, authority = found["scheme"].lower(), found["authority"]
    if scheme not in _PORTS:
        _refuse(f"the scheme is {scheme[:20]}, wanted https")
    if "@" in authority:
        _refuse("the URL holds a user or a password; receivers tell senders by the signature")
    if found["fragment"] is not None:
        _refuse("the URL holds a fragment (#), which is never sent")
    host, port = _host_and_port(authority, _PORTS[scheme])
    rest = found["rest"] or "/"
    return Target(scheme, host, port, rest if rest.startswith("/") else f"/{rest}", _literal(host))


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    if authority.startswith("["):
        host, closed, after = authority[1:].partition("]")
        if not closed or ":" not in host or "%" in host or (after and not after.startswith(":")):
            _refuse("what stands in brackets is no IPv6 address, or has a zone")
        port = after
    else:
        host, colon, number = authority.partition(":")
        port = colon + number
    if port and not (re.fullmatch(":[1-9][0-9]{0,4}", port) and int(port[1:]) < 65536):
        _refuse("the port is no number from 1 to 65535")
    number = int(port[1:]) if port else default
    if number in _BAD_PORTS:
        _refuse(f"port {number} belongs to another service than HTTP")
    return host.lower().removesuffix("."), number


def _literal(host: str) -> Address | None:
    """The address that the host is; None for a name."""
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            _refuse("what stands in brackets is no IPv6 address")
    if not _is_name(host):
        _refuse("the host is no name: letters, digits and hyphens, joined by dots")
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    # URL standard, "ends in a number": programs read such a host as an address, in one of many ways.
    try:
        return IPv4Address(host if _QUAD.fullmatch(host) else "")
    except ValueError:
        _refuse("the host is a number that may be read as an address in several ways; write four decimal numbers")


def _is_name(host: str) -> bool:
    return len(host) <= 253 and all(map(_LABEL.fullmatch, host.split(".")))


def check_target(target: Target, allowed: Allowed) -> None:
    """Raises AddressRefusedError for what is refused whatever its name resolves to."""
    if target.scheme == "http" and not allowed.http:
        _refuse(f"{target.shown} is not encrypted; use https, or allow http")
    if target.host in allowed.hosts:
        return
    if target.literal is not None:
        check_address(target.literal, target, allowed)
    elif "." not in target.host or any(f".{target.host}".endswith(f".{name}") for name in _LOCAL_NAMES):
        _refuse(f"{target.shown} is a name of a local network")


def check_address(address: Address, target: Target, allowed: Allowed) -> None:
    """Raises AddressRefusedError unless `address`, to which the host of `target` resolves, may be connected to."""
    why = refused(address)
    if why is not None and target.host not in allowed.hosts and not allowed.has(address):
        _refuse(f"{target.shown} leads to {address}, which is {why}")


def refused(address: Address) -> str | None:
    """Why an address is none of the public internet; None if it is."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _IPV4 if address in network), None)
    named = next((why for network, why in _IPV6 if address in network), None)
    if named is not None:
        return named
    inner = _carried(address)
    if inner is not None:
        within = refused(inner)
        return None if within is None else f"{within} ({inner})"
    return None if address in _GLOBAL else "reserved"


def _carried(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    shift = next((shift for network, shift in _CARRIERS if address in network), None)
    return None if shift is None else IPv4Address(int(address) >> shift & 0xFFFFFFFF)


def address_of(text: str) -> Address:
    """The address that a resolver has told. Raises AddressRefusedError for one with a zone, or for none."""
    try:
        address = ip_address(text)
    except ValueError:
        _refuse("the host resolves to what is no address")
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        _refuse("the host resolves to an address of one link alone")
    return address


def _refuse(reason: str) -> NoReturn:
    raise AddressRefusedError(reason)
