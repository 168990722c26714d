"""A thousand mixed runs, every projection: what was grown live is what a rebuild gives, whatever was done meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from refold import WorkflowEngine
from refold.core.golden_events import GoldenArchived, GoldenArchiveResigned, GoldenKeyRotated
from refold.eventstore.owner import this_process
from refold.eventstore.tables import hash_of
from refold.eventstore.tiered import TieredStore
from refold.projections.golden_archives import Archive
from refold.projections.golden_files import GoldenFolder
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.golden_upkeep import archive as archive_goldens
from refold.projections.golden_upkeep import resign_all
from refold.projections.projector import Projector, known_projections
from refold.projections.rebuild import Rebuild
from refold.projections.runner import AFTER_COMMIT
from refold.tests.support.archived import archive, opened
from refold.tests.support.golden_projection import (
    all_valid,
    goldens_below,
    in_folder,
    rebuild_goldens_and_die,
    rebuilt,
    wanted_goldens,
)
from refold.tests.support.goldens import NOW, files_below, keys
from refold.tests.support.projected import caught_up, fill, rebuild_and_die, rows_of
from refold.tests.support.workflows import until

KILLS = 5
TABLES = sorted(known_projections())

# Not a server that was started before: it would not know of the folder of archives.
_processes = multiprocessing.get_context("spawn")


@pytest.mark.parametrize(("kind", "runs"), [("sqlite", 1000), ("postgres", 300)])
async def test_what_was_grown_live_is_what_a_rebuild_gives_after_all_that_operators_do(
    kind: str, runs: int, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = kind == "sqlite"
    url = f"sqlite:///{tmp_path / 'store.db'}" if is_file else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("REFOLD_ARCHIVE", str(tmp_path / "archives"))
    folder, key_file = tmp_path / "goldens", tmp_path / "keys.json"
    keys().save(key_file)
    store = opened(url)
    # Grown live.
    projector = Projector(store, [*known_projections().values(), in_folder(store, folder, key_file)])
    following = asyncio.create_task(projector.run())
    await fill(store, runs, 11)
    await until(lambda: _followed(store))
    projector.drain()
    await following
    grown = {name: rows_of(store, name) for name in TABLES}
    goldens = goldens_below(folder)
    assert goldens == wanted_goldens(store)
    assert len(goldens) > runs / 2
    # Operators at work.
    archived = await _keep_house(store, folder, key_file, goldens)
    work, _ = archive(store)
    assert work.left == []
    # Rebuilt, killed five times, while runs arrive.
    random = Random(kind)
    for kill in range(KILLS):
        dying = [
            _processes.Process(target=rebuild_and_die, args=(url, name, AFTER_COMMIT, random.randint(1, 3), runs // 5))
            for name in TABLES
        ]
        dying.append(_processes.Process(target=rebuild_goldens_and_die, args=(url, folder, key_file, AFTER_COMMIT, 9)))
        for process in dying:
            process.start()
        await fill(store, 5, kill, prefix=f"late{kill}-")
        for process in dying:
            await asyncio.to_thread(process.join, 120)
            assert process.exitcode == -9
    for name in TABLES:
        projection = known_projections()[name]
        caught_up(store, projection)
        assert Rebuild(store, projection, this_process(uuid4().hex)).run(compare=True).compared
        old, new = store.tables.generations(name)[-2:]
        assert hash_of(store.tables, old) == hash_of(store.tables, new)
        now = rows_of(store, name)
        assert {table: [row for row in now[table] if row[1].startswith("m")] for table in now} == {
            table: [row for row in rows if row[1].startswith("m")] for table, rows in grown[name].items()
        }
    caught_up(store, in_folder(store, folder, key_file))
    for path in [each for each in files_below(folder / "default") if each.suffix != ".tgz"]:
        path.unlink()
    done = rebuilt(store, folder, key_file)
    assert done.files is not None and done.files.archived == len(archived)
    kept = goldens_below(folder)
    assert kept == {name: data for name, data in wanted_goldens(store).items() if name not in archived}
    assert {name: kept[name] for name in kept if name in goldens} == {
        name: data for name, data in goldens.items() if name not in archived
    }
    assert all_valid(store, folder, key_file)
    store.close()


def _followed(store: TieredStore) -> bool:
    every = store.tables.generations()
    return len(every) == len(TABLES) + 1 and all(each.position == store.last_position() for each in every)


async def _keep_house(store: TieredStore, folder: Path, key_file: Path, goldens: dict[str, bytes]) -> set[str]:
    """Goldens are archived, the key is rotated, everything signed anew; returns what lies in the archive now."""
    chosen = sorted(goldens)[: len(goldens) // 3]
    async with WorkflowEngine(store) as engine:
        recorder = GoldenRecorder(GoldenFolder(folder), GoldenKeys.load(key_file), lambda: NOW)
        for made in archive_goldens(recorder, "default", chosen, NOW):
            told = GoldenArchived(NOW, "default", made.name, len(chosen), made.sha256, "")
            await engine.goldens.record(lambda _, told=told: told)
        list(archive_goldens(recorder, "default", [], NOW))
        rotated = GoldenKeys.load(key_file).rotated("k2", NOW, 3600)
        await engine.goldens.record(lambda at: GoldenKeyRotated(at, "k2", "k1", None, ""))
        rotated.save(key_file)
        anew: list[tuple[str, Archive]] = []
        recorder = GoldenRecorder(GoldenFolder(folder), rotated, lambda: NOW)
        resign_all(recorder, "default", NOW, resigned=lambda name, made: anew.append((name, made)))
        for old, made in anew:
            event = GoldenArchiveResigned(NOW, "default", made.name, old, len(chosen), made.sha256, "k2", "")
            await engine.goldens.record(lambda _, event=event: event)
    return set(chosen)
