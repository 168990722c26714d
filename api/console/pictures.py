"""Pictures as SVG, made of geometry alone: their colours are classes of the style sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .words import SIGNS

_NODE_WIDTH, _NODE_HEIGHT = 164, 40
_GAP_X, _GAP_Y = 36, 12
_MARGIN = 8
_LETTERS = 19


def strip(ticks: Sequence[Mapping[str, Any]], run_id: str) -> Markup:
    """The chain as a row of ticks, each a link to its event; broken ones are red, higher, and say why."""
    count = max(len(ticks), 1)
    wide = 100 / count
    drawn = [
        Markup('<svg class="strip" width="100%" height="28" role="img" aria-label="{}">').format(
            f"{count} places of the chain, {sum(bool(tick['findings']) for tick in ticks)} of them broken"
        )
    ]
    for at, tick in enumerate(ticks):
        bad = bool(tick["findings"])
        events = f"event {tick['first']}" if tick["first"] == tick["last"] else f"events {tick['first']}–{tick['last']}"
        said = "; ".join(tick["findings"]) if bad else f"{events}: hash and predecessor verified"
        top, height = (0, 28) if bad else (6, 16)
        drawn.append(
            Markup(
                '<a href="/runs/{}/events/{}"><title>{}</title>'
                '<rect class="{}" x="{:.3f}%" y="{}" width="{:.3f}%" height="{}" rx="1"/></a>'
            ).format(
                run_id,
                tick["at"],
                said,
                "bad" if bad else "good",
                at * wide,
                top,
                max(wide - 0.35, wide * 0.72, 0.12),
                height,
            )
        )
    return Markup("").join([*drawn, Markup("</svg>")])


def graph(model: Mapping[str, Any]) -> Markup:
    """The graph of a run, its layers from left to right."""
    nodes: Sequence[Mapping[str, Any]] = model["nodes"]
    places = _places(nodes, model["edges"])
    width = max((x for x, _ in places), default=0) + _NODE_WIDTH + _MARGIN
    height = max((y for _, y in places), default=0) + _NODE_HEIGHT + _MARGIN
    drawn = [
        Markup('<svg class="graph" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">').format(
            round(width), round(height), f"The graph of {model['steps']} steps"
        )
    ]
    edges: Sequence[tuple[int, int]] = model["edges"]
    drawn += [_edge(places[source], places[target]) for source, target in edges]
    drawn += [_node(node, *place) for node, place in zip(nodes, places, strict=True)]
    return Markup("").join([*drawn, Markup("</svg>")])


def _edge(source: tuple[float, float], target: tuple[float, float]) -> Markup:
    x, y = source[0] + _NODE_WIDTH, source[1] + _NODE_HEIGHT / 2
    to_x, to_y = target[0], target[1] + _NODE_HEIGHT / 2
    bend = max((to_x - x) / 2, 16)
    path = f"M{x:.0f} {y:.1f}C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
    return Markup('<path class="edge" d="{}"/>').format(path)


def _node(node: Mapping[str, Any], x: float, y: float) -> Markup:
    status = node["status"]
    several = node["count"] > 1
    title = f"{node['label']} · {node['skill']} · {status}"
    behind = Markup("")
    if several:
        behind = Markup('<rect class="behind" x="{}" y="{:.1f}" width="{}" height="{}" rx="6"/>').format(
            x + 5, y + 5, _NODE_WIDTH - 4, _NODE_HEIGHT - 4
        )
    return Markup(
        '<g class="node g-{}"><title>{}</title>{}<rect class="box" x="{}" y="{:.1f}" width="{}" height="{}" rx="6"/>'
        '<text class="label" x="{}" y="{:.1f}">{} {}</text><text class="skill" x="{}" y="{:.1f}">{}</text></g>'
    ).format(
        status if status in SIGNS else "other",
        title,
        behind,
        x,
        y,
        _NODE_WIDTH - (4 if several else 0),
        _NODE_HEIGHT - (4 if several else 0),
        x + 10,
        y + 17,
        SIGNS.get(status, "·"),
        _cut(f"{node['label']}"),
        x + 10,
        y + 31,
        _cut(node["skill"]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _places(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Sequence[int]]) -> list[tuple[float, float]]:
    """Where each node stands: layers in columns, each ordered by where what it comes after stands."""
    columns: defaultdict[int, list[int]] = defaultdict(list)
    for number, node in enumerate(nodes):
        columns[node["layer"]].append(number)
    before: defaultdict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        before[target].append(source)
    tallest = max(map(len, columns.values()), default=1)
    height: dict[int, float] = {}

    def middle(number: int) -> float:
        known = [height[each] for each in before[number] if each in height]
        return sum(known) / len(known) if known else float("inf")

    for at in sorted(columns):
        ordered = sorted(columns[at], key=middle)
        top = (tallest - len(ordered)) * (_NODE_HEIGHT + _GAP_Y) / 2
        height.update((number, _MARGIN + top + row * (_NODE_HEIGHT + _GAP_Y)) for row, number in enumerate(ordered))
    across = {layer: column for column, layer in enumerate(sorted(columns))}
    return [
        (_MARGIN + across[node["layer"]] * (_NODE_WIDTH + _GAP_X), height[number]) for number, node in enumerate(nodes)
    ]
