"""Which codes exceptions of Python and of libraries stand for."""

from __future__ import annotations

import asyncio
import errno
import http.client
import io
import json
import socket
import ssl
import urllib.error
from email.message import Message
from typing import Any

import httpx2
import psycopg
import pydantic
import pytest

from refold import Failure, Limits, RunNotFoundError, SpecError, StoreUnreachableError
from refold.core.errors import Problem, RefoldError
from refold.core.exceptions_mapped import code_of, code_of_status
from refold.core.failures import FAILURES
from refold.core.runtime.attempt import failure_of


def answered(status: int) -> httpx2.HTTPStatusError:
    """What httpx2 raises for an answer of this status."""
    request = httpx2.Request("GET", "http://localhost/")
    return httpx2.HTTPStatusError("no", request=request, response=httpx2.Response(status, request=request))


def foreign(name: str, *above: type[BaseException], **carried: Any) -> BaseException:
    """An exception of a library that is not installed: `name` with its module."""
    module, _, kind = name.rpartition(".")
    error = type(kind, above or (Exception,), {"__module__": module})("no")
    for key, value in carried.items():
        setattr(error, key, value)
    return error


def caused(error: BaseException, by: BaseException) -> BaseException:
    """`error`, raised because of `by`."""
    error.__cause__ = by
    return error


def invalid() -> BaseException:
    """What pydantic raises."""
    with pytest.raises(pydantic.ValidationError) as raised:
        pydantic.TypeAdapter(int).validate_python("x")
    return raised.value


def of_state(state: str) -> psycopg.Error:
    """What psycopg raises for an SQLSTATE."""
    return psycopg.errors.lookup(state)("no")


REQUESTS = foreign("requests.exceptions.RequestException", OSError)

CASES: list[tuple[BaseException, str | None]] = [
    (TypeError(), "SKILL_BUG"),
    (ModuleNotFoundError(), "SKILL_BUG"),
    (UnboundLocalError(), "SKILL_BUG"),
    (RecursionError(), "SKILL_BUG"),
    (ValueError(), None),
    (KeyError("x"), None),
    (AssertionError(), None),
    (Exception(), None),
    (json.JSONDecodeError("no", "", 0), "DATA_MALFORMED"),
    (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), "DATA_MALFORMED"),
    (invalid(), "DATA_MALFORMED"),
    (TimeoutError(), "CALL_TIMEOUT"),
    (asyncio.CancelledError(), "SKILL_CANCELLED"),
    (MemoryError(), "MEMORY_EXHAUSTED"),
    (ConnectionRefusedError(), "NETWORK_UNREACHABLE"),
    (OSError(errno.EHOSTUNREACH, "no"), "NETWORK_UNREACHABLE"),
    (BrokenPipeError(), "NETWORK_INTERRUPTED"),
    (asyncio.IncompleteReadError(b"", 1), "NETWORK_INTERRUPTED"),
    (socket.gaierror(), "HOST_UNKNOWN"),
    (ssl.SSLCertVerificationError(), "TLS_FAILED"),
    (ssl.SSLEOFError(), "NETWORK_INTERRUPTED"),
    (FileNotFoundError(), "FILE_MISSING"),
    (PermissionError(), "FILE_DENIED"),
    (IsADirectoryError(), "FILE_ERROR"),
    (OSError(errno.EROFS, "no"), "FILE_DENIED"),
    (OSError(errno.ENOSPC, "no"), "DISK_FULL"),
    (OSError(errno.EMFILE, "no"), "DESCRIPTORS_EXHAUSTED"),
    (OSError(errno.ENOTTY, "no"), None),
    (OSError("no number"), None),
    (answered(503), "HTTP_SERVER_ERROR"),
    (answered(429), "HTTP_RATE_LIMITED"),
    (answered(403), "HTTP_DENIED"),
    (answered(404), "HTTP_CLIENT_ERROR"),
    (httpx2.ConnectError("no"), "HTTP_UNREACHABLE"),
    (caused(httpx2.ConnectError("no"), ssl.SSLCertVerificationError()), "TLS_FAILED"),
    (httpx2.ReadTimeout("no"), "CALL_TIMEOUT"),
    (httpx2.InvalidURL("no"), "HTTP_CLIENT_ERROR"),
    (urllib.error.HTTPError("http://x", 500, "no", Message(), io.BytesIO()), "HTTP_SERVER_ERROR"),
    (urllib.error.URLError(ssl.SSLCertVerificationError()), "TLS_FAILED"),
    (urllib.error.URLError("no"), "HTTP_UNREACHABLE"),
    (http.client.RemoteDisconnected(""), "HTTP_UNREACHABLE"),
    (foreign("requests.exceptions.ConnectionError", type(REQUESTS)), "HTTP_UNREACHABLE"),
    (foreign("requests.exceptions.HTTPError", OSError, response=httpx2.Response(401)), "HTTP_DENIED"),
    (foreign("aiohttp.client_exceptions.ClientResponseError", status=502), "HTTP_SERVER_ERROR"),
    (foreign("openai.RateLimitError", response=httpx2.Response(429)), "HTTP_RATE_LIMITED"),
    (foreign("mine.Odd", response="no response"), None),
    (of_state("40P01"), "DATABASE_CONFLICT"),
    (of_state("40001"), "DATABASE_CONFLICT"),
    (of_state("55P03"), "DATABASE_CONFLICT"),
    (of_state("23505"), "DATABASE_CONSTRAINT"),
    (of_state("22003"), "DATABASE_CONSTRAINT"),
    (of_state("42P01"), "DATABASE_STATEMENT"),
    (of_state("42501"), "DATABASE_DENIED"),
    (of_state("28P01"), "DATABASE_DENIED"),
    (of_state("53300"), "DATABASE_FULL"),
    (of_state("57P01"), "DATABASE_UNREACHABLE"),
    (of_state("57014"), "CALL_TIMEOUT"),
    (of_state("XX000"), "DATABASE_ERROR"),
    (psycopg.OperationalError("no connection"), "DATABASE_UNREACHABLE"),
    (psycopg.ProgrammingError("no"), "DATABASE_STATEMENT"),
    (foreign("psycopg2.OperationalError", pgcode="40001"), "DATABASE_CONFLICT"),
    (foreign("sqlalchemy.exc.DBAPIError", orig=of_state("23505")), "DATABASE_CONSTRAINT"),
    (ExceptionGroup("two", [TimeoutError(), ExceptionGroup("one", [TimeoutError()])]), "CALL_TIMEOUT"),
    (ExceptionGroup("two", [TimeoutError(), MemoryError()]), None),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda value: value if isinstance(value, str) else repr(value))
def test_an_exception_has_the_code_of_what_it_is(error: BaseException, code: str | None) -> None:
    assert code_of(error) == code
    assert code is None or code in FAILURES
    assert failure_of(error, Limits()).code == (code or "SKILL_ERROR")


def test_a_subclass_has_the_code_of_the_nearest_class_that_is_known() -> None:
    class Mine(FileNotFoundError):
        pass

    assert code_of(Mine()) == "FILE_MISSING"


def test_exceptions_that_go_round_in_a_circle_have_a_code() -> None:
    error = httpx2.ConnectError("no")
    error.__cause__ = error
    assert code_of(error) == "HTTP_UNREACHABLE"


def test_an_exception_that_fails_at_what_it_is_asked_has_none() -> None:
    class Odd(Exception):
        @property
        def response(self) -> Any:
            raise RuntimeError("not now")

    assert code_of(Odd()) is None


def test_every_status_from_400_has_a_code() -> None:
    assert {code_of_status(status) for status in range(400, 600)} == {
        "HTTP_CLIENT_ERROR",
        "HTTP_DENIED",
        "HTTP_RATE_LIMITED",
        "HTTP_SERVER_ERROR",
    }


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (StoreUnreachableError("away"), "STORE_UNREACHABLE", "away"),
        (SpecError(Problem("/x", "no")), "SPEC_INVALID", "at /x: no"),
        (RunNotFoundError("gone"), "RUN_NOT_FOUND", "gone"),
        (RefoldError("who knows"), "SKILL_ERROR", "RefoldError: who knows"),
        (Failure("FILE_DENIED", "no"), "FILE_DENIED", "no"),
        (Failure("UNHEARD_OF", "no"), "SKILL_ERROR", "UNHEARD_OF: no"),
        (Failure("UNHEARD_OF", ""), "SKILL_ERROR", "UNHEARD_OF"),
        (Failure("no code", "no"), "SKILL_ERROR", "Failure: no"),
        (TypeError("no"), "SKILL_BUG", "TypeError: no"),
    ],
)
def test_our_own_errors_keep_their_code(error: BaseException, code: str, message: str) -> None:
    cause = failure_of(error, Limits())
    assert (cause.code, cause.message, cause.retryable) == (code, message, FAILURES[code].retryable)


async def test_what_postgres_refuses_has_the_code_of_its_reason(postgres_url: str) -> None:
    async def code_for(*statements: str) -> str | None:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            try:
                for statement in statements:
                    await connection.execute(statement.encode())
            except psycopg.Error as error:
                return code_of(error)
        return None

    assert await code_for("SELECT * FROM nothing") == "DATABASE_STATEMENT"
    assert await code_for("SELEC") == "DATABASE_STATEMENT"
    assert await code_for("CREATE TABLE t (id int PRIMARY KEY)", *["INSERT INTO t VALUES (1)"] * 2) == (
        "DATABASE_CONSTRAINT"
    )
    assert await code_for("SET statement_timeout = 50", "SELECT pg_sleep(10)") == "CALL_TIMEOUT"
    assert await code_for("SET default_transaction_read_only = on", "CREATE TABLE u (id int)") == "DATABASE_DENIED"
    with pytest.raises(psycopg.OperationalError) as refused:
        await psycopg.AsyncConnection.connect("host=127.0.0.1 port=1 connect_timeout=5")
    assert code_of(refused.value) == "DATABASE_UNREACHABLE"
