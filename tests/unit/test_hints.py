"""What is worth a hint, and how often one is given."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from refold.core.ports import NEVER, Dispatch, Schedule, Unschedule, Wake
from refold.eventstore import hints_postgres
from refold.eventstore.hints import makes_due
from refold.eventstore.hints_postgres import PostgresHints
from refold.eventstore.hints_sqlite import SQLiteHints
from refold.eventstore.sealing import SealedUnit

NOW = 1_000_000


@pytest.mark.parametrize(
    ("change", "worth"),
    [
        (Schedule("default/r", 0, due=NOW), True),
        (Schedule("default/r", 0, due=NOW + 1), False),
        (Schedule("default/r", 0, due=NEVER), False),
        (Schedule("default/r", 30.0, due=NOW), False),
        (Wake("default/r"), True),
        (Unschedule("default/r"), False),
    ],
)
def test_only_work_that_anybody_may_take_now_is_worth_a_hint(change: Dispatch, worth: bool) -> None:
    idle = SealedUnit((), {}, ())
    assert makes_due([idle, SealedUnit((), {}, (change,)), idle], NOW) is worth


def test_postgres_is_told_no_more_often_than_it_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(hints_postgres.time, "monotonic", lambda: seconds[0])
    sent: list[float] = []

    def connect() -> None:
        raise AssertionError("nobody listens here")

    hints = PostgresHints(lambda: sent.append(seconds[0]), connect)  # pyright: ignore[reportArgumentType]
    for _ in range(100):
        hints.give()
        seconds[0] += 0.001
    assert len(sent) == 5
    assert all(later - earlier >= hints_postgres.NOTIFY_SECONDS for earlier, later in pairwise(sent))


def test_a_hint_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    hints = SQLiteHints(tmp_path / "log.db")
    hints.give()
    (tmp_path / "log.db-hint").unlink()
    hints.give()
    assert (tmp_path / "log.db-hint").read_bytes() == b""


def test_a_folder_that_is_gone_takes_no_hint_and_does_no_harm(tmp_path: Path) -> None:
    heard: list[str] = []
    hints = SQLiteHints(tmp_path / "gone" / "log.db")
    stop = hints.listen(lambda: heard.append("here"))
    hints.give()
    stop()
    assert heard == ["here"]
