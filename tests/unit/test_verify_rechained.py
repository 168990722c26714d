"""The diligent attacker: changes an event and computes the whole chain anew, and the head with it.

Then the chain holds, and the fold has to find it. What the fold cannot find is written down here, one by one: that is
what goldens and published tree heads are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from refold.core.canonical import Payload
from refold.core.events import EVENTS
from refold.core.hashing import sha256_hex, step_hash, workflow_hash
from refold.core.ports import Record
from refold.core.seeds import step_seed
from refold.replay.verify import Verification, verify_run
from refold.tests.support.tampering import SPECS, Crime, changed, rechained, sqlite_scene

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def crime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crime]:
    with sqlite_scene(tmp_path_factory.mktemp("rechained")) as opened:
        yield opened


def attacked(crime: Crime, name: str, records: Sequence[Record], inbox: bool = False) -> Verification:
    """The verdict when these records stand in the place of the run's (or its inbox's), properly chained."""
    stream = f"default/{name}" + ("/inbox" if inbox else "")
    with crime.stage(stream, *rechained(records)):
        proof = verify_run(crime.store, name)
    assert proof.chain == (), "this attacker leaves no trace in the chain"
    return proof


def edited(crime: Crime, name: str, number: int, inbox: bool = False, /, **values: Any) -> list[Record]:
    """The records of the run with fields of one event replaced."""
    records = crime.records(f"default/{name}" + ("/inbox" if inbox else ""))
    records[number - 1] = changed(records[number - 1], lambda envelope: envelope["data"].update(values))
    return records


def test_every_run_that_is_chained_anew_unchanged_is_proved(crime: Crime) -> None:
    for name in SPECS:
        assert attacked(crime, name, crime.records(f"default/{name}")).ok


LIE = {"text": "Hello Eve"}
LIE_HASH = Payload.of(LIE).sha256
GREETED = 2


def greeting(crime: Crime, **values: Any) -> list[Record]:
    return edited(crime, "linear", GREETED, **values)


def lying_step_hash(crime: Crime) -> str:
    inputs_hash = Payload.of({"text": "Hello Ada"}).sha256
    return step_hash("greet", 0, "echo", step_seed(5, 0), inputs_hash, True, LIE_HASH, None)


def test_a_changed_output_does_not_fit_its_hash(crime: Crime) -> None:
    (finding,) = attacked(crime, "linear", greeting(crime, output=LIE)).fold
    assert (finding.number, finding.kind) == (GREETED, "hash") and finding.reason.startswith("output_hash")


def test_a_changed_output_with_its_hash_does_not_fit_the_step_hash(crime: Crime) -> None:
    (finding,) = attacked(crime, "linear", greeting(crime, output=LIE, output_hash=LIE_HASH)).fold
    assert (finding.number, finding.kind) == (GREETED, "hash") and finding.reason.startswith("step_hash")


def test_a_changed_outcome_with_all_its_hashes_does_not_fit_the_inputs_of_the_next_step(crime: Crime) -> None:
    lie = greeting(crime, output=LIE, output_hash=LIE_HASH, step_hash=lying_step_hash(crime))
    (finding,) = attacked(crime, "linear", lie).fold
    assert (finding.number, finding.kind) == (3, "hash") and finding.reason.startswith("inputs_hash")


def test_a_changed_outcome_that_nobody_uses_does_not_fit_the_workflow_hash(crime: Crime) -> None:
    lie = "d" * 64
    fine_hash = step_hash(
        "digest", 1, "hash", step_seed(5, 1), Payload.of({"text": "Hello Ada"}).sha256, True, lie, None
    )
    records = edited(crime, "linear", 3, output_hash=lie, step_hash=fine_hash)
    (finding,) = attacked(crime, "linear", records).fold
    assert finding.number == 3 and finding.reason.startswith("output_hash")
    output = Payload.of({"sha256": "e" * 64})
    fine_hash = step_hash(
        "digest", 1, "hash", step_seed(5, 1), Payload.of({"text": "Hello Ada"}).sha256, True, output.sha256, None
    )
    records = edited(crime, "linear", 3, output=output.value, output_hash=output.sha256, step_hash=fine_hash)
    (finding,) = attacked(crime, "linear", records).fold
    assert finding.number == len(records) and finding.reason.startswith("workflow_hash")


def test_a_lie_told_to_its_end_is_caught_only_by_a_golden_or_a_published_tree_head(crime: Crime) -> None:
    """Whoever computes every hash anew has made another run, which is as good as the first. Its hash is another one."""
    output = Payload.of({"sha256": "e" * 64})
    records = crime.records("default/linear")
    hashes = [changed_hash(record) for record in records if record.topic == "step.completed"]
    inputs_hash = Payload.of({"text": "Hello Ada"}).sha256
    hashes[1] = step_hash("digest", 1, "hash", step_seed(5, 1), inputs_hash, True, output.sha256, None)
    end = workflow_hash("linear", "linear", 5, hashes, True, None)
    records = edited(crime, "linear", 3, output=output.value, output_hash=output.sha256, step_hash=hashes[1])
    records[-1] = changed(records[-1], lambda envelope: envelope["data"].update(workflow_hash=end))
    proof = attacked(crime, "linear", records)
    assert proof.ok
    assert proof.workflow_hash != verify_run(crime.store, "linear").workflow_hash


def test_a_run_cut_back_to_an_earlier_moment_is_caught_only_by_a_golden_or_a_published_tree_head(crime: Crime) -> None:
    proof = attacked(crime, "linear", crime.records("default/linear")[:-2])
    assert proof.ok and proof.status == "running"


@pytest.mark.parametrize("name", SPECS)
def test_every_event_that_is_left_out_is_missed(crime: Crime, name: str) -> None:
    records = crime.records(f"default/{name}")
    for record in records[:-1]:
        if record.topic == "step.started":
            continue  # Its step ended: what it announced was settled, and nothing depends on it any more.
        (finding,) = attacked(crime, name, [other for other in records if other is not record]).fold
        assert finding.number >= record.version


@pytest.mark.parametrize("name", SPECS)
def test_every_event_that_is_put_in_twice_is_named(crime: Crime, name: str) -> None:
    records = crime.records(f"default/{name}")
    for at, record in enumerate(records):
        if record.topic == "step.started":
            continue
        (finding,) = attacked(crime, name, [*records[: at + 1], record, *records[at + 1 :]]).fold
        assert finding.number == at + 2, finding


@pytest.mark.parametrize("name", SPECS)
def test_nothing_can_follow_the_end(crime: Crime, name: str) -> None:
    records = crime.records(f"default/{name}")
    for record in records:
        (finding,) = attacked(crime, name, [*records, record]).fold
        assert finding.number == len(records) + 1 and "after the run has ended" in finding.reason


def test_the_steps_of_another_run_do_not_fit(crime: Crime) -> None:
    mine = crime.records("default/linear")
    for stranger in crime.records("default/fan-out"):
        (finding,) = attacked(crime, "linear", [*mine[:2], stranger._replace(stream="default/linear"), *mine[2:]]).fold
        assert finding.number == 3


OTHER: dict[type, tuple[Any, ...]] = {
    int: (-1, 0, 1, 2, 10**6, 2**53 - 1),
    float: (0.5, 3, -1, 1e17),
    str: ("", "other", "\0", "0" * 64, "cancel"),
    type(None): ("other",),
    dict: ({}, {"other": 1}, None, [], 3),
    list: ([], None),
    bool: (None, {}),
}
"""What an attacker might write instead: of the right type, so that only its meaning is wrong."""

ONLY_ELSEWHERE = {
    "message.sent": {"key", "reason"},
    "run.failed": {"message"},
    "run.started": {"agent_id", "continues", "parent", "priority", "queue"},
    "step.attempt_failed": {"error_code", "message", "retry_at", "skill_version"},
    "step.completed": {"skill_version"},
    "step.failed": {"message", "skill_version"},
    "step.started": {"skill_id"},
}
"""Fields that follow from nothing else in the log: for what they say there is only the chain, a golden, a tree head.

A message's reason is bound where the run took it over (a pause, a cancel), and is free in one that changed nothing.
"""


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("inbox", [False, True], ids=["run", "inbox"])
def test_every_field_that_follows_from_others_is_checked(crime: Crime, name: str, inbox: bool) -> None:
    records = crime.records(f"default/{name}" + ("/inbox" if inbox else ""))
    for record in records:
        fields = Payload.from_canonical(record.state).value["data"]
        for field, value in fields.items():
            if field in ONLY_ELSEWHERE.get(record.topic, ()) or (record.topic, field) == ("run.started", "inputs"):
                continue
            if field.endswith("_ref"):
                continue  # The chain's proof of payloads says so.
            for other in OTHER[type(value)]:
                if other == value:
                    continue
                proof = attacked(crime, name, edited(crime, name, record.version, inbox, **{field: other}), inbox)
                assert not proof.ok, f"{record.topic}.{field} = {other!r} instead of {value!r} is not found"
                (finding,) = proof.fold
                assert finding.number >= record.version or inbox


@pytest.mark.parametrize(("topic", "names"), ONLY_ELSEWHERE.items())
def test_the_fields_that_are_bound_by_the_chain_alone_are_these(crime: Crime, topic: str, names: set[str]) -> None:
    """Should the fold learn to check one of them, it leaves the list."""
    assert topic in EVENTS
    for name in SPECS:
        for inbox in (False, True):
            for record in crime.records(f"default/{name}" + ("/inbox" if inbox else "")):
                if record.topic != topic:
                    continue
                fields = Payload.from_canonical(record.state).value["data"]
                for field in names:
                    if topic == "message.sent" and field == "reason" and fields["kind"] != "resume":
                        continue
                    other = 5 if isinstance(fields[field], int) else "something else"
                    assert attacked(crime, name, edited(crime, name, record.version, inbox, **{field: other}), inbox).ok


def test_inputs_are_checked_where_a_step_uses_them(crime: Crime) -> None:
    (finding,) = attacked(crime, "linear", edited(crime, "linear", 1, inputs={"who": "Eve"})).fold
    assert finding.number == 2 and finding.reason.startswith("inputs_hash")
    (finding,) = attacked(crime, "linear", edited(crime, "linear", 1, inputs={})).fold
    assert finding.number == 2 and finding.kind == "impossible"


def test_a_run_cannot_time_out_before_its_time(crime: Crime) -> None:
    records = crime.records("default/linear")
    cut = {"after": 4, "by": "timeout"}
    data = {"cost_cents": 7, "cut": cut, "error_code": "RUN_TIMEOUT", "workflow_hash": sha256_hex(b"")}
    lie = changed(records[-1], lambda envelope: envelope.update(data=data))._replace(topic="run.timed_out")
    (finding,) = attacked(crime, "linear", [*records[:-1], lie]).fold
    assert finding.number == len(records) and "time limit" in finding.reason


def changed_hash(record: Record) -> str:
    return Payload.from_canonical(record.state).value["data"]["step_hash"]
