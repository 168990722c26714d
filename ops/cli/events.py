"""`refold events`."""

from __future__ import annotations

from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from ...core.ids import check_run_id, check_tenant, stream_of
from ...projections.erasures import erasure_of, without_placeholders
from ...projections.stored_events import stored_events
from .faults import BROKEN, OK
from .output import console, excerpt, plain, write_json
from .reading import existing_store

_HASH_SHOWN = 12
_TELLING = (
    "workflow_type",
    "step_id",
    "because",
    "name",
    "signal",
    "child",
    "status",
    "successor",
    "patch",
    "error_code",
    "reason",
    "message",
    "by",
    "to",
    "comment",
    "note",
)
_PAYLOADS = ("inputs", "inputs_ref", "output", "output_ref", "body", "body_ref", "details", "attributes")
_STYLES = {
    "completed": "green",
    "continued": "green",
    "failed": "red",
    "cancelled": "red",
    "timed_out": "red",
    "rejected": "magenta",
    "attempt_failed": "yellow",
    "cancelling": "yellow",
    "parked": "magenta",
}


def show_events(run_id: str, after: int, limit: int | None, tenant: str, database: str | None, json: bool) -> int:
    """Write the events of a run as they are stored; returns the exit code, not 0 if one cannot be read."""
    check_run_id(run_id)
    check_tenant(tenant)
    screen = console()
    code = OK
    with existing_store(database) as store:
        erased = not json and erasure_of(store, stream_of(tenant, run_id)) is not None
        for told in stored_events(store, run_id, tenant, after, limit):
            if "fault" in told:
                code = BROKEN
            if json:
                write_json(told)
            else:
                _print(screen, told, erased)
    return code


def _print(screen: Console, told: dict[str, Any], erased: bool) -> None:
    """One line: number, time of day, topic, hash, and what matters most of the data."""
    topic = plain(told["topic"])
    line = Text(f"{told['version']:>5}  ").append(plain((told["time"] or "?")[11:23] + "  "), "dim")
    line.append(f"{topic:<20}", _STYLES.get(topic.partition(".")[2], ""))
    line.append(f"  {told['hash'][:_HASH_SHOWN]}  ", "dim").append(
        plain(told.get("fault") or without_placeholders(_gist(told["data"]), erased))
    )
    if screen.is_terminal:
        line.truncate(screen.width, overflow="ellipsis")
    screen.print(line, soft_wrap=True)


def _gist(data: dict[str, Any]) -> str:
    # In events that took a message, `message` is its number; elsewhere it is text.
    words = [str(data[name]) for name in _TELLING if data.get(name) and not isinstance(data[name], int)]
    rest = {name: data[name] for name in _PAYLOADS if data.get(name) is not None}
    return "  ".join([*words, *(f"{name} {excerpt(orjson.dumps(value), 200)}" for name, value in rest.items())])
