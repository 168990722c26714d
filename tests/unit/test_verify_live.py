"""A run may go on while it is verified: that is no fault of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from refold import WorkflowEngine
from refold.core.ports import EMPTY, Head, Record
from refold.eventstore.chain import event_hash
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import SealedAppend, SealedUnit
from refold.replay.verify import verify_run
from refold.tests.support.workflows import soon, until

STEPS = 60


@pytest.fixture(scope="module")
def units() -> list[SealedUnit]:
    """A finished run, as one unit for each of its events."""
    store = MemoryStore()
    steps = [{"step_id": f"s{n}", "skill_id": "echo", "inputs": {"n": n}} for n in range(STEPS)]

    async def run() -> None:
        async with WorkflowEngine(store) as engine:
            await engine.run({"workflow_type": "live", "steps": steps}, "run")

    asyncio.run(run())
    made: list[SealedUnit] = []
    head = EMPTY
    for record in store.read("default/run"):
        after = Head(record.version, event_hash(*record))
        made.append(SealedUnit([SealedAppend(record.stream, head, [record], after)], {}, ()))
        head = after
    return made


class Growing(MemoryStore):
    """Somebody appends whenever it is looked at, until there is nothing left to append."""

    def __init__(self, units: list[SealedUnit], each: int):
        super().__init__()
        self._units = iter(units)
        self._each = each

    def grow(self, count: int) -> None:
        for _ in range(count):
            unit = next(self._units, None)
            if unit is not None:
                assert self.commit([unit], "somebody") == [True]

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        self.grow(self._each)
        return super().read(stream, after, limit)


@pytest.mark.parametrize("each", [1, 5, 20])
def test_a_run_that_grows_while_it_is_read_is_proved_as_it_stood_at_one_moment(units: Any, each: int) -> None:
    store = Growing(units, each)
    store.grow(1)
    proof = verify_run(store, "run")
    assert proof.ok, proof
    assert 1 <= proof.events <= STEPS + 2


def test_a_run_that_has_just_begun_is_proved(units: Any) -> None:
    store = Growing(units, 0)
    store.grow(1)
    proof = verify_run(store, "run")
    assert proof.ok and (proof.events, proof.status, proof.workflow_hash) == (1, "running", None)
    assert proof.to_json()["chain"] == {"ok": True, "findings": []}


async def test_a_signal_too_large_for_its_event_is_proved_with_its_payload() -> None:
    store = MemoryStore()
    spec = {"workflow_type": "large", "steps": [{"step_id": "a", "skill_id": "wait_signal", "inputs": {"name": "go"}}]}
    async with WorkflowEngine(store) as engine:
        running = asyncio.ensure_future(engine.run(spec, "run"))
        await until(lambda: store.read("default/run"))
        await engine.signal("run", "go", {"text": "x" * 70_000})
        await soon(running)
    (message,) = store.read("default/run/inbox")
    assert b"body_ref" in message.state
    proof = verify_run(store, "run")
    assert proof.ok, proof
