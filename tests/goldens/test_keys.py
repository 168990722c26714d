"""The file of keys: private, strict, and silent about secrets."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from refold import CallError
from refold.projections.golden_keys import GoldenKeys, new_secret
from refold.tests.support.goldens import NOW, keys

SECRET = base64.b64encode(b"s" * 32).decode()

TWICE = f'"a": {{"secret": "{SECRET}"}}'


def written(folder: Path, document: Any, mode: int = 0o600) -> Path:
    path = folder / "keys.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def test_keys_are_saved_privately_and_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = keys("k1").rotated("k2", NOW, 0.5)
    before = os.umask(0)
    try:
        made.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and os.listdir(tmp_path) == ["keys.json"]
    again = GoldenKeys.load(path)
    assert again.current == "k2" and again.ids == made.ids == {"k1": NOW + 500_000, "k2": None}
    assert again.secret_to_sign() == made.secret_to_sign() and len(again.secret_to_sign()) == 32
    assert again.secret_to_verify("k1", NOW) == (b"k1".ljust(32, b"-"), "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": {"secret": SECRET}}}, mode)
    with pytest.raises(CallError, match=rf"others may read or write .* \(mode {mode:04o}\)\. Fix: chmod 600 "):
        GoldenKeys.load(path)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("", "is no JSON"),
        ("{" * 10_000, "is no JSON"),
        ([], "does not hold keys"),
        ({}, "does not hold keys"),
        ({"current": "a", "keys": {}}, "the current key is not among the keys"),
        ({"current": "a", "keys": {"b": {"secret": SECRET}}}, "the current key is not among the keys"),
        ({"current": 1, "keys": {"a": {"secret": SECRET}}}, "does not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": SECRET}}, "more": 1}, "does not hold keys"),
        ({"current": "a", "keys": {"a": SECRET}}, "does not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": "no base64!" + SECRET}}}, "does not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": SECRET[:20]}}}, "shorter than 32 bytes"),
        ({"current": "a", "keys": {"a": {"secret": SECRET, "retired": 1}}}, "does not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": SECRET, "retired_at": "soon"}}}, "does not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": SECRET, "retired_at": "2026-01-01T00:00:00"}}}, "not hold keys"),
        ({"current": "a", "keys": {"a": {"secret": SECRET, "retired_at": "2026-01-01T00:00:00Z"}}}, "is retired"),
        ({"current": "a b", "keys": {"a b": {"secret": SECRET}}}, "a key is called"),
        (f'{{"current": "a", "keys": {{{TWICE}, {TWICE}}}}}', "is no JSON"),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_refused_without_a_word_of_secrets(
    tmp_path: Path, document: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(CallError, match=reason) as refused:
        GoldenKeys.load(written(tmp_path, document))
    told = f"{refused.value!r}{refused.value}{refused.value.__cause__!r}{caplog.text}"
    assert SECRET[:12] not in told and "ssss" not in told
    assert refused.value.__suppress_context__


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/null")):
        with pytest.raises(CallError, match=r"the key file .* (cannot be read|is no file)"):
            GoldenKeys.load(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(CallError, match="is no file"):
        GoldenKeys.load(tmp_path / "pipe")


def test_secrets_are_in_no_text_and_cannot_be_pickled() -> None:
    made = keys("k1", "k2")
    assert "k1---" not in f"{made!r} {made} {vars(made)!r}" and "k2" in repr(made)
    with pytest.raises(TypeError, match="not to be copied"):
        pickle.dumps(made)


def test_a_new_key_needs_a_name_of_its_own() -> None:
    with pytest.raises(CallError, match="there is a key 'k1' already"):
        keys("k1").rotated("k1", NOW, 0)
    with pytest.raises(CallError, match="a key is called"):
        keys("k1").rotated("no name", NOW, 0)
    assert len({new_secret() for _ in range(100)}) == 100


def test_a_key_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "keys.json"):
        with pytest.raises(CallError, match="cannot be written"):
            GoldenKeys("a", {"a": new_secret()}).save(path)
    assert os.listdir(tmp_path) == ["folder"]
