"""The projection of goldens in a folder, and processes that die while they keep or rebuild it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from refold import open_store
from refold.core.runtime.golden_control import GoldenControl
from refold.core.state import fold
from refold.eventstore.log import EventLog
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.ops.cli import goldens as cli_goldens
from refold.ops.cli import main
from refold.projections.golden_files import GoldenFolder
from refold.projections.golden_lines import golden_of
from refold.projections.golden_names import GOLDEN, safe_name
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.goldens import GoldenPlace, GoldensProjection
from refold.projections.rebuild import Rebuild, Rebuilt

from .goldens import files_below


def in_folder(store: Store, folder: Path, key_file: Path) -> GoldensProjection:
    """The projection of goldens there."""
    return GoldensProjection(GoldenPlace(store, folder, key_file))


def rebuilt(store: Store, folder: Path, key_file: Path, **options: bool) -> Rebuilt:
    """A rebuild of the goldens there."""
    return Rebuild(store, in_folder(store, folder, key_file), this_process(uuid4().hex)).run(**options)


def wanted_goldens(store: Store) -> dict[str, bytes]:
    """The goldens that there must be, by the names of their files, told by folding every run anew."""
    found: dict[str, bytes] = {}
    for stream in store.streams("default"):
        state = fold(EventLog(store, "").events(stream))
        if state.end is not None:
            found[safe_name(state.started.run_id) + GOLDEN] = golden_of(state).data
    return found


def goldens_below(folder: Path) -> dict[str, bytes]:
    """The goldens that there are, by the names of their files."""
    return {path.name: path.read_bytes() for path in files_below(folder) if path.name.endswith(GOLDEN)}


def all_valid(store: Store, folder: Path, key_file: Path) -> bool:
    """Whether all goldens there are signed with the current key."""
    recorder = GoldenRecorder(folder, GoldenPlace(store, folder, key_file).keys())
    verdicts = [recorder.verify_golden(run_id or "") for _, run_id in recorder.runs()]
    return all(verdict.ok and verdict.key_id == recorder.keys.current for verdict in verdicts)


def _killer(point: str, count: int) -> Callable[[str], None]:
    left = [count]

    def reached(here: str) -> None:
        left[0] -= here == point
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def rebuild_goldens_and_die(url: str, folder: Path, key_file: Path, point: str, count: int) -> None:
    """Rebuild the goldens, and be killed with SIGKILL at the `count`th time that `point` is reached."""
    reached, store = _killer(point, count), open_store(url)
    projection = GoldensProjection(GoldenPlace(store, GoldenFolder(folder, reached), key_file))
    Rebuild(store, projection, this_process(uuid4().hex), reached=reached, batch=20).run(compare=True)


def command_and_die(words: list[str], point: str, count: int) -> None:
    """Run a command on goldens, and be killed there; "deciding" and "decided" are around each record of a decision."""
    reached, record = _killer(point, count), GoldenControl.record

    async def recorded(self: GoldenControl, made: Any) -> Any:
        reached("deciding")
        event = await record(self, made)
        reached("decided")
        return event

    GoldenControl.record = recorded
    cli_goldens.GoldenFolder = partial(GoldenFolder, at=reached)  # pyright: ignore[reportAttributeAccessIssue]
    main(words)
