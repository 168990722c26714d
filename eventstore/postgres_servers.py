"""Which of several PostgreSQL servers is meant, and what their errors mean."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..core.errors import StoreError, StoreRefusedError, StoreUnreachableError

GONE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
"""Another connection may do better; a server that turned read-only was replaced by another one."""


def meant(url: str) -> str:
    """`url` as libpq reads it. Of several servers the one that takes writes is meant, unless somebody said otherwise:
    another one would refuse what is written, and what it answers may be old."""
    parts = conninfo_to_dict(url)
    several = any("," in str(parts.get(name) or "") for name in ("host", "hostaddr"))
    said = parts.get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS")
    return make_conninfo(url, target_session_attrs="read-write") if several and not said else url


@contextmanager
def reported() -> Generator[None]:
    """PostgreSQL's errors as ours. Connection strings, which may hold a password, stay out of the messages."""
    try:
        yield
    except StoreError:
        raise
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise StoreRefusedError(_NO_SCHEMA) from error
    except psycopg.errors.ReadOnlySqlTransaction:
        raise StoreUnreachableError(_ONLY_READS) from None
    except GONE as error:
        raise StoreUnreachableError(f"PostgreSQL: {str(error).strip()}") from None
    except psycopg.Error as error:
        raise StoreRefusedError(f"PostgreSQL: {str(error).strip()}") from error
    except PersistenceError as error:
        cause = error.__cause__
        if isinstance(cause, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)):
            raise StoreRefusedError(_NO_SCHEMA) from error
        if isinstance(cause, psycopg.errors.ReadOnlySqlTransaction):
            raise StoreUnreachableError(_ONLY_READS) from None
        raise StoreUnreachableError(f"PostgreSQL: {str(error).strip()}") from None


_NO_SCHEMA = "the database has no Refold schema; run: refold migrate"

_ONLY_READS = "PostgreSQL: this server is read-only, as a standby is; name all: postgresql://one,other/database"
