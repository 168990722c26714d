"""`file_write`, on real files."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from refold.core.canonical import canonical_json
from refold.core.errors import Failure
from refold.core.runtime.payloads import output_of
from refold.core.skills import files
from refold.core.skills.files import file_write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    monkeypatch.setenv("REFOLD_FILES_ROOT", str(folder))
    return folder


def _write(inputs: dict[str, Any]) -> Any:
    return output_of(file_write(**file_write.bind(canonical_json(inputs), None))).value


def _refused(inputs: dict[str, Any], code: str = "FILE_REFUSED") -> str:
    with pytest.raises(Failure) as caught:
        _write(inputs)
    assert caught.value.step_code == code
    return str(caught.value)


def test_text_is_written_and_described(root: Path) -> None:
    data = "grüße\n".encode()
    result = _write({"path": "notes/today.txt", "content": "grüße\n"})
    assert (root / "notes" / "today.txt").read_bytes() == data
    assert result == {"path": "notes/today.txt", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_json_is_written_canonically(root: Path) -> None:
    _write({"path": "a.json", "json": {"b": 1.0, "a": [True]}})
    assert (root / "a.json").read_bytes() == b'{"a":[true],"b":1}'


def test_writing_again_gives_the_same_and_leaves_nothing_behind(root: Path) -> None:
    inputs = {"path": "a.txt", "content": "x"}
    assert _write(inputs) == _write(inputs)
    _write({"path": "a.txt", "content": "shorter no more"})
    assert (root / "a.txt").read_text() == "shorter no more"
    assert os.listdir(root) == ["a.txt"]


def test_without_a_variable_the_current_folder_is_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFOLD_FILES_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert _write({"path": "here.txt", "content": ""})["bytes"] == 0
    assert (tmp_path / "here.txt").exists()


def test_dots_that_stay_inside_are_followed(root: Path) -> None:
    assert _write({"path": "a/../b/./c.txt", "content": "x"})["path"] == "b/c.txt"


@pytest.mark.parametrize(
    "path", ["", "/etc/motd", "a\0b", "../outside/x", "a/../../outside/x", "..", ".", "a/..", "../root2/x"]
)
def test_a_path_that_leaves_the_folder_is_refused(root: Path, path: str) -> None:
    (root.parent / "root2").mkdir()
    _refused({"path": path, "content": "x"})
    assert os.listdir(root) == [] and os.listdir(root.parent / "outside") == []
    assert os.listdir(root.parent / "root2") == []


def test_links_are_followed_before_the_path_is_judged(root: Path) -> None:
    outside = root.parent / "outside"
    (outside / "target.txt").write_text("untouched")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "target.txt")
    (root / "dangling").symlink_to(outside / "new.txt")
    for path in ("folder/x", "file", "dangling", "folder/../../root/x/../../outside/y"):
        _refused({"path": path, "content": "x"})
    assert os.listdir(outside) == ["target.txt"] and (outside / "target.txt").read_text() == "untouched"


def test_a_link_that_stays_inside_is_written_through(root: Path) -> None:
    (root / "real").mkdir()
    (root / "link").symlink_to(root / "real")
    assert _write({"path": "link/a.txt", "content": "x"})["path"] == "real/a.txt"


def test_a_circle_of_links_is_refused(root: Path) -> None:
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    _refused({"path": "a/x", "content": "x"})


def test_a_link_put_there_after_the_check_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "folder").mkdir()
    check = files._within

    def check_then_swap(*args: Any) -> Path:
        target = check(*args)
        (root / "folder").rmdir()
        (root / "folder").symlink_to(root.parent / "outside")
        return target

    monkeypatch.setattr(files, "_within", check_then_swap)
    _refused({"path": "folder/x", "content": "x"}, "FILE_ERROR")
    assert os.listdir(root.parent / "outside") == []


def test_a_link_at_the_name_itself_is_replaced_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = root.parent / "outside" / "victim"
    victim.write_text("untouched")
    check = files._within

    def check_then_swap(*args: Any) -> Path:
        target = check(*args)
        (root / "name").symlink_to(victim)
        return target

    monkeypatch.setattr(files, "_within", check_then_swap)
    _write({"path": "name", "content": "x"})
    assert victim.read_text() == "untouched" and not (root / "name").is_symlink()


@pytest.mark.parametrize("inputs", [{}, {"content": "x", "json": 1}])
def test_one_of_text_and_json_is_written(root: Path, inputs: dict[str, Any]) -> None:
    message = _refused({"path": "a", **inputs}, "SKILL_INPUT_INVALID")
    assert "give one of the inputs 'content' and 'json'" in message


def test_what_the_system_refuses_for_good_is_not_tried_again(root: Path) -> None:
    (root / "folder").mkdir()
    (root / "file").touch()
    for path in ("folder", "file/below", "n" * 300):
        with pytest.raises(Failure) as caught:
            _write({"path": path, "content": "x"})
        assert (caught.value.step_code, caught.value.retryable) == ("FILE_ERROR", False)
    assert sorted(os.listdir(root)) == ["file", "folder"], "no temporary file stays behind"


def test_a_missing_root_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_FILES_ROOT", str(tmp_path / "nowhere"))
    _refused({"path": "a", "content": "x"}, "FILE_MISSING")


def test_a_full_disk_leaves_the_old_file_and_may_be_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write({"path": "a.txt", "content": "old"})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(Failure, match="No space left") as caught:
        _write({"path": "a.txt", "content": "new"})
    assert (caught.value.step_code, caught.value.retryable) == ("DISK_FULL", None)
    assert (root / "a.txt").read_text() == "old" and os.listdir(root) == ["a.txt"]


def test_file_then_folder_are_made_durable_around_the_rename(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def noted_replace(*args: Any, **kwargs: Any) -> None:
        done.append("rename")
        replace(*args, **kwargs)

    monkeypatch.setattr(files.os, "fsync", noted_fsync)
    monkeypatch.setattr(files.os, "replace", noted_replace)
    _write({"path": "a.txt", "content": "x"})
    assert done == ["file", "rename", "folder"]
