"""Goldens kept by a projector: those grown live are those rebuilt, whatever died, was rotated or archived meanwhile."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from refold import WorkflowEngine
from refold.core.errors import IntegrityError, ReplayDivergenceError
from refold.core.golden_events import GoldenArchived, GoldenArchiveResigned, GoldenKeyRotated
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections import golden_files
from refold.projections.follow import BadEventError
from refold.projections.golden_archives import Archive
from refold.projections.golden_files import GoldenFolder
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.golden_upkeep import archive, listed, resign_all
from refold.projections.goldens import GoldenPlace, GoldensProjection
from refold.projections.projector import Projector
from refold.projections.rebuild import SWITCHED, TAKEN_OVER
from refold.projections.runner import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_WRITE
from refold.tests.support.golden_projection import (
    all_valid,
    goldens_below,
    in_folder,
    rebuild_goldens_and_die,
    rebuilt,
    wanted_goldens,
)
from refold.tests.support.goldens import NOW, files_below, keys
from refold.tests.support.projected import caught_up, fill
from refold.tests.support.units import Writer
from refold.tests.support.workflows import until

_processes = multiprocessing.get_context("forkserver")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "goldens"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    keys().save(path)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files_below(folder)}


def built_aside(folder: Path) -> list[Path]:
    return list(folder.glob(".rebuild-*"))


async def test_goldens_grown_live_are_those_of_the_log_and_of_a_rebuild(
    shared: Store, folder: Path, key_file: Path
) -> None:
    projector = Projector(shared, [in_folder(shared, folder, key_file)], batch=97)
    following = asyncio.create_task(projector.run())
    await fill(shared, 60, 7)
    await until(
        lambda: (of := shared.tables.generations("goldens")) and of[0].position == shared.last_position(),
    )
    projector.drain()
    await following
    grown = everything(folder)
    assert goldens_below(folder) == wanted_goldens(shared) and len(grown) == 2 * len(goldens_below(folder)) > 60
    compared = rebuilt(shared, folder, key_file, compare=True)
    assert compared.compared and compared.switched and compared.files is not None
    assert compared.files[1:] == (0, 0, (), 0) and compared.files.equal == len(grown) / 2
    shutil.rmtree(folder)
    done = rebuilt(shared, folder, key_file)
    assert done.files is not None and done.files.changed == done.files.missing == len(grown) / 2
    assert everything(folder) == grown and all_valid(shared, folder, key_file)


async def test_what_is_there_already_costs_a_comparison_only(memory: MemoryStore, folder: Path, key_file: Path) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, in_folder(memory, folder, key_file))
    before = {path: path.stat().st_ino for path in files_below(folder)}
    memory.tables.drop("goldens", 1)
    caught_up(memory, in_folder(memory, folder, key_file), batch=7)
    assert {path: path.stat().st_ino for path in files_below(folder)} == before


async def test_a_rebuild_after_rotation_and_archiving_leaves_archived_what_is_archived(
    shared: Store, folder: Path, key_file: Path
) -> None:
    await fill(shared, 30, 3)
    caught_up(shared, in_folder(shared, folder, key_file))
    wanted = wanted_goldens(shared)
    async with WorkflowEngine(shared) as engine:
        recorder = GoldenRecorder(folder, keys(), lambda: NOW)
        (made,) = archive(recorder, "default", sorted(wanted)[:9], NOW)
        event = GoldenArchived(NOW, "default", made.name, 9, made.sha256, "")
        await engine.goldens.record(lambda _: event)
        list(archive(recorder, "default", [], NOW))
        rotated = GoldenKeys.load(key_file).rotated("k2", NOW, 3600)
        await engine.goldens.record(lambda at: GoldenKeyRotated(at, "k2", "k1", None, ""))
        rotated.save(key_file)
        recorder = GoldenRecorder(folder, rotated, lambda: NOW)
        anew: list[tuple[str, Archive]] = []
        resign_all(recorder, "default", NOW, resigned=lambda name, made: anew.append((name, made)))
        ((old, made),) = anew
        await engine.goldens.record(
            lambda at: GoldenArchiveResigned(at, "default", made.name, old, 9, made.sha256, "k2", "")
        )
    for path in list(files_below(folder)):
        if path.suffix != ".tgz":
            path.unlink()
    done = rebuilt(shared, folder, key_file)
    assert done.files is not None and (done.files.archived, done.files.missing) == (9, len(wanted) - 9)
    assert goldens_below(folder) == dict(sorted(wanted.items())[9:]) and all_valid(shared, folder, key_file)
    assert {each.name for each in listed(recorder, "default") if each.archive} == set(sorted(wanted)[:9])
    # A projector that begins at the first event leaves them there, too.
    memory_of = in_folder(shared, folder, key_file)
    for each in shared.tables.generations("goldens"):
        shared.tables.drop("goldens", each.generation)
    caught_up(shared, memory_of)
    assert goldens_below(folder) == dict(sorted(wanted.items())[9:])
    (folder / "default" / made.name).write_bytes(b"altered")
    with pytest.raises(IntegrityError, match="archive"):
        rebuilt(shared, folder, key_file)


POINTS = [BEFORE_WRITE, BEFORE_COMMIT, "half written", AFTER_COMMIT, TAKEN_OVER, "taken over", SWITCHED, "discarded"]


async def test_a_rebuild_killed_at_every_point_while_runs_arrive_gives_the_same_bytes(
    url: str, shared: Store, folder: Path, key_file: Path
) -> None:
    await fill(shared, 40, 8)
    caught_up(shared, in_folder(shared, folder, key_file))
    for path in sorted(files_below(folder))[::3]:
        path.unlink()
    projector = Projector(shared, [in_folder(shared, folder, key_file)])
    following = asyncio.create_task(projector.run())
    for number, point in enumerate(POINTS):
        arguments = (url, folder, key_file, point, 1)
        process = _processes.Process(target=rebuild_goldens_and_die, args=arguments, daemon=True)
        process.start()
        await fill(shared, 5, number, prefix=f"during{number}-")
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode in ((-9, 0) if point == "taken over" else (-9,)), point
    await until(lambda: shared.tables.generations("goldens")[-1].position == shared.last_position())
    projector.drain()
    await following
    assert rebuilt(shared, folder, key_file, compare=True).compared
    assert goldens_below(folder) == wanted_goldens(shared) and all_valid(shared, folder, key_file)
    assert not built_aside(folder)


async def test_a_differing_golden_stops_a_projector_and_is_told_by_a_rebuild(
    memory: MemoryStore, folder: Path, key_file: Path
) -> None:
    memory.commit([Writer().run("a")], "w")
    await fill(memory, 10, 1)
    caught_up(memory, in_folder(memory, folder, key_file))
    victim = folder / "default/m0.steps.jsonl"
    right = victim.read_bytes()
    victim.write_bytes(right.replace(b"run_start", b"run_stare"))
    wrong = victim.read_bytes()
    for options in ({"shadow": True}, {"compare": True}):
        with pytest.raises(ReplayDivergenceError, match=r"1 are not what the log says: m0 of tenant default"):
            rebuilt(memory, folder, key_file, **options)
        assert victim.read_bytes() == wrong
    memory.tables.drop("goldens", 1)
    memory.tables.drop("goldens", 2)
    with pytest.raises(IntegrityError, match="the golden of run m0 of tenant default is not what the log says"):
        caught_up(memory, in_folder(memory, folder, key_file))
    done = rebuilt(memory, folder, key_file)
    assert done.files is not None and len(done.files.differing) == done.files.changed == 1
    assert victim.read_bytes() == right and all_valid(memory, folder, key_file)


async def test_a_shadow_rebuild_misses_what_must_be_there_and_writes_nothing(
    memory: MemoryStore, folder: Path, key_file: Path
) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, in_folder(memory, folder, key_file))
    (folder / "default/m0.steps.jsonl").unlink()
    before = everything(folder)
    with pytest.raises(ReplayDivergenceError, match="of goldens, 1 are missing"):
        rebuilt(memory, folder, key_file, shadow=True)
    shutil.rmtree(built_aside(folder)[0])
    assert everything(folder) == before
    done = rebuilt(memory, folder, key_file, compare=True)
    assert done.events == memory.last_position(), "what was built aside is gone, so it began anew"
    assert goldens_below(folder) == wanted_goldens(memory)
    assert rebuilt(memory, folder, key_file, shadow=True).compared and not built_aside(folder)


async def test_what_was_built_aside_is_never_taken_for_whole_when_half_of_it_is_removed(
    memory: MemoryStore, folder: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, in_folder(memory, folder, key_file))

    def killed(path: Path) -> None:
        (path / "default/m0.steps.jsonl.sig").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(golden_files, "rmtree", killed)
        rebuilt(memory, folder, key_file, shadow=True)
    done = rebuilt(memory, folder, key_file, shadow=True)
    assert done.files is not None and done.files.equal == len(wanted_goldens(memory))
    assert not built_aside(folder)


async def test_what_somebody_put_beside_a_rebuild_is_not_taken_over(
    memory: MemoryStore, folder: Path, key_file: Path
) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, in_folder(memory, folder, key_file))
    (folder / "default/m0.steps.jsonl").unlink()
    with pytest.raises(ReplayDivergenceError):
        rebuilt(memory, folder, key_file, shadow=True)
    aside = built_aside(folder)[0] / "default/m0.steps.jsonl"
    aside.write_bytes(aside.read_bytes().replace(b"run_start", b"run_stare"))
    with pytest.raises(IntegrityError, match="signature"):
        rebuilt(memory, folder, key_file)
    assert not (folder / "default/m0.steps.jsonl").exists()


async def test_an_event_that_cannot_be_taken_in_stops_the_goldens_before_it(folder: Path, key_file: Path) -> None:
    store, writer = MemoryStore(), Writer()
    store.commit([writer.run("a")], "w")
    projection = in_folder(store, folder, key_file)
    assert projection.strict
    follow = store.follow

    def broken(position: int, limit: int) -> list[object]:
        return [each._replace(record=each.record._replace(state=b"x")) for each in follow(position, limit)]

    store.follow = broken  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(BadEventError):
        caught_up(store, projection)


async def test_without_the_recorded_key_goldens_wait_and_then_go_on(
    memory: MemoryStore, folder: Path, key_file: Path
) -> None:
    await fill(memory, 5, 1)
    stale = GoldenKeys.load(key_file)
    os.unlink(key_file)
    projector = Projector(memory, [in_folder(memory, folder, key_file)])
    following = asyncio.create_task(projector.run())
    await until(lambda: "refold golden rotate-key" in _error(memory))
    async with WorkflowEngine(memory) as engine:
        await engine.goldens.record(lambda at: GoldenKeyRotated(at, "k2", "k1", None, ""))
    stale.save(key_file)
    await until(lambda: "signs with 'k1', by the log with 'k2'" in _error(memory))
    assert not goldens_below(folder)
    stale.rotated("k2", NOW, 0).save(key_file)
    await until(lambda: goldens_below(folder) == wanted_goldens(memory))
    projector.drain()
    await following
    assert all_valid(memory, folder, key_file) and _error(memory) == ""


def _error(store: Store) -> str:
    found = store.tables.generations("goldens")
    return (found[0].error or "") if found else ""


Room = Callable[[], object]


@pytest.fixture(params=["full", "read-only"])
def cramped(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[GoldenFolder, Room]]:
    """A folder that cannot be written to, and what makes room. A file system of its own if that may be mounted, else
    what the system would say is said at the last moment before it."""
    folder.mkdir()
    full = request.param == "full"
    options = "size=64k,nr_inodes=40" if full else "size=64m,ro"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode == 0:
        try:
            yield (
                GoldenFolder(folder),
                lambda: subprocess.run(["mount", "-o", "remount,rw,size=64m,nr_inodes=0", folder], check=True),
            )
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
        return
    left = [9 if full else 0]
    number = errno.ENOSPC if full else errno.EROFS

    def at(point: str) -> None:
        left[0] -= point == "half written"
        if point == "half written" and left[0] < 0:
            raise OSError(number, os.strerror(number))

    yield GoldenFolder(folder, at), lambda: left.__setitem__(0, 10**9)


async def test_a_folder_without_room_stops_the_goldens_until_there_is_some(
    memory: MemoryStore, cramped: tuple[GoldenFolder, Room], key_file: Path
) -> None:
    place, make_room = cramped
    await fill(memory, 30, 1)
    projector = Projector(memory, [GoldensProjection(GoldenPlace(memory, place, key_file))])
    following = asyncio.create_task(projector.run())
    await until(lambda: "the goldens of tenant default in" in _error(memory))
    recorder = GoldenRecorder(place, keys(), lambda: NOW)
    wanted = wanted_goldens(memory)
    for name, data in goldens_below(place.root).items():
        assert data == wanted[name], "there is no half-written file"
    for _, run_id in recorder.runs():
        assert {fault.kind for fault in recorder.verify_golden(run_id or "").faults} <= {"unsigned"}
    make_room()
    await until(lambda: goldens_below(place.root) == wanted and not _error(memory))
    projector.drain()
    await following
    assert all_valid(memory, place.root, key_file)


async def test_a_projection_that_is_broken_stands_still_alone(memory: MemoryStore) -> None:
    class Broken:
        name, version, tables, strict, always = "broken", 1, (), True, True

        def is_due(self, run: object) -> bool:
            return True

        def rows(self, run: object) -> dict[str, list[tuple[object, ...]]]:
            return {}

        def settle(self) -> None:
            raise ZeroDivisionError("what nobody thought of")

    memory.commit([Writer().run("a")], "w")
    projector = Projector(memory, [Broken()])
    following = asyncio.create_task(projector.run())
    await until(lambda: (of := memory.tables.generations("broken")) and "what nobody" in (of[0].error or ""))
    projector.drain()
    with suppress(asyncio.CancelledError):
        await following
