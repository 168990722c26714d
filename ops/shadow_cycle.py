"""One cycle of a shadow simulation: runs are started, worked on by other processes, and put to every proof."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from ..compose import WorkflowEngine
from ..core.errors import StoreUnreachableError
from ..core.ids import run_of
from ..core.run_state import RunState
from ..core.runtime.registry import SkillRegistry
from ..core.seeds import derive
from ..core.state import fold
from ..eventstore.codec import decode
from ..eventstore.memory import MemoryStore
from ..eventstore.store import Store
from ..projections.checkpoints import CHECKPOINTS, Checkpoint, TableCheckpointStore
from ..projections.golden_recorder import BaseGoldenRecorder
from ..projections.goldens import GoldensProjection
from ..replay.shadow_checks import ShadowChecks
from ..replay.shadow_findings import Found
from ..replay.shadow_workload import SIGNAL, Kind

PATIENCE_SECONDS = 120.0
"""For how long runs may take to end, and projections to follow."""

_LOOK_SECONDS = 0.1
_SIGNALS_AFTER_SECONDS = 1.0

T = TypeVar("T")


class Cycle:
    """Cycle `number`, with a run of each of `kinds` in a tenant of its own."""

    def __init__(
        self,
        number: int,
        engine: WorkflowEngine,
        skills: SkillRegistry,
        kinds: Sequence[Kind],
        recorder: BaseGoldenRecorder,
        patience: float = PATIENCE_SECONDS,
    ):
        self.tenant = f"cycle-{number:06}"
        self.found = Found()
        self._number = number
        self._engine = engine
        self._store: Store = engine.store
        self._skills = skills
        self._kinds = kinds
        self._recorder = recorder
        self._patience = patience
        self._kept: dict[str, dict[int, Checkpoint]] = {}

    async def run(self, faults: Callable[[], Awaitable[None]], look: Callable[[], object]) -> None:
        """Do all of it; `faults` is under way while the runs are, `look` is called now and then."""
        elsewhere = asyncio.ensure_future(self._elsewhere())
        under_way = [asyncio.ensure_future(faults()), asyncio.ensure_future(self._work(look))]
        try:
            await asyncio.gather(*under_way)
            await self._caught_up(look)
            await self._check(await elsewhere)
        finally:
            for each in (elsewhere, *under_way):
                each.cancel()
            await asyncio.gather(elsewhere, *under_way, return_exceptions=True)

    async def _work(self, look: Callable[[], object]) -> None:
        for kind in self._kinds:
            await _patiently(
                lambda kind=kind: self._engine.start(
                    kind.what, kind.name, self._seed(kind), kind.inputs, tenant=self.tenant
                )
            )
        began = time.monotonic()
        told = not any(kind.signals for kind in self._kinds)
        while time.monotonic() - began < self._patience:
            look()
            await asyncio.to_thread(self._keep_checkpoints)
            if not told and time.monotonic() - began > _SIGNALS_AFTER_SECONDS:
                await self._signal(self._engine)
                told = True
            open_runs = await _patiently(lambda: asyncio.to_thread(self._open))
            if told and not open_runs:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _seed(self, kind: Kind) -> int:
        return derive(f"shadow:{self._number}:{kind.name}")

    def _open(self) -> list[str]:
        return [row.stream for row in self._store.dispatch.rows() if row.stream.startswith(f"{self.tenant}/")]

    async def _signal(self, engine: WorkflowEngine) -> None:
        for kind in self._kinds:
            for number in range(kind.signals):
                body, key = {"number": number}, f"{SIGNAL}-{number}"
                await _patiently(
                    lambda name=kind.name, body=body, key=key: engine.signal(
                        name, SIGNAL, body, key=key, tenant=self.tenant
                    )
                )

    def _keep_checkpoints(self) -> None:
        """Read what there is of runs under way, to restore them from it when they have ended."""
        checkpoints = TableCheckpointStore(self._store.tables)
        try:
            for kind in self._kinds:
                kept = checkpoints.load(kind.name, self.tenant)
                if kept is not None and kept.status == "running":
                    self._kept.setdefault(kind.name, {})[kept.version] = kept
        except StoreUnreachableError:
            return

    async def _caught_up(self, look: Callable[[], object]) -> None:
        """Wait until the projections have followed to where the log ends now."""
        until = await _patiently(lambda: asyncio.to_thread(self._store.last_position))
        give_up = time.monotonic() + self._patience
        wanted = {CHECKPOINTS.name, GoldensProjection.name}
        while time.monotonic() < give_up:
            look()
            found = await _patiently(lambda: asyncio.to_thread(self._store.tables.generations))
            if wanted <= {of.name for of in found if of.active and of.position >= until}:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        self.found.miss("cycle", "", self.tenant, "", f"the projections are behind after {self._patience:g} s")

    async def _elsewhere(self) -> Mapping[str, tuple[str, str | None]]:
        """The same runs in the memory of this process: their streams, with status and workflow hash."""
        store = MemoryStore()
        async with WorkflowEngine(store, self._skills) as engine:

            async def alone(kind: Kind) -> None:
                seed = self._seed(kind)
                await engine.start(kind.what, kind.name, seed, kind.inputs, tenant=self.tenant)
                for number in range(kind.signals):
                    await engine.signal(
                        kind.name, SIGNAL, {"number": number}, key=f"{SIGNAL}-{number}", tenant=self.tenant
                    )
                await engine.run(kind.what, kind.name, seed, kind.inputs, tenant=self.tenant)

            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(alone(kind) for kind in self._kinds if kind.comparable))
        streams = store.streams(self.tenant)
        return {run_of(each)[1]: _outcome(fold(decode(r, {}) for r in store.read(each))) for each in streams}

    async def _check(self, elsewhere: Mapping[str, tuple[str, str | None]]) -> None:
        checks = ShadowChecks(self._store, self._skills, self._recorder, self.found)
        known = {kind.name: kind for kind in self._kinds}
        runs = [run_of(each)[1] for each in self._store.streams(self.tenant)]
        for run_id in sorted({*runs, *elsewhere, *known}):
            kind = known[max((name for name in known if run_id.startswith(name)), key=len)]
            if run_id not in runs:
                self.found.miss("end", kind.name, self.tenant, run_id, "there is no such run")
                continue
            state = await checks.check(kind.name, self.tenant, run_id, self._kept.get(run_id, {}).values())
            # So that signals are heeded between two runs.
            await asyncio.sleep(0)
            if state is None or state.end is None:
                continue
            if run_id == kind.name and kind.status not in (None, state.status):
                self.found.miss("end", kind.name, self.tenant, run_id, f"it is {state.status}, not {kind.status}")
            there = elsewhere.get(run_id)
            if kind.comparable and there != _outcome(state):
                message = f"in memory it is {there}, on the store {_outcome(state)}"
                self.found.miss("elsewhere", kind.name, self.tenant, run_id, message)


def _outcome(state: RunState) -> tuple[str, str | None]:
    return state.status, None if state.end is None else state.end.workflow_hash


async def _patiently(ask: Callable[[], Awaitable[T]], patience: float = PATIENCE_SECONDS) -> T:
    """Ask until the store answers; what is asked for twice happens once. Raises StoreUnreachableError in the end."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return await ask()
        except StoreUnreachableError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(_LOOK_SECONDS)
