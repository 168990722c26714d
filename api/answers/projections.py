"""What the API answers about projections and the state of the workers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class ProjectionStanding(BaseModel):
    """How a generation of a projection stands: where in the log, how far behind, how many runs it has left aside.

    `active`: it is the one that is read. `owner`: the process that carries it on.
    """

    name: str
    generation: int
    version: int
    active: bool
    state: Literal["following", "paused", "stopped", "idle", "building", "old"]
    position: int
    position_at: str | None
    lag_events: int
    lag_seconds: float
    parked: int
    owner: str | None
    error: str | None


class Projections(BaseModel):
    """The projections there are, and the names of those that no projector has built yet; `position` is the log's."""

    projections: list[ProjectionStanding]
    missing: list[str]
    position: int


class OneProjection(BaseModel):
    """All generations of a projection, the one that is read and others."""

    name: str
    generations: list[ProjectionStanding]


class ParkedRun(BaseModel):
    """A run that a projection has left aside: its event `version`, at `position`, could not be taken in."""

    stream: str
    version: int
    position: int
    reason: str
    seen: int
    retry: bool


class ParkedPage(BaseModel):
    """Runs left aside, by their streams."""

    parked: list[ParkedRun]
    next_cursor: str | None


class Retried(BaseModel):
    """So many parked runs are tried again by the projector."""

    name: str
    retried: int


class WorkerStatus(BaseModel):
    """The workers in short: `status` is `ok` while any works, else `none`; runs under way, and how many could be."""

    status: Literal["ok", "none"]
    workers: int
    working: int
    draining: int
    lost: int
    running: int
    concurrency: int
    queues: list[str]
    versions: list[str]
