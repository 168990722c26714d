"""Where the pages are: a few areas at the head of every page, and in each the pages that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..callers import Caller


class Place(NamedTuple):
    """A page, what it is for, and who is served it: who has the scope `needs`, and for `everywhere` for all tenants."""

    label: str
    href: str
    about: str
    needs: str = "read"
    everywhere: bool = False


class Area(NamedTuple):
    """Pages that belong together; the first that is served stands for all of them."""

    label: str
    places: Sequence[Place]


AREAS = (
    Area(
        "Runs",
        (
            Place("Runs", "/runs", "every run, with filters; what happened in it, and its proof"),
            Place("Schedules", "/schedules", "runs that begin by themselves"),
            Place("Specs", "/specs", "workflows that are registered by type and version"),
            Place("Compare", "/diff", "in what two runs differ, and why", "audit"),
        ),
    ),
    Area("Approvals", (Place("Approvals", "/approvals", "what waits for people, and what was decided"),)),
    Area("Failures", (Place("Failures", "/failures", "what failed, by what it has in common, and what to do"),)),
    Area(
        "Operations",
        (
            Place("Workers", "/workers", "who works, on which queues, and what nobody serves", everywhere=True),
            Place("Jobs", "/jobs", "verbs for many runs at once, replays and rebuilds, and how far they are"),
            Place("Projections", "/projections", "what is derived from the log, and how far behind", everywhere=True),
            Place("Budgets", "/budgets", "what is spent, held and left; rates and places"),
            Place("Policies", "/policies", "what steps may do and spend, and since when", everywhere=True),
            Place("Webhooks", "/webhooks", "who is told of events, and what came of it", "operate"),
        ),
    ),
    Area(
        "Audit",
        (
            Place("Proofs", "/audit", "the tree over the log, its signed head, and the proof of a run", "audit"),
            Place("Replays", "/replays", "runs proved against today's code, with a certificate", "audit"),
            Place("Goldens", "/goldens", "signed files of runs, to be compared with"),
            Place("Who did what", "/audit/control", "administrative decisions, as the log has them", "audit"),
        ),
    ),
    Area("Emergency stop", (Place("Emergency stop", "/emergency-stop", "what is stopped, and stopping it"),)),
    Area(
        "Access",
        (
            Place("Keys", "/keys", "who may do what by the API and here", "admin"),
            Place("API", "/docs", "every operation over HTTP, with a command for each"),
        ),
    ),
)
"""All pages that are no page of one run, one job, and so on."""


def navigation_of(caller: Caller | None, path: str, served: set[str]) -> list[dict[str, Any]]:
    """The areas with the pages that the caller is served (None: that anybody is), and which of them `path` is in."""
    found = [
        (area.label, [each for each in area.places if each.href in served and _is_for(each, caller)]) for area in AREAS
    ]
    every = [place.href for _, places in found for place in places]
    here = max((href for href in every if f"{path}/".startswith(f"{href}/")), key=len, default=None)
    return [
        {
            "label": label,
            "href": places[0].href,
            "here": any(place.href == here for place in places),
            "places": [
                {"label": each.label, "href": each.href, "about": each.about, "here": each.href == here}
                for each in places
            ],
        }
        for label, places in found
        if places
    ]


def _is_for(place: Place, caller: Caller | None) -> bool:
    return caller is None or (place.needs in caller.scopes and (caller.everywhere or not place.everywhere))
