"""The goldens of fixed runs of every kind: `python -P -m refold.tests.support.golden_runs FOLDER` writes them.

Code that gives other ones has changed what Refold does, and is to be changed back, or the expected ones with it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from refold import SkillRegistry, WorkflowEngine
from refold.core.ids import run_of
from refold.core.state import fold
from refold.eventstore.memory import MemoryStore
from refold.projections.golden_lines import golden_of
from refold.projections.golden_names import GOLDEN, safe_name
from refold.replay.shadow_workload import KINDS, MODULE, SIGNAL
from refold.tests.support.workflows import events_of

SEED = 2026


async def golden_runs() -> dict[str, bytes]:
    """The goldens of one run of each kind, of their children and successors: by the names of their files."""
    skills = SkillRegistry()
    skills.load_module(MODULE)
    store = MemoryStore()
    async with WorkflowEngine(store, skills) as engine:
        for kind in KINDS:
            await engine.start(kind.what, kind.name, SEED, kind.inputs)
            for number in range(kind.signals):
                await engine.signal(kind.name, SIGNAL, {"number": number}, key=str(number))
        await asyncio.gather(*(engine.run(kind.what, kind.name, SEED, kind.inputs) for kind in KINDS))
    runs = [run_of(stream)[1] for stream in store.streams("default")]
    return {safe_name(run_id) + GOLDEN: golden_of(fold(events_of(store, run_id))).data for run_id in runs}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in asyncio.run(golden_runs()).items():
        (folder / name).write_bytes(data)
