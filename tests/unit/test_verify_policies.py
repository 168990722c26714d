"""Every tampering with an adopted policy is found, on both databases, and the event is named by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refold import IntegrityError, Policy, WorkflowEngine
from refold.core.ids import POLICIES
from refold.core.ports import EMPTY, Record
from refold.replay.control import ControlVerification
from refold.replay.jobs import control_streams
from refold.replay.policy_control import verify_policies
from refold.tests.support.tampering import Crime, changed, postgres_scene, rechained, renumbered, sqlite_scene


def policy(version: str, reason: str = "x") -> Policy:
    return Policy.parse({"policy": "p", "version": version, "rules": [{"rule": "r", "deny": reason}]})


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crime]:
    scene = sqlite_scene(tmp_path_factory.mktemp("crime")) if request.param == "sqlite" else postgres_scene()
    with scene as opened:
        asyncio.run(adopt(opened))
        yield opened


async def adopt(crime: Crime) -> None:
    """Three versions of one policy; the second twice, which is recorded once."""
    async with WorkflowEngine(crime.store) as engine:
        for version in ("1", "2", "2", "3"):
            await engine.policies.adopt(policy(version), "somebody")


def proof(crime: Crime) -> ControlVerification:
    """The verdict, which must be one."""
    found = verify_policies(crime.store)
    assert found is not None
    return found


def test_what_nobody_touched_is_intact_and_part_of_verifying_everything(crime: Crime) -> None:
    assert proof(crime).ok and proof(crime).events == 3
    assert POLICIES in [each.stream for each in control_streams(crime.store, "default")]


def _data(**fields: Any) -> Callable[[Record], Record]:
    return lambda record: changed(record, lambda envelope: envelope["data"].update(fields))


CHANGES: dict[str, Callable[[list[Record]], list[Record]]] = {
    "document": lambda r: [r[0], _data(document={"policy": "p", "version": "2"})(r[1]), r[2]],
    "by": lambda r: [r[0], _data(by="somebody else")(r[1]), r[2]],
    "time": lambda r: [r[0], changed(r[1], lambda envelope: envelope.update(at=5)), r[2]],
    "topic": lambda r: [r[0], r[1]._replace(topic="message.sent"), r[2]],
    "removed": lambda r: [r[0], r[2]],
    "removed and renumbered": lambda r: renumbered([r[0], r[2]]),
    "swapped": lambda r: renumbered([r[0], r[2], r[1]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_middle_is_found_by_the_chain(crime: Crime, change: str) -> None:
    with crime.stage(POLICIES, CHANGES[change](crime.records(POLICIES))):
        found = proof(crime)
        assert found.chain and not found.ok and {finding.number for finding in found.chain} <= {2, 3}, found


def test_a_last_event_that_was_changed_or_cut_off_is_found(crime: Crime) -> None:
    records = crime.records(POLICIES)
    for forged in ([*records[:2], _data(by="x")(records[2])], records[:2], []):
        with crime.stage(POLICIES, forged):
            assert proof(crime).chain
    with crime.stage(POLICIES, records, EMPTY):
        assert [finding.kind for finding in proof(crime).chain] == ["head"]


FORGERIES: dict[str, tuple[Callable[[list[Record]], list[Record]], int, str]] = {
    "another content": (
        lambda r: [r[0], _data(document={"policy": "p", "version": "2", "sandbox": "all"})(r[1]), r[2]],
        2,
        "the hash is",
    ),
    "another name": (lambda r: [_data(name="q")(r[0]), r[1], r[2]], 1, "says that it is another one"),
    "another version": (lambda r: [r[0], _data(version="1")(r[1]), r[2]], 2, "says that it is another one"),
    "twice": (lambda r: [r[0], r[1], r[1]], 3, "was adopted already"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_changed_with_a_new_chain_is_found_by_what_it_says(crime: Crime, forgery: str) -> None:
    change, number, reason = FORGERIES[forgery]
    forged, head = rechained(renumbered(change(crime.records(POLICIES))))
    with crime.stage(POLICIES, forged, head):
        found = proof(crime)
        assert found.chain == () and [finding.number for finding in found.fold] == [number]
        assert reason in found.fold[0].reason


def test_nobody_goes_by_a_policy_while_the_log_of_policies_is_forged(crime: Crime) -> None:
    async def adopt_again() -> None:
        async with WorkflowEngine(crime.store) as engine:
            await engine.policies.adopt(policy("4"))

    records = crime.records(POLICIES)
    with crime.stage(POLICIES, [*records[:2], _data(version="9")(records[2])]), pytest.raises(IntegrityError):
        asyncio.run(adopt_again())
