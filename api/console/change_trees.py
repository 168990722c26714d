"""Two JSON values as one tree: where they differ both are shown, what is equal is only counted."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, cast

from markupsafe import Markup, escape

from ...core.differences import differences
from .trees import MAX_DEPTH, tree

MAX_CHANGES = 200
"""So many places are shown."""

_NOTHING: Any = object()


def change_tree(left: Any, right: Any) -> Markup:
    """Where `left` and `right` differ, within what they have in common."""
    if next(differences(left, right), None) is None:
        return Markup('<p class="note">equal</p>')
    drawn: list[str] = ['<div class="tree changes">']
    left_over = _draw(drawn, left, right, 0, MAX_CHANGES)
    drawn.append('<p class="note">More places differ; the JSON has all.</p>' if left_over <= 0 else "")
    return Markup("".join([*drawn, "</div>"]))


def _draw(drawn: list[str], left: Any, right: Any, depth: int, room: int) -> int:
    """Draw one place where the two differ, and return for how many more there is room."""
    pairs = _pairs(left, right) if depth < MAX_DEPTH else None
    if pairs is None:
        drawn.append(f'<div class="change"><div>{_side(left)}</div><div>{_side(right)}</div></div>')
        return room - 1
    equal = 0
    drawn.append("<ul>")
    for key, one, other in pairs:
        if one is not _NOTHING and other is not _NOTHING and next(differences(one, other), None) is None:
            equal += 1
            continue
        if room <= 0:
            break
        drawn.append(f'<li><span class="key">{escape(key)}</span> ')
        room = _draw(drawn, one, other, depth + 1, room)
        drawn.append("</li>")
    if equal:
        drawn.append(f'<li class="note">{equal} more {"is" if equal == 1 else "are"} equal</li>')
    drawn.append("</ul>")
    return room


def _pairs(left: Any, right: Any) -> list[tuple[Any, Any, Any]] | None:
    """The members of two objects, or the items of two lists; None if they are neither."""
    if isinstance(left, dict) and isinstance(right, dict):
        one, other = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        return [(key, one.get(key, _NOTHING), other.get(key, _NOTHING)) for key in {**one, **other}]
    if isinstance(left, list) and isinstance(right, list):
        items = zip_longest(cast("list[Any]", left), cast("list[Any]", right), fillvalue=_NOTHING)
        return [(at, one, other) for at, (one, other) in enumerate(items)]
    return None


def _side(value: Any) -> str:
    return '<span class="note">nothing</span>' if value is _NOTHING else str(tree(value, 1, 200))
