"""The patrol over goldens: what was altered is found, whatever happens to the store meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refold import StoreUnreachableError
from refold.core.ids import stream_of
from refold.eventstore.memory import MemoryStore
from refold.projections import golden_patrol
from refold.projections.golden_patrol import GoldenPatrol
from refold.projections.goldens import GoldenPlace
from refold.tests.support.golden_projection import rebuilt
from refold.tests.support.goldens import keys
from refold.tests.support.sites import Through
from refold.tests.support.tampering import store_runs_async
from refold.tests.support.workflows import until


async def test_a_golden_altered_as_the_store_went_away_is_found_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the soak: what was to be looked at just then was forgotten until the next round."""
    monkeypatch.setattr(golden_patrol, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(golden_patrol, "_REST_SECONDS", 0.05)
    store, folder, key_file = MemoryStore(), tmp_path / "goldens", tmp_path / "keys.json"
    keys().save(key_file)
    await store_runs_async(store)
    rebuilt(store, folder, key_file)
    first, second = sorted((folder / "default").glob("*.steps.jsonl"))[:2]
    missed: list[str] = []

    def read(stream: str, *more: Any) -> Any:
        if stream == stream_of("default", run_of_golden(second)) and not missed:
            missed.append(stream)
            raise StoreUnreachableError("it is away for a moment")
        return store.read(stream, *more)

    def alter(golden: Path) -> None:
        with golden.open("ab") as file:
            file.write(b" ")

    def first_is_found() -> bool:
        alter(first)  # again and again: the patrol must have begun
        return patrol.mismatched == 1

    through: Any = Through(store, read=read)
    with GoldenPatrol(through, GoldenPlace(store, folder, key_file), "me", round_seconds=1e9) as patrol:
        await until(first_is_found)
        alter(second)
        await until(lambda: patrol.mismatched == 2)
    assert missed


def run_of_golden(file: Path) -> str:
    run_id: str = json.loads(file.read_text().splitlines()[0])["run_id"]
    return run_id
