"""What lists have in common: parameters that are checked, cursors, and bounds."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, TypeVar, cast

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ..core.errors import CallError, InvalidError, Problem

T = TypeVar("T")

MOST_ROWS = 200
"""A page holds no more."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T", re.ASCII)

Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]
"""A value to look for: no database takes a zero byte."""


class Parameters(BaseModel):
    """The parameters of a request in its URL; others than those declared are refused."""

    model_config = ConfigDict(extra="forbid")


class PageParameters(Parameters):
    """Which page of a list, and how many rows."""

    cursor: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,2000}={0,2}$", description="`next_cursor` of the page before.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="At most so many rows.")] = 50


def _written(value: object) -> object:
    # pydantic would take a number for seconds since the epoch.
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("a time is written as 2026-11-20T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time in ISO 8601 with its offset."""


class Window(Parameters):
    """A span of time."""

    since: Annotated[Moment | None, Field(description="From this time on (ISO 8601 with its offset).")] = None
    until: Annotated[Moment | None, Field(description="Before this time.")] = None

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """Since and until in microseconds since the epoch."""
        return _microseconds(self.since), _microseconds(self.until)


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def cursor_of(*key: Any) -> str:
    """The cursor that leads on after the row with this key."""
    return urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def key_of(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The key in a cursor, whose parts are of these kinds; None without a cursor. Raises CallError for any other."""
    if cursor is None:
        return None
    try:
        found: Any = orjson.loads(urlsafe_b64decode(cursor.rstrip("=") + "=" * (-len(cursor.rstrip("=")) % 4)))
        parts = cast("list[Any]", found) if type(found) is list else []
        if [*map(type, parts)] == [*kinds]:
            return tuple(parts)
    except (binascii.Error, ValueError):
        pass
    raise CallError(Problem("", "query parameter 'cursor': this is no cursor of the list", "take that of a page"))


def cut(rows: Iterable[T], wanted: PageParameters, name: Callable[[T], str]) -> tuple[list[T], str | None]:
    """The page of `rows` that is wanted, and the next one's cursor. They are in the order of their names, each of
    which is there once. Raises CallError for what is no cursor."""
    key = key_of(wanted.cursor, str)
    after = rows if key is None else (row for row in rows if name(row) > key[0])
    found = list(islice(after, wanted.limit + 1))
    shown = found[: wanted.limit]
    return shown, cursor_of(name(shown[-1])) if len(found) > wanted.limit else None


def moved(error: InvalidError, pointer: str) -> InvalidError:
    """The error with its places below `pointer` of the body."""
    return type(error)([problem._replace(pointer=pointer + problem.pointer) for problem in error.problems])
