"""JSON values as trees that open and close without scripts."""

from __future__ import annotations

import json
from typing import Any, cast

from markupsafe import Markup, escape

MAX_NODES = 2_000
"""How many values a tree shows; it says how many it leaves out."""

MAX_DEPTH = 40
"""How deep it goes; what lies deeper stands there as one line of JSON."""

_LONG = 2_000


def tree(value: Any, open_to: int = 2, nodes: int = MAX_NODES) -> Markup:
    """`value` as a tree of at most so many `nodes`, open down to the depth `open_to`."""
    drawn: list[str] = ['<div class="tree">']
    left = _draw(drawn, value, 0, open_to, nodes)
    if left < 0:
        drawn.append('<p class="note">The rest is left out here; the JSON has all of it.</p>')
    drawn.append("</div>")
    return Markup("".join(drawn))


def _draw(drawn: list[str], value: Any, depth: int, open_to: int, left: int) -> int:
    """Draw a value, and return how many more may be drawn."""
    left -= 1
    if left < 0:
        return left
    if isinstance(value, dict | list) and value and depth < MAX_DEPTH:
        items: list[tuple[Any, Any]]
        if isinstance(value, dict):
            items, marks, noun = list(cast("dict[str, Any]", value).items()), "{}", "field"
        else:
            items, marks, noun = list(enumerate(cast("list[Any]", value))), "[]", "item"
        size = f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"
        opened = " open" if depth < open_to and len(items) <= 50 else ""
        drawn.append(f'<details{opened}><summary><span class="brace">{marks}</span> {size}</summary><ul>')
        for key, item in items:
            drawn.append(f'<li><span class="key">{escape(key)}</span> ')
            left = _draw(drawn, item, depth + 1, open_to, left)
            drawn.append("</li>")
            if left < 0:
                break
        drawn.append("</ul></details>")
        return left
    drawn.append(leaf(value))
    return left


def leaf(value: Any) -> str:
    """A value that has no parts to open, as HTML."""
    if value is None or isinstance(value, bool):
        return f'<span class="v-word">{ {None: "null", True: "true", False: "false"}[value] }</span>'
    if isinstance(value, int | float):
        return f'<span class="v-number">{value}</span>'
    if isinstance(value, dict | list):
        return f'<span class="brace">{escape(json.dumps(value)[:_LONG])}</span>'
    text = str(value)
    if len(text) > _LONG:
        rest = f'<span class="note"> … {len(text):,} characters</span>'
        return f'<span class="v-text">{escape(text[:_LONG])}</span>{rest}'
    return f'<span class="v-text">{escape(text)}</span>'
