"""What a process works on jobs with: a prover in this process or several beside it, keys, projections."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import islice

from ..api.jobs.means import Means
from ..compose import BUILD, WorkflowEngine, database_url
from ..core.runtime.registry import SkillRegistry
from ..projections.model import Projection
from ..projections.projector import known_projections
from ..replay.certificate import Signs
from ..replay.fleet import Order, chunks_of
from ..replay.jobs import Crew, LocalCrew
from ..replay.signing_keys import AUDIT_KEY, SigningKey
from ..replay.today import code_of
from .cli.goldens import golden_place
from .cli.helping import helpers_of
from .fleet_pool import ProcessCrew
from .fleet_worker import Setup, prover_of

_FEW_CHUNKS = 2


def means_of(engine: WorkflowEngine, url: str) -> Means:
    """What works on the jobs of the store at `url`, which is the engine's. One core is left to whoever answers."""
    store = engine.store
    processes = max(1, len(os.sched_getaffinity(0)) - 1)
    skills = SkillRegistry()
    label = os.environ.get("REFOLD_BUILD") or None
    scheme = database_url(url).partition(":")[0]

    @contextmanager
    def crew(order: Order) -> Generator[Crew]:
        few = len(list(islice(chunks_of(store, order.query, order.until), _FEW_CHUNKS + 1)))
        if processes == 1 or few <= _FEW_CHUNKS or scheme == "memory":
            with LocalCrew(store, prover_of(store, skills, order), order) as alone:
                yield alone
            return
        with ProcessCrew(Setup(url, [], order.to_json()), processes) as several:
            yield several

    def projections() -> Mapping[str, Projection]:
        return known_projections(golden_place(store, None, None))

    return Means(
        engine=engine,
        store=store,
        by=f"{socket.gethostname()}, process {os.getpid()}",
        kind="postgresql" if scheme == "postgres" else scheme,
        code=code_of(skills, BUILD, label),
        crew=crew,
        key=_key,
        projections=projections,
        start=None if scheme == "memory" else helpers_of(url),
        processes=processes,
    )


def _key() -> Signs | None:
    return SigningKey.load() if os.environ.get(AUDIT_KEY) else None
