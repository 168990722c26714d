"""Every tampering with a stored run is found, and the event is named by its number.

The attacker here changes rows and no more. One who also computes the chain anew is met in test_verify_rechained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from random import Random

import pytest

from refold.core.errors import RunNotFoundError
from refold.core.ids import run_of
from refold.core.ports import EMPTY, Head, Record
from refold.eventstore.codec import references
from refold.replay.findings import Finding
from refold.replay.verify import verify_run
from refold.tests.support.tampering import SPECS, Crime, postgres_scene, renumbered, sqlite_scene

FLIPS = int(os.environ.get("REFOLD_FLIPS", "300"))
SEED = int(os.environ.get("REFOLD_FLIPS_SEED", "20260101"))

STREAMS = [f"default/{name}" for name in SPECS] + ["default/cancelled/inbox"]

Change = Callable[[bytes], bytes]

BYTE_CLASSES: dict[str, Change] = {
    "prev": lambda state: _flip(state, b'"prev":"', 20) if b'"prev":"' in state else state.replace(b"null", b'"00"'),
    "data": lambda state: _flip(state, b'"data":{', 8),
    "nonce": lambda state: _flip(state, b'"nonce":"', 3),
    "at": lambda state: _flip(state, b'"at":', 9),
    "build": lambda state: _flip(state, b'"build":"', 2),
    "v": lambda state: state.replace(b'"v":', b'"v":9'),
    "a space": lambda state: state.replace(b'"at":', b'"at": '),
    "everything": lambda _: b"{}",
    "nothing left": lambda _: b"",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crime]:
    scene = sqlite_scene(tmp_path_factory.mktemp("crime")) if request.param == "sqlite" else postgres_scene()
    with scene as opened:
        yield opened


@pytest.fixture(scope="module")
def file_crime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crime]:
    with sqlite_scene(tmp_path_factory.mktemp("flips")) as opened:
        yield opened


def chain_of(crime: Crime, stream: str) -> list[tuple[int, str]]:
    """Number and kind of what the chain proof finds in the stream."""
    _, run_id = run_of(stream.removesuffix("/inbox"))
    proof = verify_run(crime.store, run_id)
    elsewhere = [finding for finding in proof.chain if finding.stream != stream]
    assert elsewhere == [], f"the chain of another stream is blamed: {elsewhere}"
    assert proof.ok is (not proof.chain and not proof.fold)
    return [(finding.number, finding.kind) for finding in proof.chain]


@pytest.mark.parametrize("stream", STREAMS)
def test_an_untouched_run_is_proved(crime: Crime, stream: str) -> None:
    assert chain_of(crime, stream) == []
    assert verify_run(crime.store, stream.split("/")[1]).ok


@pytest.mark.parametrize("stream", STREAMS)
def test_a_changed_event_is_named_whatever_part_of_it_was_changed(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for at, record in enumerate(records):
        for name, change in BYTE_CLASSES.items():
            altered = record._replace(state=change(record.state))
            assert altered != record
            with crime.stage(stream, [*records[:at], altered, *records[at + 1 :]]):
                found = chain_of(crime, stream)
            assert [number for number, _ in found] == [at + 1], (name, found)
            assert found[0][1] in ("changed", "unreadable"), (name, found)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_changed_topic_is_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for at, record in enumerate(records):
        for topic in ("step.skipped", "run.failed", "nonsense", ""):
            altered = record._replace(topic=topic if topic != record.topic else "run.completed")
            with crime.stage(stream, [*records[:at], altered, *records[at + 1 :]]):
                assert chain_of(crime, stream) == [(at + 1, "changed")]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_removed_event_is_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for at in range(len(records)):
        rest = records[:at] + records[at + 1 :]
        with crime.stage(stream, rest):
            assert chain_of(crime, stream) == [(at + 1, "missing")]
        with crime.stage(stream, renumbered(rest)):
            assert chain_of(crime, stream) == [(at + 1, "missing")]


@pytest.mark.parametrize("stream", STREAMS)
def test_several_removed_events_are_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    rest = [record for record in records if record.version not in (2, 3)]
    with crime.stage(stream, rest):
        assert chain_of(crime, stream) == [(2, "missing"), (3, "missing")]
    with crime.stage(stream, renumbered(rest)):
        assert chain_of(crime, stream)[0] == (2, "missing")


@pytest.mark.parametrize("stream", STREAMS)
def test_two_swapped_events_are_both_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for one in range(len(records)):
        for other in range(one + 1, len(records)):
            swapped = list(records)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            with crime.stage(stream, renumbered(swapped)):
                found = chain_of(crime, stream)
            assert {(one + 1, "moved"), (other + 1, "moved")} <= set(found), (one, other, found)
            assert found[0][0] == one + 1


@pytest.mark.parametrize("stream", STREAMS)
def test_a_doubled_event_is_named_at_the_end_and_in_the_middle(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for record in records:
        with crime.stage(stream, renumbered([*records, record])):
            kind = "doubled" if record is records[-1] else "foreign"
            assert chain_of(crime, stream) == [(len(records) + 1, kind)]
        for place in range(1, len(records)):
            with crime.stage(stream, renumbered([*records[:place], record, *records[place:]])):
                found = chain_of(crime, stream)
            # Put in before itself, the first of the two is the one that fits.
            number = place + 2 if place + 1 == record.version else place + 1
            assert found == [(number, "doubled")], (record.version, place, found)


@pytest.mark.parametrize("stream", STREAMS)
def test_an_event_of_another_run_is_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    other = next(name for name in STREAMS if name != stream)
    for stranger in [record._replace(stream=stream) for record in crime.records(other)[1:3]]:
        for at in range(len(records)):
            with crime.stage(stream, renumbered([*records[:at], stranger, *records[at + 1 :]])):
                assert [number for number, _ in chain_of(crime, stream)] == [at + 1]
        for at in range(1, len(records) + 1):
            with crime.stage(stream, renumbered([*records[:at], stranger, *records[at:]])):
                assert chain_of(crime, stream) == [(at + 1, "foreign")]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_cut_tail_is_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    for kept in range(len(records)):
        with crime.stage(stream, records[:kept]):
            found = chain_of(crime, stream)
        assert found == [(number, "missing") for number in range(kept + 1, len(records) + 1)]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_changed_or_removed_head_row_is_named(crime: Crime, stream: str) -> None:
    records = crime.records(stream)
    last = len(records)
    head = crime.store.heads([stream])[stream]
    with crime.stage(stream, records, EMPTY):
        assert chain_of(crime, stream) == [(0, "head")]
    with crime.stage(stream, records, Head(last, "0" * 64)):
        assert chain_of(crime, stream) == [(last, "changed")], "its hash and the head's do not fit: either was changed"
    for version in (last + 1, last - 1, 0, -5, 10**9):
        with crime.stage(stream, records, Head(version, head.hash)):
            assert chain_of(crime, stream) == [(0, "head")]


def test_a_run_that_was_exchanged_for_another_one_is_named(crime: Crime) -> None:
    stranger = [record._replace(stream="default/linear") for record in crime.records("default/fan-out")]
    with crime.stage("default/linear", stranger, crime.store.heads(["default/fan-out"])["default/fan-out"]):
        proof = verify_run(crime.store, "linear")
    assert proof.chain and not proof.ok
    assert proof.fold[0].number == 1 and "starts run default/fan-out" in proof.fold[0].reason


def test_an_inbox_that_is_gone_with_its_head_is_missed_by_the_run(crime: Crime) -> None:
    with crime.stage("default/cancelled/inbox", [], EMPTY):
        proof = verify_run(crime.store, "cancelled")
    assert proof.chain == ()
    assert proof.fold == (
        Finding("default/cancelled", 2, "impossible", "it takes message 1 of the inbox; 0 of 0 were taken before"),
    )


def test_a_run_that_is_gone_but_for_its_inbox_is_reported(crime: Crime) -> None:
    with crime.stage("default/cancelled", [], EMPTY):
        assert [finding.kind for finding in verify_run(crime.store, "cancelled").chain] == ["head"]
    with pytest.raises(RunNotFoundError):
        verify_run(crime.store, "nobody")


def test_a_changed_or_removed_payload_is_named(crime: Crime) -> None:
    records = crime.records("default/large")
    for digest in sorted(references(records)):
        (data,) = crime.store.large([digest]).values()
        using = [record.version for record in records if digest.encode() in record.state and b'_ref":"' in record.state]
        for altered in (data.replace(b"x", b"y", 1), data[:-1], b"", b"\xff\xfe", None):
            with crime.payload(digest, altered):
                proof = verify_run(crime.store, "large")
            assert [(each.number, each.kind) for each in proof.chain] == [(number, "payload") for number in using]
            assert [each.number for each in proof.fold] == using[:1]


@pytest.mark.parametrize("seed", [SEED])
def test_random_flips_of_bytes_are_found_every_time(file_crime: Crime, seed: int) -> None:
    random = Random(seed)
    for count in range(FLIPS):
        stream = random.choice(STREAMS)
        records = file_crime.records(stream)
        at = random.randrange(len(records))
        altered = _with_random_flips(records[at], random)
        with file_crime.stage(stream, [*records[:at], altered, *records[at + 1 :]]):
            found = chain_of(file_crime, stream)
        assert {number for number, _ in found} == {at + 1}, f"flip {count} of seed {seed}: {altered} gave {found}"


def _with_random_flips(record: Record, random: Random) -> Record:
    state = bytearray(record.state)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        state[random.randrange(len(state))] ^= random.randrange(1, 256)
    return record._replace(state=bytes(state)) if bytes(state) != record.state else record._replace(topic="flipped")


def _flip(state: bytes, after: bytes, distance: int) -> bytes:
    """Change one character behind a marker for another one of its kind."""
    place = state.index(after) + len(after) + distance - 5 * (distance > 5)
    old = state[place : place + 1]
    new = {b'"': b"'", b"0": b"1"}.get(old, b"0" if old.isdigit() else b"b" if old == b"a" else b"a")
    return state[:place] + new + state[place + 1 :]
