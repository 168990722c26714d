"""This host: the port of the server, and how many files a process may have open."""

from __future__ import annotations

import json
import resource
import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from ...core.checks import Check
from .patient import Patient

OPEN_FILES = 1024
"""A server takes on 1,000 connections, each of them a file."""

_ANSWER_SECONDS = 1.0
_MOST_BYTES = 10_000


def port(patient: Patient) -> Check:
    """`port`: that of the server is free, or a server of ours answers there. Port 0 is any free one."""
    if not patient.port:
        return Check("port", "ok", detail="any free one")
    where = f"{patient.host}:{patient.port}"
    why = _taken(patient.host, patient.port)
    if not why:
        return Check("port", "ok", detail=f"{where} is free")
    build = _health(patient.host, patient.port, tls=False) or _health(patient.host, patient.port, tls=True)
    if build:
        return Check("port", "ok", detail=f"{build} answers at {where}")
    detail = f"{where} cannot be had ({why}), and no server of Refold answers there"
    return Check("port", "failed", detail=detail, fix=patient.command(f"serve --port {_free(patient.host)}"))


def _taken(host: str, number: int) -> str:
    """Why a server could not listen there, "" if it could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _free(host: str) -> int:
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as bound:
        bound.bind((host, 0))
        return bound.getsockname()[1]


def _health(host: str, number: int, *, tls: bool) -> str:
    """What the server there says that it is, "" if it is none of ours."""
    if tls:
        import ssl

        # It is asked nothing but who it is, and told nothing.
        context = ssl._create_unverified_context()  # pyright: ignore[reportPrivateUsage]
        connection = HTTPSConnection(host, number, timeout=_ANSWER_SECONDS, context=context)
    else:
        connection = HTTPConnection(host, number, timeout=_ANSWER_SECONDS)
    with closing(connection):
        try:
            connection.request("GET", "/health")
            said = json.loads(connection.getresponse().read(_MOST_BYTES))
        except (OSError, HTTPException, ValueError):
            return ""
    build = said.get("build") if isinstance(said, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return build[:60] if isinstance(build, str) and build.startswith("refold") else ""


def open_files(_patient: Patient) -> Check:
    """`open-files`: a process may have as many files open as a server needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        return Check("open-files", "ok", soft, OPEN_FILES, "files")
    enough = hard == resource.RLIM_INFINITY or hard >= OPEN_FILES
    fix = f"ulimit -n {4 * OPEN_FILES if hard >= 4 * OPEN_FILES or hard < 0 else OPEN_FILES}"
    beyond = "" if enough else f"; no more than {hard} are allowed: raise that first (LimitNOFILE=, limits.conf)"
    return Check("open-files", "failed", soft, OPEN_FILES, "files", f"ulimit -n is {soft}{beyond}", fix)
