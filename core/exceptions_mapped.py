"""The failure codes of exceptions that are none of ours: of Python, and of libraries that skills often use.

Classes are known by their names, from the most specific upwards, so that nothing has to be imported or installed.
Where a library's class says little, what it carries is asked: the status of an HTTP answer, an errno, an SQLSTATE
(https://www.postgresql.org/docs/current/errcodes-appendix.html), an SQLite result code
(https://sqlite.org/rescode.html).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any, cast


def code_of(error: BaseException) -> str | None:
    """The code that an exception stands for; None if nothing is known of it. Whatever it is, this raises nothing."""
    try:
        return _code_of(error, 0)
    except Exception:  # a user's class may fail at anything that it is asked
        return None


def code_of_status(status: int) -> str:
    """The code of an answer of an HTTP server with this status, 400 or above."""
    if status >= 500:
        return "HTTP_SERVER_ERROR"
    return _STATUSES.get(status, "HTTP_CLIENT_ERROR")


_STATUSES = {401: "HTTP_DENIED", 403: "HTTP_DENIED", 407: "HTTP_DENIED", 429: "HTTP_RATE_LIMITED"}

_DEEPEST = 8
"""How far wrapped exceptions are followed; they may go round in a circle."""


def _code_of(error: BaseException, depth: int) -> str | None:
    if depth > _DEEPEST:
        return None
    status = _status(error)
    if status is not None:
        return code_of_status(status)
    for name in _names(error):
        if name in _CLASSES:
            return _refined(error, _CLASSES[name], depth)
        if name == "builtins.OSError":
            return _ERRNOS.get(getattr(error, "errno", None))
        if name == "builtins.BaseExceptionGroup":
            codes = {_code_of(each, depth + 1) for each in cast(Any, error).exceptions}
            return codes.pop() if len(codes) == 1 else None
        if name == "sqlalchemy.exc.DBAPIError" and isinstance(wrapped := getattr(error, "orig", None), BaseException):
            return _code_of(wrapped, depth + 1) or "DATABASE_ERROR"
        module, _, kind = name.rpartition(".")
        if module in _DRIVERS and kind in _DB_API:
            return _of_database(error) or _DB_API[kind]
    return None


def _names(error: BaseException) -> Iterator[str]:
    for kind in type(error).__mro__:
        yield f"{kind.__module__}.{kind.__qualname__}"


def _status(error: BaseException) -> int | None:
    """The status of the HTTP answer that the exception carries, as httpx, requests, urllib, aiohttp and others do."""
    response: Any = getattr(error, "response", None)
    found: list[Any] = [getattr(response, "status_code", None)]
    if any(name in _CARRIERS for name in _names(error)):
        found += [getattr(error, "code", None), getattr(error, "status", None)]
    return next((each for each in found if type(each) is int and 400 <= each <= 599), None)


_CARRIERS = {"urllib.error.HTTPError", "aiohttp.client_exceptions.ClientResponseError"}


def _refined(error: BaseException, code: str, depth: int) -> str:
    """The code of a connection that failed says so when that was because of a certificate: it will fail again."""
    if code != "HTTP_UNREACHABLE":
        return code
    for inner in (getattr(error, "reason", None), error.__cause__, error.__context__):
        if isinstance(inner, BaseException) and _code_of(inner, depth + 1) == "TLS_FAILED":
            return "TLS_FAILED"
    return code


def _of_database(error: BaseException) -> str | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str):
        return _SQLSTATES.get(state) or _SQLSTATES.get(state[:2], "DATABASE_ERROR")
    result = getattr(error, "sqlite_errorcode", None)
    if isinstance(result, int):
        return _SQLITE.get(result & 0xFF, "DATABASE_ERROR")
    return None


_DRIVERS = frozenset(
    {
        "asyncpg.exceptions._base",
        "mysql.connector.errors",
        "psycopg",
        "psycopg2",
        "pymysql.err",
        "sqlite3",
    }
)
"""Modules whose classes are named as PEP 249 has it."""

_DB_API = {
    "OperationalError": "DATABASE_UNREACHABLE",
    "InterfaceError": "DATABASE_UNREACHABLE",
    "IntegrityError": "DATABASE_CONSTRAINT",
    "DataError": "DATABASE_CONSTRAINT",
    "ProgrammingError": "DATABASE_STATEMENT",
    "NotSupportedError": "DATABASE_STATEMENT",
    "DatabaseError": "DATABASE_ERROR",
    "PostgresError": "DATABASE_ERROR",
    "Error": "DATABASE_ERROR",
}
"""By the class, where a database gives no code of its own: an OperationalError is then one of connecting."""

_SQLSTATES = {
    "08": "DATABASE_UNREACHABLE",
    "57P01": "DATABASE_UNREACHABLE",
    "57P02": "DATABASE_UNREACHABLE",
    "57P03": "DATABASE_UNREACHABLE",
    "40": "DATABASE_CONFLICT",
    "55P03": "DATABASE_CONFLICT",
    "57014": "CALL_TIMEOUT",
    "25P03": "CALL_TIMEOUT",
    "22": "DATABASE_CONSTRAINT",
    "23": "DATABASE_CONSTRAINT",
    "28": "DATABASE_DENIED",
    "42501": "DATABASE_DENIED",
    "25006": "DATABASE_DENIED",
    "0A": "DATABASE_STATEMENT",
    "26": "DATABASE_STATEMENT",
    "3D": "DATABASE_STATEMENT",
    "3F": "DATABASE_STATEMENT",
    "42": "DATABASE_STATEMENT",
    "53": "DATABASE_FULL",
}
"""Whole states, else their class: the first two characters."""

_SQLITE = {
    1: "DATABASE_STATEMENT",
    3: "DATABASE_DENIED",
    5: "DATABASE_CONFLICT",
    6: "DATABASE_CONFLICT",
    7: "MEMORY_EXHAUSTED",
    8: "DATABASE_DENIED",
    9: "CALL_TIMEOUT",
    13: "DATABASE_FULL",
    14: "DATABASE_UNREACHABLE",
    17: "DATABASE_CONFLICT",
    18: "DATABASE_CONSTRAINT",
    19: "DATABASE_CONSTRAINT",
    20: "DATABASE_CONSTRAINT",
    23: "DATABASE_DENIED",
}
"""By the primary result code."""

_ERRNOS: dict[object, str] = {
    errno.ENOSPC: "DISK_FULL",
    errno.EDQUOT: "DISK_FULL",
    errno.EFBIG: "DISK_FULL",
    errno.EMFILE: "DESCRIPTORS_EXHAUSTED",
    errno.ENFILE: "DESCRIPTORS_EXHAUSTED",
    errno.ENOMEM: "MEMORY_EXHAUSTED",
    errno.EROFS: "FILE_DENIED",
    errno.EIO: "FILE_ERROR",
    errno.EBUSY: "FILE_ERROR",
    errno.ENAMETOOLONG: "FILE_ERROR",
    errno.ENOTEMPTY: "FILE_ERROR",
    errno.ELOOP: "FILE_ERROR",
    errno.EHOSTUNREACH: "NETWORK_UNREACHABLE",
    errno.EHOSTDOWN: "NETWORK_UNREACHABLE",
    errno.ENETUNREACH: "NETWORK_UNREACHABLE",
    errno.ENETDOWN: "NETWORK_UNREACHABLE",
    errno.EADDRNOTAVAIL: "NETWORK_UNREACHABLE",
    errno.ENETRESET: "NETWORK_INTERRUPTED",
}
"""Of an OSError that Python has no class of its own for."""


def _by_code(**names: str) -> dict[str, str]:
    return {name: code for code, text in names.items() for name in text.split()}


_CLASSES = _by_code(
    SKILL_BUG="""builtins.AttributeError builtins.ImportError builtins.NameError builtins.NotImplementedError
        builtins.RecursionError builtins.SyntaxError builtins.TypeError""",
    SKILL_CANCELLED="asyncio.exceptions.CancelledError concurrent.futures._base.CancelledError",
    CALL_TIMEOUT="""builtins.TimeoutError subprocess.TimeoutExpired httpx.TimeoutException httpx2.TimeoutException
        requests.exceptions.Timeout urllib3.exceptions.TimeoutError aiohttp.client_exceptions.ServerTimeoutError
        redis.exceptions.TimeoutError openai.APITimeoutError anthropic.APITimeoutError""",
    SUBPROCESS_FAILED="subprocess.CalledProcessError",
    MEMORY_EXHAUSTED="builtins.MemoryError",
    DATA_MALFORMED="""builtins.UnicodeError json.decoder.JSONDecodeError pydantic_core._pydantic_core.ValidationError
        requests.exceptions.InvalidJSONError httpx.DecodingError httpx2.DecodingError tomllib.TOMLDecodeError
        xml.etree.ElementTree.ParseError yaml.error.YAMLError jsonschema.exceptions.ValidationError _csv.Error
        binascii.Error zlib.error zipfile.BadZipFile zipfile.BadZipfile gzip.BadGzipFile tarfile.TarError""",
    FILE_MISSING="builtins.FileNotFoundError",
    FILE_DENIED="builtins.PermissionError",
    FILE_ERROR="builtins.FileExistsError builtins.IsADirectoryError builtins.NotADirectoryError",
    NETWORK_UNREACHABLE="builtins.ConnectionRefusedError",
    NETWORK_INTERRUPTED="""builtins.ConnectionError asyncio.exceptions.IncompleteReadError ssl.SSLEOFError
        ssl.SSLZeroReturnError ssl.SSLSyscallError""",
    HOST_UNKNOWN="socket.gaierror socket.herror",
    TLS_FAILED="""ssl.SSLError requests.exceptions.SSLError urllib3.exceptions.SSLError
        aiohttp.client_exceptions.ClientConnectorCertificateError aiohttp.client_exceptions.ClientSSLError""",
    HTTP_UNREACHABLE="""httpx.RequestError httpx2.RequestError requests.exceptions.RequestException
        urllib.error.URLError urllib3.exceptions.HTTPError aiohttp.client_exceptions.ClientError
        http.client.HTTPException http.client.RemoteDisconnected openai.APIConnectionError
        anthropic.APIConnectionError""",
    HTTP_CLIENT_ERROR="""httpx.TooManyRedirects httpx2.TooManyRedirects httpx.InvalidURL httpx2.InvalidURL
        httpx.UnsupportedProtocol httpx2.UnsupportedProtocol requests.exceptions.TooManyRedirects
        requests.exceptions.InvalidURL requests.exceptions.InvalidSchema requests.exceptions.MissingSchema
        aiohttp.client_exceptions.InvalidURL aiohttp.client_exceptions.TooManyRedirects http.client.InvalidURL""",
    DATABASE_UNREACHABLE="redis.exceptions.ConnectionError",
    DATABASE_DENIED="redis.exceptions.AuthenticationError",
    DATABASE_STATEMENT="redis.exceptions.ResponseError",
    DATABASE_FULL="sqlalchemy.exc.TimeoutError",
)
"""The codes of classes, by module and name."""
