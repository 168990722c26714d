"""What every store of checkpoints does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from refold.core.canonical import canonical_json
from refold.core.errors import CallError, IntegrityError
from refold.core.events import RunPaused, RunStarted
from refold.core.hashing import sha256_hex
from refold.core.state import evolve, start
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    CheckpointsProjection,
    CheckpointStatus,
    CheckpointStore,
    InMemoryCheckpointStore,
    TableCheckpointStore,
    checkpoint_of,
    state_of,
)
from refold.tests.support.states import slots_of
from refold.tests.support.units import started

OWNER = "the projection"


@pytest.fixture(params=["plain", "memory", "sqlite", "postgres"])
def checkpoints(request: pytest.FixtureRequest) -> Iterator[CheckpointStore]:
    """The store that only keeps them, and the table in each store."""
    if request.param == "plain":
        yield InMemoryCheckpointStore()
        return
    if request.param == "memory":
        yield held(MemoryStore())
    else:
        yield held(request.getfixturevalue(f"{request.param}_place").open())


def held(store: Store) -> TableCheckpointStore:
    number = store.tables.create("checkpoints", 1, CheckpointsProjection.tables)
    assert store.tables.claim("checkpoints", number, OWNER, 60)
    return TableCheckpointStore(store.tables, OWNER)


def checkpoint(run_id: str = "a", tenant: str = "default", at: int = 5, **changed: Any) -> Checkpoint:
    state = start(first(run_id, tenant))
    return replace(checkpoint_of(tenant, run_id, state, 1, at), **changed)


def first(run_id: str, tenant: str) -> RunStarted:
    return started(run_id, tenant, {"x": 0.1, "y": "é\0"})


def test_a_checkpoint_comes_back_as_it_was_saved(checkpoints: CheckpointStore) -> None:
    saved = checkpoint()
    digest = checkpoints.save(saved)
    found = checkpoints.load("a")
    assert found is not None and found == saved and found.content_hash == digest
    assert slots_of(state_of(found)) == slots_of(start(first("a", "default")))


def test_what_was_not_saved_is_not_there(checkpoints: CheckpointStore) -> None:
    checkpoints.save(checkpoint())
    assert checkpoints.load("b") is None and checkpoints.load("a", "other") is None


def test_an_update_keeps_when_the_checkpoint_was_made(checkpoints: CheckpointStore) -> None:
    checkpoints.save(checkpoint(created_at=1, updated_at=1))
    checkpoints.save(checkpoint(created_at=9, updated_at=9, status="completed", version=7))
    found = checkpoints.load("a")
    assert found and (found.created_at, found.updated_at, found.status, found.version) == (1, 9, "completed", 7)


def test_a_deleted_checkpoint_is_gone(checkpoints: CheckpointStore) -> None:
    checkpoints.save(checkpoint())
    checkpoints.save(checkpoint("b"))
    assert checkpoints.delete("a") and not checkpoints.delete("a")
    assert checkpoints.load("a") is None and checkpoints.load("b") is not None


def test_running_ones_are_listed_the_longest_silent_first(checkpoints: CheckpointStore) -> None:
    for number, status in enumerate(("running", "completed", "running", "paused", "failed", "running")):
        checkpoints.save(checkpoint(f"r{number}", at=100 - number, status=status))
    checkpoints.save(checkpoint("r0", "other", at=0))
    assert [each.run_id for each in checkpoints.list_running()] == ["r0", "r5", "r2", "r0"]
    assert [each.tenant for each in checkpoints.list_running(2)] == ["other", "default"]


def test_the_hash_is_of_the_canonical_json_of_all_but_the_times(checkpoints: CheckpointStore) -> None:
    saved = checkpoint()
    content = {
        "tenant": "default",
        "run_id": "a",
        "workflow_id": "made-by-hand#1",
        "next_step_index": 0,
        "last_result_hash": None,
        "step_outputs": {},
        "status": "running",
        "version": 1,
    }
    whole = {**content, "state": json.loads(saved.state_json)}
    assert checkpoints.save(saved) == sha256_hex(canonical_json(whole))
    assert checkpoints.save(replace(saved, updated_at=77)) == saved.content_hash
    for name, other in (("status", "failed"), ("version", 2), ("next_step_index", 1), ("step_outputs_json", '{"a":1}')):
        assert checkpoints.save(replace(saved, **{name: other})) != saved.content_hash, name


def test_a_run_that_cannot_be_is_refused_by_the_table() -> None:
    with pytest.raises(CallError):
        held(MemoryStore()).load("no/such")


def test_only_the_projections_owner_writes_the_table() -> None:
    store = MemoryStore()
    held(store)
    with pytest.raises(IntegrityError, match="only the owner"):
        TableCheckpointStore(store.tables, "somebody").save(checkpoint())
    assert TableCheckpointStore(store.tables).list_running() == []


def test_an_altered_row_is_found_out() -> None:
    row = checkpoint().row()
    place = CHECKPOINTS.names.index("next_step_index")
    with pytest.raises(IntegrityError, match="the checkpoint of default/a was altered"):
        Checkpoint.of_row((*row[:place], 3, *row[place + 1 :]))


def test_a_paused_run_has_a_checkpoint_that_says_so() -> None:
    state = start(first("a", "default"))
    evolve(state, RunPaused(9, 1, "coffee"))
    assert checkpoint_of("default", "a", state, 2, 9).status == "paused"
    assert get_args(CheckpointStatus) == ("running", "completed", "failed", "paused")
