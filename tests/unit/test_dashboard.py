"""The dashboard that is committed is the one that follows from the panels, and Grafana can draw it."""

from __future__ import annotations

import json

import yaml

from refold.ops.grafana.panels import ROWS, documents
from refold.tests.support.root_package import ROOT


def test_the_committed_dashboard_is_what_the_panels_say() -> None:
    for name, text in documents().items():
        assert (ROOT / "ops/grafana" / name).read_text() == text, f"{name} is not today's: make docs"
    assert json.loads(documents()["refold.api.json"])["overwrite"] is True


def test_panels_have_places_of_their_own_and_say_what_they_show() -> None:
    panels = json.loads(documents()["refold.json"])["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24 and not own & taken, f"{panel['title']} lies over another panel"
        assert panel["type"] == "row" or panel["description"], f"{panel['title']} is not described"
        taken |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_alert_has_a_panel_that_shows_what_it_is_about() -> None:
    groups = yaml.safe_load((ROOT / "ops/alerts/refold.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    shown = {panel.alert for row in ROWS for panel in row.panels} - {None}
    assert shown <= alerts, "links to no section of the runbook"
    assert alerts - shown == {"SeedDrift"}, "the panel on replays, which shows it too, links to another alert"
