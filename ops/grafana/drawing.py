"""Grafana's JSON for rows of panels, as Grafana 10 and newer import it.

Its form: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_WIDTH = 24
_SCHEMA = 39
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_RUNBOOK = "${runbook:raw}"

Unit = Literal["short", "s", "percentunit", "reqps", "suffix: ct"]
"""Units as Grafana calls them; `ct` are cents, of whatever currency."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn: `queries` are pairs of an expression of PromQL and the legend of what it gives.

    `bad` is the value from which on it is red (`bad_below`: up to which). `alert` is the alert that goes by it: the
    panel links to its section of the runbook. A panel whose `kind` is `stat` shows the latest value as a number.
    """

    title: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: Unit = "short"
    bad: float | None = None
    bad_below: float | None = None
    alert: str | None = None
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


def dashboard(rows: Sequence[Row]) -> dict[str, Any]:
    """The dashboard, as Grafana's page Import takes it."""
    return {
        "uid": "refold",
        "title": "Refold",
        "description": "Durable execution that can be proved: what runs, whether it can be proved, what it costs.",
        "tags": ["refold"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": [_alerts()]},
        "links": [_link("Runbook", _RUNBOOK)],
        "templating": {"list": _variables()},
        "panels": list(_panels(rows)),
    }


def for_the_api(drawn: dict[str, Any]) -> dict[str, Any]:
    """The same as the body of a POST to Grafana's `/api/dashboards/db`."""
    return {"dashboard": {"id": None, **drawn}, "overwrite": True}


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top},
            "panels": [],
        }
        top += 1
        left, height = 0, 0
        for panel in row.panels:
            if left + panel.width > _WIDTH:
                left, top, height = 0, top + height, 0
            number += 1
            own = 4 if panel.kind == "stat" else 8
            yield _panel(panel, number, {"h": own, "w": panel.width, "x": left, "y": top})
            left, height = left + panel.width, max(height, own)
        top += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _steps(panel)}
    if panel.kind == "stat":
        defaults["color"] = {"mode": "thresholds"}
        options: dict[str, Any] = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "textMode": "auto",
        }
    else:
        limited = panel.bad is not None or panel.bad_below is not None
        defaults["min"] = 0
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 10,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if limited else "off"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "links": [_link(panel.alert, f"{_RUNBOOK}#{panel.alert.lower()}")] if panel.alert else [],
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _steps(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad is not None:
        steps.append({"color": "red", "value": panel.bad})
    elif panel.bad_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.bad_below}]
    return {"mode": "absolute", "steps": steps}


def _link(title: str, url: str) -> dict[str, Any]:
    return {"title": title, "type": "link", "url": url, "targetBlank": True}


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing", group!=""}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
        "tagKeys": "group",
        "step": "30s",
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "tenant",
            "label": "Tenant",
            "description": "The first 12 hexadecimal digits of the SHA-256 of its name.",
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": "label_values(refold_workflow_runs_total, tenant)", "refId": "tenant"},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        },
        {
            "name": "runbook",
            "label": "Runbook",
            "description": "Where docs/ops/runbook.md is published.",
            "type": "textbox",
            "query": "docs/ops/runbook.md",
            "current": {"text": "docs/ops/runbook.md", "value": "docs/ops/runbook.md"},
        },
    ]
