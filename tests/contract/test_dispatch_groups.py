"""Claiming among many kinds of runs, and what it costs when most of them sleep or queue up."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from refold import open_store
from refold.eventstore.dispatch import POSTGRES, SQLITE, DispatchRow, SQLDispatch
from refold.eventstore.store import Store

FUTURE = 4e9
MANY = 3000
A_FEW = 300


@pytest.mark.parametrize("seed", range(3))
def test_of_many_kinds_those_that_are_due_are_given_by_priority_and_then_by_time(store: Store, seed: int) -> None:
    random = Random(seed)
    kinds = (["a", "b", "night"], ['["x"]', '["x","y"]', '["z"]'], [-1, 0, 0, 7])
    rows = [
        DispatchRow(f"default/run-{n}", *_chosen(random, kinds), due_at=random.choice([0.0, n + 1.0, FUTURE]))
        for n in random.sample(range(60), 60)
    ]
    store.dispatch.replace(rows)
    queues, needs = ["a", "night"], ['["x"]', '["z"]']
    due = [row for row in rows if row.queue in queues and row.due_at < FUTURE]
    assert sorted(store.dispatch.due_needs(queues)) == sorted({row.needs for row in due})
    served = sorted((-row.priority, row.due_at) for row in due if row.needs in needs)
    given = list(itertools.chain(*iter(lambda: store.dispatch.claim("me", queues, needs, 5, 60), [])))
    by_stream = {row.stream: row for row in rows}
    batches = [sorted((-by_stream[s].priority, by_stream[s].due_at) for s in batch) for batch in _fives(given)]
    assert list(itertools.chain(*batches)) == served


def test_a_spec_may_need_more_skills_than_fit_into_an_index(store: Store) -> None:
    needs = "[" + ",".join(f'"skill-{Random(n).random()}"' for n in range(5000)) + "]"
    store.dispatch.replace([DispatchRow("default/large", "default", 0, needs, 0.0)])
    assert store.dispatch.due_needs(["default"]) == [needs]
    assert store.dispatch.claim("me", ["default"], [needs], 5, 60) == ["default/large"]


@pytest.mark.parametrize("due_at", [FUTURE, 1.0], ids=["asleep", "queued"])
def test_on_postgres_a_look_for_work_does_not_read_through_all_runs(postgres_url: str, due_at: float) -> None:
    open_store(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True, options="-c enable_seqscan=off") as connection:

        def seen(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".encode(), parameters).fetchone()
            assert row is not None
            visited.append(_rows_visited(row[0][0]["Plan"]))
            return connection.execute(sql.encode(), parameters).fetchall()

        visited: list[float] = []
        _fill(postgres_url, due_at)
        dispatch = SQLDispatch(seen, seen, lambda _: None, POSTGRES)
        dispatch.due_needs(["default"])
        dispatch.claim("me", ["default"], ['["x"]'], 10, 60)
        assert visited
        assert max(visited) < A_FEW, f"rows read by each statement: {visited}"


@pytest.mark.parametrize("due_at", [FUTURE, 1.0], ids=["asleep", "queued"])
def test_on_sqlite_a_look_for_work_does_not_read_through_all_runs(tmp_path: Path, due_at: float) -> None:
    _fill(f"sqlite:///{tmp_path}/log.db", due_at)
    connection = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    steps = itertools.count()
    connection.set_progress_handler(lambda: next(steps) < 0, 10)

    def seen(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return connection.execute(sql, parameters).fetchall()

    dispatch = SQLDispatch(seen, seen, lambda _: None, SQLITE)
    dispatch.due_needs(["default"])
    dispatch.claim("me", ["default"], ['["x"]'], 10, 60)
    connection.close()
    assert 10 * next(steps) < 2 * MANY, "more than two instructions for each row, most of which are of no concern"


def _fill(url: str, due_at: float) -> None:
    store = open_store(url)
    needs = ['["x"]', '["y"]']
    rows = [DispatchRow(f"default/run-{n}", "default", 0, needs[n % 2], due_at + n / 1000) for n in range(MANY)]
    store.dispatch.replace(rows)
    store.close()


def _rows_visited(plan: dict[str, Any]) -> float:
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([own, *map(_rows_visited, plan.get("Plans", []))])


def _chosen(random: Random, kinds: tuple[list[str], list[str], list[int]]) -> tuple[str, int, str]:
    queues, needs, priorities = kinds
    return random.choice(queues), random.choice(priorities), random.choice(needs)


def _fives(items: list[str]) -> list[list[str]]:
    return [items[start : start + 5] for start in range(0, len(items), 5)]
