"""Where the HTTP server may listen: on this machine's own interface, and elsewhere only where it asks for keys."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from ..core.errors import CallError, Problem


def _never() -> bool:
    return False


def loopback_socket(host: str, port: int, keyed: Callable[[], bool] = _never) -> socket.socket:
    """A socket bound to `host`, which must be this machine's loopback interface unless the server asks for keys, which
    `keyed` finds out; port 0 is any free one.

    Raises CallError for another host without keys, and when the port cannot be had.
    """
    fix = "use 127.0.0.1, ::1 or localhost, or make a key first: refold keys create NAME --scope admin --all-tenants"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE) if host else []
    except (OSError, UnicodeError):
        raise CallError(Problem("", f"the host {host[:60]!a} is not known", fix)) from None
    here = bool(found) and all(is_loopback(str(address[0])) for *_, address in found)
    if not here and (not found or not keyed()):
        reason = f"{host[:60]!a} is not a loopback host, and without API keys whoever reaches it may do everything"
        raise CallError(Problem("", reason, fix))
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        reason = f"port {port} of {host} cannot be had: {error.strerror or error}"
        raise CallError(Problem("", reason, "choose another one; 0 is any free one")) from None
    return bound


def is_loopback(address: str) -> bool:
    """Whether an IP address is of this machine's loopback interface."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def url_of(bound: socket.socket, *, tls: bool = False) -> str:
    """The URL under which a server on the socket is reached."""
    scheme = "https" if tls else "http"
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
