"""The options of `refold serve` that say what it takes on, and how it is reached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...core.errors import CallError, Problem

if TYPE_CHECKING:
    from ..serve import Serving

Certificate = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Speak TLS with this chain of certificates (PEM).")
]
"""The file of the certificate with those between it and the root."""

CertificateKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's key (PEM).")]
"""The file of the key."""

Forwarded = Annotated[
    list[str] | None,
    typer.Option("--forwarded-allow", metavar="NETWORK", help="Proxies whose X-Forwarded-For counts; repeatable."),
]
"""Addresses or networks of proxies."""

Drain = Annotated[
    float, typer.Option(min=0, max=600, metavar="SECONDS", help="Answer so long after /ready says no more.")
]
"""Between the signal to stop and the end of accepting."""

AccessLog = Annotated[bool, typer.Option("--access-log", help="Tell each request on stderr, without its query.")]
"""Whether requests are logged."""

RatePerSecond = Annotated[
    float, typer.Option("--rate", min=0, max=1_000_000, metavar="N", help="Requests a second of one caller; 0: any.")
]
"""The rate."""

AtOnce = Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Requests under way; others wait in line.")]
"""The places."""

Connections = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Connections that are open.")]
"""Connections."""

MaxLag = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Not ready with projections so far behind; 0: in any case.")
]
"""Of projections, for /ready."""

MinFree = Annotated[int, typer.Option(min=0, metavar="MIB", help="Not ready with less free on the disks.")]
"""Of the disks, for /ready."""


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Raises CallError unless both are given and fit, or neither is."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise CallError(Problem("", "--tls-cert and --tls-key go together", "give both, or neither"))
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = f"{certificate} and {key} are no certificate with its key: {error.strerror or 'they do not fit'}"
        raise CallError(
            Problem("", reason, "give files in PEM that belong together, the key without a password")
        ) from None


def check_forwarded(networks: Sequence[str]) -> tuple[str, ...]:
    """The networks as they are. Raises CallError for what is none."""
    import ipaddress

    for each in networks:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError:
            reason = f"--forwarded-allow {each[:60]!a} is no address and no network"
            raise CallError(Problem("", reason, "give those of the proxies, like 10.0.0.0/8")) from None
    return tuple(networks)


def folders_of(url: str, goldens: Path) -> dict[str, Path]:
    """The folders of this machine in which the store at `url` and goldens lie."""
    from urllib.parse import unquote

    scheme, _, rest = url.partition(":")
    own = {"store": Path(unquote(rest[3:])).parent} if scheme == "sqlite" else {}
    return {**own, "goldens": goldens}


def serving_of(
    url: str,
    goldens: Path,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    forwarded: Sequence[str] = (),
    drain: float = 0.0,
    access_log: bool = False,
    rate: float | None = None,
    at_once: int | None = None,
    connections: int | None = None,
    max_lag: float | None = None,
    min_free: int | None = None,
) -> Serving:
    """How to serve. What is left out stays as it is by default."""
    from ...api.admission import PlaceLimits
    from ...api.app import ApiLimits
    from ...api.rates import Rate
    from ...api.readiness import ReadyLimits
    from ..http_connection import ConnectionLimits
    from ..serve import Serving

    places, ready = PlaceLimits(), ReadyLimits(folders=folders_of(url, goldens))
    api = ApiLimits(
        places=places if at_once is None else PlaceLimits(places=at_once, line=4 * at_once),
        rate=Rate() if rate is None else Rate(rate, max(1, round(2 * rate))),
        ready=ReadyLimits(
            lag_seconds=ready.lag_seconds if max_lag is None else max_lag,
            free_bytes=ready.free_bytes if min_free is None else min_free * 1024 * 1024,
            folders=ready.folders,
        ),
    )
    return Serving(
        api=api,
        connections=ConnectionLimits() if connections is None else ConnectionLimits(connections=connections),
        drain_seconds=drain,
        certificate=certificate,
        key=key,
        forwarded=tuple(forwarded),
        access_log=access_log,
    )
