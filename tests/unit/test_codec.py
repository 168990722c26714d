"""Events to bytes and back: what is stored is canonical, what is read is what was written, and garbage is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import Payload, canonical_json
from refold.core.canonical import decode as decode_json
from refold.core.errors import IntegrityError, NotCanonicalError
from refold.core.events import Event, MessageSent, RunCompleted, StepAttemptFailed
from refold.core.hashing import sha256_hex
from refold.core.ports import Record
from refold.eventstore.codec import INLINE_BYTES, decode, encode, open_envelope, references
from refold.tests.support.histories import examples

EXAMPLES = [pytest.param(record, event, id=record.topic) for record, event in examples()]

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
)


def stored(event: Event, large: dict[str, bytes] | None = None) -> Record:
    state = encode(event, None, "nonce-1", "build", {} if large is None else large)
    return Record("default/run", 1, event.topic, state)


@given(values, st.floats(0, 1e18), texts)
def test_every_value_makes_the_round_in_canonical_bytes(value: Any, cost: float, text: str) -> None:
    completed = RunCompleted(1, Payload.of(value), sha256_hex(b""), "hash", cost)
    failed = StepAttemptFailed(1, 0, text, text, text, 1, text, text, cost, 2)
    for event in (completed, failed, MessageSent(1, text, text, text, text, Payload.of(value))):
        large: dict[str, bytes] = {}
        record = stored(event, large)
        assert decode(record, large) == event
        envelope = decode_json(record.state)
        assert canonical_json(envelope) == record.state == rfc8785.dumps(envelope)


@pytest.mark.parametrize("cost", [0.1, 1e17, 1e21, 1.0, 0, 3, 1e-7])
def test_costs_come_back_equal(cost: float) -> None:
    event = StepAttemptFailed(1, 0, "a", "s", "1", 1, "CODE", "", cost, 2)
    read = decode(stored(event), {})
    assert isinstance(read, StepAttemptFailed) and read.cost_cents == cost


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ud83d"])
def test_text_that_utf_8_cannot_express_is_refused(text: str) -> None:
    with pytest.raises(NotCanonicalError, match=r"message\.sent"):
        stored(MessageSent(1, "pause", "key", text, "", Payload.of(None)))


def test_large_payloads_leave_the_event() -> None:
    payload = Payload.of("x" * INLINE_BYTES)
    event = RunCompleted(1, payload, payload.sha256, "hash", 0)
    large: dict[str, bytes] = {}
    record = stored(event, large)
    assert large == {payload.sha256: payload.data}
    assert references([record]) == {payload.sha256}
    assert json.loads(record.state)["data"]["output_ref"] == payload.sha256
    assert decode(record, large) == event


def test_data_that_looks_like_a_reference_is_none() -> None:
    event = RunCompleted(1, Payload.of({"output_ref": "0" * 64, "x_ref": "1"}), "", "", 0)
    record = stored(event)
    assert references([record]) == set()
    assert decode(record, {}) == event


@pytest.mark.parametrize("large", [{}, {"wrong": b"1"}, "altered"], ids=["missing", "another one", "altered"])
def test_a_large_payload_that_is_not_what_was_written_is_refused(large: Any) -> None:
    payload = Payload.of("x" * INLINE_BYTES)
    record = stored(RunCompleted(1, payload, payload.sha256, "hash", 0))
    if large == "altered":
        large = {payload.sha256: payload.data.replace(b"xx", b"xy", 1)}
    with pytest.raises(IntegrityError, match="fields that do not fit"):
        decode(record, large)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"1",
        b'"text"',
        b"NaN",
        b"{",
        b"\xff\xfe",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b"[" * 5_000 + b"1234567890123456789" + b"]" * 5_000,
        b'{"at":' + b"9" * 400 + b"}",
        b'{"at":' + b"9" * 5_000 + b"}",
        b'{"at":1,"build":"b","data":{},"nonce":"n","prev":null,"v":1,"more":1}',
        b'{"at":1,"build":"b","data":[],"nonce":"n","prev":null,"v":1}',
        b'{"at":1.5,"build":"b","data":{},"nonce":"n","prev":null,"v":1}',
        b'{"at":true,"build":"b","data":{},"nonce":"n","prev":null,"v":1}',
        b'{"at":1,"build":null,"data":{},"nonce":"n","prev":null,"v":1}',
        b'{"at":1,"build":"b","data":{},"nonce":7,"prev":null,"v":1}',
        b'{"at":1,"build":"b","data":{},"nonce":"n","prev":["x"],"v":1}',
        b'{"at":1,"build":"b","data":{},"nonce":"n","prev":null,"v":"1"}',
        b'{"at":1,"build":"b","data":{},"nonce":"n","prev":null}',
    ],
    ids=range(23),
)
def test_bytes_that_are_no_envelope_are_refused(state: bytes) -> None:
    record = Record("default/run", 3, "run.paused", state)
    with pytest.raises(IntegrityError, match="event 3 of default/run"):
        open_envelope(record)
    with pytest.raises(IntegrityError, match="event 3 of default/run"):
        decode(record, {})


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(IntegrityError, match="unknown topic"):
        decode(Record("default/run", 1, "step.teleported", b"{}"), {})


FITTING: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "str": (str,),
    "float": (int, float),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
    "float | None": (int, float, type(None)),
    "int | str": (int, str),
    "Payload": (object,),
    "Payload | None": (object,),
    "Cut": (),
    "Fork | None": (type(None),),
    "bool": (bool,),
}


@pytest.mark.parametrize(("record", "event"), EXAMPLES)
def test_a_field_takes_values_of_its_own_type_only(record: Record, event: Event) -> None:
    envelope = json.loads(record.state)
    annotations = {field.name: str(field.type) for field in fields(type(event))}  # pyright: ignore[reportArgumentType]
    for name in envelope["data"]:
        for value in (None, True, 1.5, 7, "text", ["list"], {"an": "object"}, 1e300, {"by": 1, "after": "x"}, [[]]):
            fitting = FITTING[annotations[name]]
            data = {**envelope["data"], name: value}
            changed = record._replace(state=json.dumps({**envelope, "data": data}).encode())
            if object in fitting or type(value) in fitting:
                assert type(getattr(decode(changed, {}), name)) in (*fitting, Payload, type(None))
            else:
                with pytest.raises(IntegrityError, match="do not fit"):
                    decode(changed, {})


@pytest.mark.parametrize(("record", "event"), EXAMPLES)
def test_a_field_too_many_or_too_few_is_refused(record: Record, event: Event) -> None:
    envelope = json.loads(record.state)
    for name in envelope["data"]:
        fewer = {key: value for key, value in envelope["data"].items() if key != name}
        with pytest.raises(IntegrityError, match="do not fit"):
            decode(record._replace(state=json.dumps({**envelope, "data": fewer}).encode()), {})
    more = {**envelope["data"], "surprise": 1}
    with pytest.raises(IntegrityError, match="do not fit"):
        decode(record._replace(state=json.dumps({**envelope, "data": more}).encode()), {})


@pytest.mark.parametrize("version", [0, 2, -1, 10**6])
def test_a_version_of_the_future_is_refused(version: int) -> None:
    record, _ = examples()[0]
    envelope = json.loads(record.state)
    with pytest.raises(IntegrityError, match=f"has version {version}"):
        decode(record._replace(state=json.dumps({**envelope, "v": version}).encode()), {})
