"""Every tampering with a registered spec is found, on both databases, and the event is named by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refold import IntegrityError, WorkflowEngine
from refold.core.ids import specs_of
from refold.core.ports import EMPTY, Head, Record
from refold.eventstore.codec import references
from refold.replay.control import ControlVerification, verify_specs
from refold.tests.support.tampering import LARGE, Crime, changed, postgres_scene, rechained, renumbered, sqlite_scene
from refold.tests.support.workflows import spec, step

STREAM = specs_of("default")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crime]:
    scene = sqlite_scene(tmp_path_factory.mktemp("crime")) if request.param == "sqlite" else postgres_scene()
    with scene as opened:
        asyncio.run(register(opened))
        yield opened


async def register(crime: Crime) -> None:
    """Four versions of one workflow, the third of them a large one."""
    async with WorkflowEngine(crime.store) as engine:
        for version, text in (("1", "a"), ("2", "b"), ("3", LARGE), ("4", "d")):
            await engine.specs.put({**spec(step("a", text=text)), "workflow_type": "order", "version": version})


def proof(crime: Crime) -> ControlVerification:
    """The verdict, which must be one."""
    found = verify_specs(crime.store)
    assert found is not None
    return found


def test_what_nobody_touched_is_intact(crime: Crime) -> None:
    assert proof(crime).ok and proof(crime).events == 4
    assert verify_specs(crime.store, "nobody") is None


def _data(**fields: Any) -> Callable[[Record], Record]:
    return lambda record: changed(record, lambda envelope: envelope["data"].update(fields))


CHANGES: dict[str, Callable[[list[Record]], list[Record]]] = {
    "spec": lambda r: [r[0], _data(spec={"workflow_type": "order"})(r[1]), *r[2:]],
    "by": lambda r: [r[0], _data(by="somebody else")(r[1]), *r[2:]],
    "time": lambda r: [r[0], changed(r[1], lambda envelope: envelope.update(at=5)), *r[2:]],
    "topic": lambda r: [r[0], r[1]._replace(topic="message.sent"), *r[2:]],
    "removed": lambda r: [r[0], *r[2:]],
    "removed and renumbered": lambda r: renumbered([r[0], *r[2:]]),
    "swapped": lambda r: renumbered([r[0], r[2], r[1], r[3]]),
    "doubled": lambda r: renumbered([r[0], r[1], r[1], *r[2:]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_middle_is_found_by_the_chain(crime: Crime, change: str) -> None:
    with crime.stage(STREAM, CHANGES[change](crime.records(STREAM))):
        found = proof(crime)
        assert found.chain and {finding.number for finding in found.chain} <= {2, 3}, found
        assert all(finding.stream == STREAM for finding in found.chain)


def test_a_last_version_that_was_changed_or_cut_off_is_found(crime: Crime) -> None:
    records = crime.records(STREAM)
    for forged in ([*records[:3], _data(by="x")(records[3])], records[:3], []):
        with crime.stage(STREAM, forged):
            assert proof(crime).chain
    with crime.stage(STREAM, records, EMPTY):
        assert [finding.kind for finding in proof(crime).chain] == ["head"]
    with crime.stage(STREAM, records, Head(4, "0" * 64)):
        assert proof(crime).chain


def test_a_large_spec_that_was_changed_or_removed_is_found(crime: Crime) -> None:
    (digest,) = references(crime.records(STREAM))
    for data in (b"{}", None):
        with crime.payload(digest, data):
            assert [(finding.number, finding.kind) for finding in proof(crime).chain] == [(3, "payload")]
            assert [finding.number for finding in proof(crime).fold] == [3]


def test_a_spec_that_was_changed_with_a_new_chain_is_found_by_its_hash(crime: Crime) -> None:
    records = crime.records(STREAM)
    forged, head = rechained([_data(spec={**spec(step("a", text="evil")), "workflow_type": "order"})(records[0])])
    with crime.stage(STREAM, forged, head):
        found = proof(crime)
        assert found.chain == () and [finding.number for finding in found.fold] == [1]
        assert "the hash of order#1 is" in found.fold[0].reason


def test_a_spec_that_was_changed_cannot_be_run(crime: Crime) -> None:
    async def run() -> None:
        async with WorkflowEngine(crime.store) as engine:
            await engine.run("order#2", "never")

    records = crime.records(STREAM)
    forged = [
        records[0],
        _data(spec={**spec(step("a", text="evil")), "workflow_type": "order", "version": "2"})(records[1]),
    ]
    with crime.stage(STREAM, [*forged, *records[2:]]), pytest.raises(IntegrityError, match="the hash of order#2 is"):
        asyncio.run(run())
    assert "default/never" not in crime.store.streams("default")
