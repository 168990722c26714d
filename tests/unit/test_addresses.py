"""URLs that lead where nothing may be sent, in all their spellings: each is refused, and the reason told."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from refold.core.addresses import Allowed, check_address, check_target, parse_url, refused
from refold.core.errors import AddressRefusedError, CallError

NASTY = [
    ("https://127.0.0.1/", "loopback"),
    ("https://127.0.0.1./", "loopback"),
    ("https://127.1.2.3:8443/x", "loopback"),
    ("https://0.0.0.0/", "unspecified"),
    ("https://0.1.2.3/", "unspecified"),
    ("https://10.0.0.1/", "private"),
    ("https://172.16.0.1/", "private"),
    ("https://172.31.255.255/", "private"),
    ("https://192.168.1.1/", "private"),
    ("https://100.64.0.1/", "CGNAT"),
    ("https://100.127.255.254/", "CGNAT"),
    ("https://169.254.1.1/", "link-local"),
    ("https://169.254.169.254/latest/meta-data/", "metadata"),
    ("https://100.100.100.200/latest/", "metadata"),
    ("https://168.63.129.16/machine", "metadata"),
    ("https://192.0.0.192/opc/", "metadata"),
    ("https://192.0.2.7/", "documentation"),
    ("https://198.18.0.1/", "benchmarks"),
    ("https://224.0.0.1/", "multicast"),
    ("https://239.255.255.250/", "multicast"),
    ("https://255.255.255.255/", "reserved"),
    ("https://240.0.0.1/", "reserved"),
    ("https://[::]/", "unspecified"),
    ("https://[::1]/", "loopback"),
    ("https://[0:0:0:0:0:0:0:1]:8443/", "loopback"),
    ("https://[::ffff:127.0.0.1]/", "loopback (127.0.0.1)"),
    ("https://[::ffff:7f00:1]/", "loopback (127.0.0.1)"),
    ("https://[::ffff:169.254.169.254]/", "metadata service (169.254.169.254)"),
    ("https://[::127.0.0.1]/", "loopback (127.0.0.1)"),
    ("https://[64:ff9b::10.0.0.1]/", "private (10.0.0.1)"),
    ("https://[64:ff9b::a9fe:a9fe]/", "metadata service (169.254.169.254)"),
    ("https://[64:ff9b:1::1]/", "reserved"),
    ("https://[2002:7f00:1::]/", "loopback (127.0.0.1)"),
    ("https://[2002:a9fe:a9fe::1]/", "metadata service (169.254.169.254)"),
    ("https://[2001:0:53aa:64c:0:fbff:80ff:fffe]/", "reserved"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://[fc00::1]/", "private"),
    ("https://[fdff::1]/", "private"),
    ("https://[fe80::1]/", "link-local"),
    ("https://[fec0::1]/", "private"),
    ("https://[ff02::1]/", "multicast"),
    ("https://[2001:db8::1]/", "documentation"),
    ("https://[100::1]/", "reserved"),
    ("https://[fe80::1%25eth0]/", "no IPv6 address, or has a zone"),
    ("https://[::1%lo]/", "no IPv6 address, or has a zone"),
    ("https://[1.2.3.4]/", "no IPv6 address"),
    ("https://[::1/", "no IPv6 address"),
    ("https://2130706433/", "several ways"),
    ("https://0x7f.1/", "several ways"),
    ("https://0x7f000001/", "several ways"),
    ("https://0X7F.0.0.1/", "several ways"),
    ("https://0177.0.0.1/", "several ways"),
    ("https://127.1/", "several ways"),
    ("https://127.0.1/", "several ways"),
    ("https://017700000001/", "several ways"),
    ("https://256.0.0.1/", "several ways"),
    ("https://1.2.3.4.5/", "several ways"),
    ("https://127.0.0.0x1/", "several ways"),
    ("https://１２７.0.0.1/", "visible ASCII"),
    ("https://ⓛocalhost/", "visible ASCII"),
    ("https://127。0。0。1/", "visible ASCII"),
    ("https://%31%32%37.0.0.1/", "no name"),
    ("https://localhost/", "local network"),
    ("https://localhost./", "local network"),
    ("https://LocalHost:8443/", "local network"),
    ("https://a.localhost/", "local network"),
    ("https://intranet/", "local network"),
    ("https://printer.local/", "local network"),
    ("https://router.lan/", "local network"),
    ("https://metadata.google.internal/computeMetadata/v1/", "local network"),
    ("https://metadata/", "local network"),
    ("https://user:pass@example.com/", "user or a password"),
    ("https://example.com@127.0.0.1/", "user or a password"),
    ("https://example.com:443@127.0.0.1/", "user or a password"),
    ("https://@example.com/", "user or a password"),
    ("https://127.0.0.1\\@example.com/", "no URL"),
    ("https://example.com\\.evil.test/", "no URL"),
    ("https://example.com /", "visible ASCII"),
    ("https://example.com/\r\nHost: evil", "visible ASCII"),
    ("https://example.com/\t", "visible ASCII"),
    ("https://exa\x00mple.com/", "visible ASCII"),
    ("https://example.com/#@127.0.0.1", "fragment"),
    ("https:///etc/passwd", "no name"),
    ("https://", "no name"),
    ("https:/example.com", "no URL"),
    ("//example.com/", "no URL"),
    ("example.com", "no URL"),
    ("", "no URL"),
    ("http://example.com/", "not encrypted"),
    ("file:///etc/passwd", "the scheme is file"),
    ("gopher://example.com/", "the scheme is gopher"),
    ("ftp://example.com/", "the scheme is ftp"),
    ("dict://example.com:11211/", "the scheme is dict"),
    ("javascript:alert(1)", "no URL"),
    ("https+unix://%2Fvar%2Frun%2Fdocker.sock/", "the scheme is https+unix"),
    ("https://example.com:0/", "port"),
    ("https://example.com:/", "port"),
    ("https://example.com:65536/", "port"),
    ("https://example.com:-1/", "port"),
    ("https://example.com:0443/", "port"),
    ("https://example.com:4 43/", "visible ASCII"),
    ("https://example.com:80a/", "port"),
    ("https://example.com:22/", "another service"),
    ("https://example.com:25/", "another service"),
    ("https://example.com:6379/", "another service"),
    ("https://example..com/", "no name"),
    ("https://-example.com/", "no name"),
    ("https://exa_mple!.com/", "no name"),
    ("https://" + "a" * 64 + ".com/", "no name"),
    ("https://example.com/" + "a" * 2048, "longer than 2048"),
]

GOOD = [
    "https://example.com/hook",
    "https://example.com",
    "https://EXAMPLE.com.:8443/a/b?c=d&e=%20",
    "https://xn--bcher-kva.example/",
    "https://hooks_1.example.com?x=1",
    "https://1.1.1.1/",
    "https://[2606:4700:4700::1111]:8443/hook",
    "https://[::ffff:1.1.1.1]/",
    "https://[64:ff9b::1.1.1.1]/",
    "https://127.0.0.1.example.com/",
]


def checked(url: str, allowed: Allowed | None = None) -> None:
    check_target(parse_url(url), allowed or Allowed())


@pytest.mark.parametrize(("url", "why"), NASTY, ids=[ascii(url)[:50] for url, _ in NASTY])
def test_a_nasty_url_is_refused_with_its_reason(url: str, why: str) -> None:
    with pytest.raises(AddressRefusedError) as error:
        checked(url)
    assert why in str(error.value)
    assert error.value.code == "WEBHOOK_ADDRESS_REFUSED"
    assert "pass" not in str(error.value).replace("password", ""), "what stands in a URL may be secret"


@pytest.mark.parametrize("url", GOOD)
def test_a_url_of_the_public_internet_is_taken(url: str) -> None:
    checked(url)


def test_a_url_is_taken_apart() -> None:
    target = parse_url("https://EXAMPLE.com.:8443/a?token=x")
    assert (target.scheme, target.host, target.port, target.path) == ("https", "example.com", 8443, "/a?token=x")
    assert (target.authority, target.shown) == ("example.com:8443", "https://example.com:8443")
    assert parse_url("https://example.com:443?x").authority == "example.com"
    assert parse_url("https://example.com?x").path == "/?x"
    assert parse_url("http://[2606:4700::1]:80/").authority == "[2606:4700::1]"


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("https://10.1.2.3/", ["10.0.0.0/8"]),
        ("https://127.0.0.1:8443/", ["127.0.0.1"]),
        ("https://[::ffff:127.0.0.1]/", ["127.0.0.0/8"]),
        ("https://[::1]/", ["::1"]),
        ("https://hooks.local/", ["hooks.local"]),
        ("https://LOCALHOST./", ["LocalHost."]),
    ],
)
def test_what_is_allowed_may_be_reached_and_nothing_beside_it(url: str, allow: list[str]) -> None:
    checked(url, Allowed.parse(allow))
    for other in ("https://192.168.0.1/", "https://other.local/", "https://[fd00::1]/"):
        with pytest.raises(AddressRefusedError):
            checked(other, Allowed.parse(allow))


def test_http_is_refused_until_it_is_allowed() -> None:
    checked("http://example.com/", Allowed(http=True))
    with pytest.raises(AddressRefusedError, match="loopback"):
        checked("http://127.0.0.1/", Allowed(http=True))


def test_a_port_of_another_service_is_refused_whatever_is_allowed() -> None:
    with pytest.raises(AddressRefusedError, match="another service"):
        checked("https://127.0.0.1:6379/", Allowed.parse(["127.0.0.1"]))


def test_what_a_name_resolves_to_is_checked_unless_the_name_is_allowed() -> None:
    target = parse_url("https://hooks.example.com/")
    inside = ip_address("10.0.0.1")
    check_address(ip_address("1.1.1.1"), target, Allowed())
    check_address(inside, target, Allowed.parse(["hooks.example.com"]))
    check_address(inside, target, Allowed.parse(["10.0.0.0/24"]))
    with pytest.raises(AddressRefusedError, match=r"hooks\.example\.com leads to 10\.0\.0\.1, which is private"):
        check_address(inside, target, Allowed.parse(["example.com", "10.0.1.0/24"]))


@pytest.mark.parametrize("item", ["10.0.0.0/33", "10.0.0.1/8", "*", "a b", "https://x/", "256.1.1.1", "x/8", ""])
def test_what_is_neither_network_nor_host_cannot_be_allowed(item: str) -> None:
    with pytest.raises(CallError, match="neither a network nor"):
        Allowed.parse([item])


def test_addresses_beside_the_refused_networks_are_not_refused() -> None:
    edges = ["9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1"]
    edges += ["169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "223.255.255.255", "2000::1"]
    assert [(each, refused(ip_address(each))) for each in edges] == [(each, None) for each in edges]
