"""Runs of functions under an attacker who computes the chain anew: what the fold still finds, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from refold import call, gather, patched, run_workflow, set_attribute, wait_signal, workflow
from refold.core.canonical import Payload
from refold.core.ports import Record
from refold.eventstore.memory import MemoryStore
from refold.replay.folding import prove_fold
from refold.tests.support.functions import Stage
from refold.tests.support.tampering import changed, rechained
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(60)


@workflow
async def child(n: int) -> int:
    return n


@workflow
async def all_of_it() -> Any:
    set_attribute("kind", "test")
    if patched("new"):
        await call("note", x="patched")
    await gather(call("note", x=1), run_workflow(child, {"n": 2}))
    return await wait_signal("go")


@pytest.fixture
async def records() -> tuple[list[Record], list[Record]]:
    """The records of a run that has nearly everything in it, and of its inbox."""
    stage = Stage(all_of_it, child)
    async with stage.running(all_of_it) as (engine, run):
        await until(lambda: stage.topics().count("step.waiting") == 2)
        await soon(engine.signal("r", "go", {"x": 1}))
        await soon(run)
    store: MemoryStore = stage.store  # type: ignore[assignment]
    return store.read("default/r"), store.read("default/r/inbox")


BOUND: dict[str, set[str]] = {
    "step.completed": {
        "index",
        "step_id",
        "skill_id",
        "attempt",
        "inputs",
        "inputs_hash",
        "output",
        "output_hash",
        "step_hash",
    },
    "step.waiting": {"index", "step_id", "skill_id", "inputs", "inputs_hash"},
    "signal.received": {"message", "name", "body"},
    "child.ended": {"message", "child", "status", "output", "error_code", "reason"},
    "patch.applied": set(),
    "attributes.set": set(),
    "run.completed": {"output", "output_hash", "workflow_hash", "cost_cents"},
}
"""Fields that follow from others. What a function noted, and that its output is right, only a replay can say."""


def found(records: tuple[list[Record], list[Record]], number: int, field: str, value: Any) -> bool:
    """Whether the fold finds a lie told in one field."""
    mine = list(records[0])
    mine[number] = changed(mine[number], lambda envelope: envelope["data"].update({field: value}))
    chained, _ = rechained(mine)
    return bool(prove_fold("default/r", chained, {}, records[1])[1])


OTHER: dict[type, Any] = {
    int: 77,
    float: 77.5,
    str: "other",
    type(None): "other",
    dict: {"other": 1},
    list: [1],
    bool: {},
}


async def test_what_follows_from_other_fields_is_bound_by_the_fold(records: tuple[list[Record], list[Record]]) -> None:
    free: dict[str, set[str]] = {}
    for number, record in enumerate(records[0]):
        fields = Payload.from_canonical(record.state).value["data"]
        for field, value in fields.items():
            lied = found(records, number, field, OTHER[type(value)])
            if field in BOUND.get(record.topic, ()) and (record.topic, field) != ("run.completed", "output"):
                assert lied, f"{record.topic}.{field} of event {number + 1} is not bound"
            elif not lied:
                free.setdefault(record.topic, set()).add(field)
    assert free["patch.applied"] >= {"patch"} and free["attributes.set"] >= {"attributes"}, "the chain alone binds them"
    assert free["run.started"] >= {"source", "inputs"}, "they bind nothing but what the function would do"


async def test_a_function_has_no_outcome_twice_and_nothing_after_its_end(
    records: tuple[list[Record], list[Record]],
) -> None:
    mine, inbox = records
    for number, record in enumerate(mine):
        if record.topic == "attributes.set":
            continue  # Setting the same again changes nothing.
        twice, _ = rechained([*mine[: number + 1], record, *mine[number + 1 :]])
        assert prove_fold("default/r", twice, {}, inbox)[1], f"{record.topic} twice"
        after, _ = rechained([*mine, record])
        assert prove_fold("default/r", after, {}, inbox)[1]


async def test_outcomes_that_are_left_out_are_missed(records: tuple[list[Record], list[Record]]) -> None:
    mine, inbox = records
    for number, record in enumerate(mine[:-1]):
        if record.topic in ("attributes.set", "patch.applied"):
            continue
        fewer, _ = rechained([*mine[:number], *mine[number + 1 :]])
        missed = bool(prove_fold("default/r", fewer, {}, inbox)[1])
        assert missed or record.topic == "step.waiting", record.topic
