"""Data keys while others rotate them, and while runs are erased that go on."""

from __future__ import annotations

import fcntl
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refold import WorkflowEngine, open_store
from refold.compose import data_keys_of
from refold.eventstore.data_keys import DataKeys
from refold.eventstore.master_keys import MasterKeys
from refold.ops.cli import erasing
from refold.ops.cli.main import app

PLACE = "default/a:1:run.started:inputs"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    named = tmp_path / "data-keys.json"
    MasterKeys.new().save(named)
    return named


def test_a_process_at_work_takes_up_keys_that_were_rotated(path: Path) -> None:
    store = open_store("memory:")
    worker = data_keys_of(store, path)
    worker.encrypt(PLACE, "default/a", b"Ada", None)
    MasterKeys.load(path).rotated().save(path)
    worker.encrypt(PLACE, "default/b", b"Eve", None)
    row = store.data_keys.get("default/b")
    assert row is not None and row.key_id == "d2"


def test_what_a_process_at_work_reads_is_still_there_after_a_rotation(path: Path) -> None:
    store = open_store("memory:")
    writer, worker = data_keys_of(store, path), data_keys_of(store, path)
    worker.ensure("default/other")
    sealed = writer.encrypt(PLACE, "default/a", b"Ada", None)
    assert sealed is not None
    rotated = MasterKeys.load(path).rotated()
    rotated.save(path)
    data_keys_of(store, path).rewrap()
    rotated.without("d1").save(path)
    assert worker.decrypt(PLACE, "default/a", sealed) == b"Ada"


def test_a_key_made_while_the_master_key_goes_is_wrapped_by_the_one_that_stays(path: Path) -> None:
    store = open_store("memory:")
    old = MasterKeys.load(path)
    new = old.rotated().without("d1")
    given = iter([old])
    worker = DataKeys(store.data_keys, lambda: next(given, new))
    sealed = worker.encrypt(PLACE, "default/a", b"Ada", None)
    assert sealed is not None
    row = store.data_keys.get("default/a")
    assert row is not None and row.key_id == "d2"
    assert DataKeys(store.data_keys, lambda: new).decrypt(PLACE, "default/a", sealed) == b"Ada"


def test_nobody_else_rotates_meanwhile(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with closing(open_store(url)) as store:
        data_keys_of(store, path).ensure("default/a")
    refused: list[bool] = []

    def looked(*arguments: Any) -> DataKeys:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refused.append(True)
        finally:
            os.close(folder)
        return data_keys_of(*arguments)

    monkeypatch.setattr(erasing, "data_keys_of", looked)
    words = ["--database", url, "data-keys", "rotate", "--data-keys", str(path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert refused == [True]


def test_what_descends_from_an_erased_run_gets_no_key(path: Path) -> None:
    store = open_store("memory:")
    worker = data_keys_of(store, path)
    worker.ensure("default/a")
    worker.destroy("default/a")
    assert worker.encrypt("default/b:1", "default/b", b"Ada", "default/a") is None
    assert store.data_keys.children("default/a") == ["default/b"]


async def test_what_begins_while_its_parent_is_erased_is_erased_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("memory:")
    async with WorkflowEngine(store, data_keys=path) as engine:
        keys = engine.data_keys
        keys.ensure("default/a")
        destroy = keys.destroy

        def begun_meanwhile(stream: str) -> bool:
            keys.ensure("default/child", "default/a")
            return destroy(stream)

        monkeypatch.setattr(keys, "destroy", begun_meanwhile)
        assert await engine.erasures.run("a") == ["a", "child"]
        assert sorted((await engine.erasures.read()).erased) == ["default/a", "default/child"]
    assert [row.wrapped for row in store.data_keys.rows("", 10)] == [None, None]
