"""Small pictures of numbers, drawn here as SVG: bars over time, bars beside each other, and lines within a sentence.

They hold no text but their title and description, which screen readers tell; beside each stands a table of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

_HEIGHT = 100
_WIDTH = 12


def columns(tallies: Sequence[Mapping[str, Any]], title: str, told: str) -> Markup:
    """A column for each tally: its `final`, with `again` on top; the highest fills the picture."""
    numbers: list[tuple[int, int]] = [(each["final"], each["again"]) for each in tallies]
    most = max((one + other for one, other in numbers), default=0)
    drawn: list[str] = []
    for place, (one, other) in enumerate(numbers):
        x, low, high = place * _WIDTH, _part(one, most), _part(other, most)
        if low:
            drawn.append(f'<rect class="p-final" x="{x}" y="{_HEIGHT - low:g}" width="{_WIDTH - 2}" height="{low:g}"/>')
        if high:
            top = _HEIGHT - low - high
            drawn.append(f'<rect class="p-again" x="{x}" y="{top:g}" width="{_WIDTH - 2}" height="{high:g}"/>')
    return _svg("over-time", max(len(numbers), 1) * _WIDTH, _HEIGHT, "".join(drawn), title, told)


def bar(one: int, other: int, most: int) -> Markup:
    """A bar of `one`, with `other` after it, out of `most`. It says nothing that does not stand beside it."""
    first, second = _part(one, most), _part(other, most)
    drawn = f'<rect class="p-final" width="{first:g}" height="8"/>' if first else ""
    drawn += f'<rect class="p-again" x="{first:g}" width="{second:g}" height="8"/>' if second else ""
    return _svg("hbar", 100, 8, drawn)


def share(parts: Sequence[tuple[str, float]], of: float) -> Markup:
    """A bar of several parts, each with its class, out of `of`. It says nothing that does not stand beside it."""
    drawn, at = "", 0.0
    for kind, part in parts:
        width = min(100 * part / of, 100 - at) if of > 0 and part > 0 else 0
        drawn += f'<rect class="p-{escape(kind)}" x="{at:g}" width="{width:g}" height="8"/>' if width else ""
        at += width
    return _svg("hbar", 100, 8, drawn)


def swatch(kind: str) -> Markup:
    """A patch in the colour of a kind of part, for a legend."""
    return _svg("swatch", 10, 10, f'<rect class="p-{escape(kind)}" width="10" height="10"/>')


def spark(numbers: Sequence[int]) -> Markup:
    """A line of the numbers. It says nothing that does not stand beside it."""
    most = max(numbers, default=0)
    if len(numbers) < 2 or not most:
        return Markup("")
    step = 100 / (len(numbers) - 1)
    points = " ".join(f"{place * step:.2f},{22 - 20 * each / most:.2f}" for place, each in enumerate(numbers))
    return _svg("spark", 100, 24, f'<polyline points="{points}"/>')


def _part(number: int, most: int) -> float:
    """Of 100; what is not 0 can be seen."""
    return max(round(100 * number / most, 2), 1.5) if number and most else 0


def _svg(kind: str, width: float, height: float, drawn: str, title: str = "", told: str = "") -> Markup:
    size = f'class="{kind}" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none"'
    if not title:
        return Markup(f'<svg {size} aria-hidden="true" focusable="false">{drawn}</svg>')
    said = f"<title>{escape(title)}</title><desc>{escape(told)}</desc>"
    return Markup(f'<svg {size} role="img" aria-label="{escape(title)}: {escape(told)}">{said}{drawn}</svg>')
