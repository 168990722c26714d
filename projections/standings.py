"""How the projections stand, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..core.errors import CallError, Problem
from ..eventstore.owner import is_dead
from ..eventstore.store import Store
from ..eventstore.tables import Generation
from .model import Projection
from .runner import Lag, lag_of
from .times import iso


class Standing(NamedTuple):
    """A generation with what can only be said by looking elsewhere, too.

    `state` is `following` (a live process carries it on), `paused`, `stopped` (it cannot take in an event), `idle`
    (nobody carries it on), `building` (beside the one that is read) or `old` (not read, and nobody carries it on).
    """

    of: Generation
    state: str
    lag: Lag
    parked: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        of = self.of
        return {
            "name": of.name,
            "generation": of.generation,
            "version": of.version,
            "active": of.active,
            "state": self.state,
            "position": of.position,
            "position_at": iso(of.position_at) if of.position_at else None,
            "lag_events": self.lag.events,
            "lag_seconds": round(self.lag.seconds, 3),
            "parked": self.parked,
            "owner": of.owner if is_followed(of) else None,
            "error": of.error,
        }


def standings(store: Store, name: str | None = None) -> list[Standing]:
    """How every generation stands, or those of one projection."""
    return [_standing(store, of) for of in store.tables.generations(name)]


def is_followed(of: Generation) -> bool:
    """Whether a process that may live carries the generation on."""
    return of.owner is not None and of.seconds_left > 0 and not is_dead(of.owner)


def check_name(name: str, known: Iterable[str]) -> str:
    """`name` if it is one of the projections `known`, else CallError."""
    names = sorted(known)
    if name not in names:
        raise CallError(Problem("", f"no projection is called {name[:40]!a}", f"use one of {', '.join(names)}"))
    return name


def missing(store: Store, known: Iterable[Projection]) -> list[str]:
    """The projections of which there is no generation yet: no projector has run."""
    there = {each.name for each in store.tables.generations()}
    return [each.name for each in known if each.name not in there]


def _standing(store: Store, of: Generation) -> Standing:
    return Standing(of, _state(of), lag_of(store, of), len(store.tables.parked(of.name, of.generation)))


def _state(of: Generation) -> str:
    if of.paused:
        return "paused"
    if of.error is not None:
        return "stopped"
    if is_followed(of):
        return "following" if of.active else "building"
    return "idle" if of.active else "old"
