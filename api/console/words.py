"""How pages write times, durations, hashes, counts and values: the filters of the templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

from markupsafe import Markup

SIGNS = {
    "queued": "○",
    "running": "▶",
    "waiting": "◷",
    "paused": "‖",
    "parked": "◆",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "⊘",
    "timed_out": "◔",
    "rejected": "⊗",
    "unreadable": "?",
    "open": "◷",
    "granted": "✓",
    "expired": "◔",
    "ok": "✓",
    "broken": "✗",
    "skipped": "↷",
    "reused": "↳",
    "stopped": "■",
    "live": "●",
    "gone": "○",
}
"""What stands beside the name of a status, so that nothing depends on its colour; signs that all usual fonts have."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def status_mark(status: str, label: str | None = None) -> Markup:
    """A status as a badge: its sign, and its name (or `label`) in its colour."""
    known = status if status in SIGNS else "other"
    said = status.replace("_", " ") if label is None else label
    sign = SIGNS.get(status, "·")
    return Markup('<span class="status s-{}"><span aria-hidden="true">{}</span> {}</span>').format(known, sign, said)


def when(iso: str | None, now: datetime | None = None) -> Markup:
    """A time, said relative to now, with the exact one in UTC as its title; an em dash where there is none."""
    if iso is None:
        return Markup('<span class="none">—</span>')
    at = _parsed(iso)
    if at is None:
        return Markup("{}").format(iso)
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, exact(iso), _relative(seconds))


def exact(iso: str | None) -> str:
    """A time in full: 2026-03-01 12:00:00.123 UTC."""
    at = None if iso is None else _parsed(iso)
    return "—" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"


def duration(seconds: float | None) -> str:
    """A length of time as people say it: 340 µs, 12 ms, 3.4 s, 5 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "—"
    if seconds == 0:
        return "0 s"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for (size, unit), (smaller, small) in zip(_UNITS, [*_UNITS[1:], (1, "s")], strict=True):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def took(run: Mapping[str, Any]) -> str:
    """How long a run in a list took, from its start to its end."""
    begun, ended = (_parsed(run[name] or "") for name in ("started_at", "ended_at"))
    return "—" if begun is None or ended is None else duration((ended - begun).total_seconds())


def short(value: str | None) -> Markup:
    """A hash in short form, whole as its title and for copying."""
    if not value:
        return Markup('<span class="none">—</span>')
    return Markup('<code class="hash" title="{0}" data-copy="{0}">{1}</code>').format(value, value[:10])


def count(number: float | None) -> str:
    """A number with its thousands apart."""
    return "—" if number is None else f"{number:,}".replace(",", "\u202f")


def figure(number: float | None) -> str:
    """A number that may have a fraction, to a tenth: 8, 9.5."""
    return "—" if number is None else count(int(number) if number == int(number) else round(number, 1))


def cents(value: float | None) -> str:
    """A cost in cents."""
    return "—" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".").replace(",", "\u202f") + " ¢"


def pretty(value: Any) -> str:
    """A JSON value on several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def segment(value: str) -> str:
    """`value` as one segment of a path."""
    return quote(value, safe="~@:-._")


def query(values: Mapping[str, Any], **changes: Any) -> str:
    """The query part of an address: `values` with `changes`, without what is None or empty; "" if nothing is left."""
    pairs: list[tuple[str, str]] = []
    for name, value in {**values, **changes}.items():
        several = cast("list[Any]", value) if isinstance(value, list) else [value]
        pairs += [(name, str(each)) for each in several if each not in (None, "")]
    return "?" + urlencode(pairs) if pairs else ""


def _parsed(iso: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _relative(seconds: float) -> str:
    if abs(seconds) < 1:
        return "just now"
    if seconds < 0:
        # A deadline of three days is not "in 2 d" as soon as a second of it is gone.
        near = next(((size, unit) for size, unit in _UNITS if -seconds >= 0.99 * size), (1, "s"))
        return f"in {round(-seconds / near[0])} {near[1]}"
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{seconds / size:.0f} s ago" if unit == "s" else f"{int(seconds // size)} {unit} ago"
