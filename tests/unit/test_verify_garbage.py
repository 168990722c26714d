"""Whatever stands in the rows, verification gives a verdict: it never raises, and never takes garbage for a run."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.canonical import MAX_INTEGER, decode
from refold.core.events import EVENTS
from refold.core.hashing import sha256_hex
from refold.core.ports import EMPTY, Head, Record
from refold.replay.chain import prove_chain
from refold.replay.findings import Finding
from refold.replay.folding import prove_fold
from refold.tests.support.histories import History, histories
from refold.tests.support.tampering import changed, rechained

RUNS = histories()

OF_SPECS = [history for history in RUNS if not history.large and not history.name.startswith("v3/function")]

UNFORESEEN = ("TypeError", "KeyError", "IndexError", "AttributeError", "UnboundLocalError", "AssertionError")
"""Faults of ours, not of the bytes."""

GARBAGE: list[bytes] = [
    b"",
    b"\0",
    b"\xff\xfe\0",
    b"null",
    b"[]",
    b"{}",
    b"nonsense",
    b"[" * 100_000,
    b'{"at":1,"build":"b","data":{},"nonce":"n","prev":null,"v":1}',
    b'{"at":1,"build":"b","data":{"x":' + b"[" * 3_000 + b"1234567890123456789" + b"]" * 3_000 + b"}}",
    b'{"at":' + b"9" * 400 + b',"build":"b","data":{},"nonce":"n","prev":null,"v":1}',
    b'{"at":1,"build":"\\ud800","data":{"x":12345678901234567890},"nonce":"n","prev":"\\ud800","v":1}',
    '{"at":1,"build":"b","data":{},"nonce":"n","prev":null,"v":1}'.encode("utf-16"),
]

ODD: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    7,
    2**53 - 1,
    1.5,
    -1e300,
    "",
    "x",
    "\0",
    "\ud800",
    [],
    [None],
    {},
    {"a": 1},
]

NULLABLE = {
    "agent_id",
    "step_id",
    "inputs_hash",
    "until",
    "source",
    "timeout_seconds",
    "parent",
    "continues",
    "signal",
    "child",
    "remind_every",
    "trace",
}
"""Fields that may be null."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


def verdict(
    history: History, records: Sequence[Record], head: Head, large: dict[str, bytes] | None = None
) -> tuple[list[Finding], list[Finding]]:
    """What both proofs find; the fold's own reason must be one that was foreseen."""
    rows = history.large if large is None else large
    chain = prove_chain(history.stream, records, head, rows)
    inbox = history.records.get(f"{history.stream}/inbox", [])
    _, fold = prove_fold(history.stream, records, rows, inbox)
    for finding in [*chain, *fold]:
        assert not finding.reason.startswith(UNFORESEEN), finding
        str(finding).encode()
    return chain, fold


@pytest.mark.parametrize("history", RUNS, ids=lambda history: history.name)
def test_an_event_of_garbage_is_named(history: History) -> None:
    records = history.records[history.stream]
    for at, record in enumerate(records):
        for state in GARBAGE:
            altered = [*records[:at], record._replace(state=state), *records[at + 1 :]]
            chain, fold = verdict(history, altered, history.heads[history.stream])
            assert {finding.number for finding in chain} == {at + 1}, state[:60]
            assert [finding.number for finding in fold] == [at + 1]


@pytest.mark.parametrize("history", RUNS, ids=lambda history: history.name)
def test_a_stream_of_nothing_but_garbage_is_reported(history: History) -> None:
    records = history.records[history.stream]
    for state in GARBAGE:
        chain, fold = verdict(
            history, [record._replace(state=state) for record in records], history.heads[history.stream]
        )
        assert chain and fold
    shuffled = list(records)
    Random(1).shuffle(shuffled)
    for version in (0, -3, 10**12):
        chain, _ = verdict(history, [record._replace(version=version) for record in shuffled], Head(7, "x"))
        assert chain
    chain, fold = verdict(history, shuffled, EMPTY)
    assert chain


@pytest.mark.parametrize("history", RUNS, ids=lambda history: history.name)
def test_a_field_of_the_wrong_type_is_named_though_the_chain_was_computed_anew(history: History) -> None:
    records = history.records[history.stream]
    for at, record in enumerate(records):
        envelope = decode(record.state)
        for field, before in envelope["data"].items():
            for odd in ODD:
                if type(odd) is type(before) or (isinstance(before, int | float) and isinstance(odd, int | float)):
                    continue
                if isinstance(before, dict | list | bool) or field in ("output", "inputs", "spec", "details"):
                    continue  # Data of the user's: of any type.
                if field in NULLABLE and (before is None or odd in (None, "", "x", "\0")):
                    continue
                altered = [*records[:at], changed(record, _setting(field, odd)), *records[at + 1 :]]
                _, fold = verdict(history, *rechained(altered))
                # What a wait fails with tells an approval from other waits: it may be the request that does not fit.
                request = {at + 2} if before == "APPROVAL_EXPIRED" else set[int]()
                (finding,) = fold
                assert finding.number in {at + 1, *request}, (record.topic, field, odd)


@pytest.mark.parametrize("part", ["at", "build", "data", "nonce", "prev", "v"])
def test_an_envelope_of_the_wrong_types_is_named(part: str) -> None:
    for history in RUNS:
        records = history.records[history.stream]
        for at, record in enumerate(records):
            before = decode(record.state)[part]
            for odd in ODD:
                if (
                    type(odd) is type(before)
                    or (part == "prev" and odd is None)
                    or (part == "prev" and isinstance(odd, str))
                ):
                    continue
                altered = changed(record, lambda envelope, odd=odd: envelope.update({part: odd}))
                chain, fold = verdict(
                    history, [*records[:at], altered, *records[at + 1 :]], history.heads[history.stream]
                )
                assert {finding.number for finding in chain} == {at + 1}, (record.topic, odd)
                assert [finding.number for finding in fold] == [at + 1], (record.topic, odd)


@settings(max_examples=400)
@given(st.data())
def test_no_json_in_any_place_brings_verification_down(data: st.DataObject) -> None:
    history = data.draw(st.sampled_from(RUNS))
    records = list(history.records[history.stream])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(records) - 1))
        fields = decode(records[at].state)["data"]
        place = data.draw(st.sampled_from([*(fields if isinstance(fields, dict) else ()), None]))
        value = data.draw(json_values)
        records[at] = changed(records[at], _setting(place, value))
        if data.draw(st.booleans()):
            records[at] = records[at]._replace(topic=data.draw(st.sampled_from(sorted(EVENTS))))
    verdict(history, *rechained(records))


@settings(max_examples=200)
@given(st.data())
def test_no_spec_brings_verification_down(data: st.DataObject) -> None:
    """The first event's spec decides how all others are read."""
    history = data.draw(st.sampled_from(OF_SPECS))
    records = list(history.records[history.stream])
    spec = decode(records[0].state)["data"]["spec"]
    place = data.draw(st.sampled_from(["workflow_type", "version", "steps", "inputs", "output", "timeout_seconds"]))
    value = data.draw(json_values)
    if place == "steps" and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(spec["steps"]))
        step[data.draw(st.sampled_from(["step_id", "skill_id", "inputs", "depends_on", "on_error", "retry"]))] = value
    else:
        spec[place] = value
    records[0] = changed(records[0], _setting("spec", spec))
    verdict(history, *rechained(records))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'"\\ud800"', b"9" * 400, b'{"b":1,"a":2}']
)
def test_a_large_payload_that_is_no_canonical_json_is_no_run(data: bytes) -> None:
    """The attacker may store anything under its own hash, and point to that."""
    (history,) = (history for history in RUNS if history.large)
    digest = sha256_hex(data)
    records = history.records[history.stream]
    for at, record in enumerate(records):
        for field in decode(record.state)["data"]:
            if field.endswith("_ref"):
                altered = [*records[:at], changed(record, _setting(field, digest)), *records[at + 1 :]]
                chain, fold = verdict(history, *rechained(altered), {**history.large, digest: data})
                assert chain or fold, (record.topic, field, data[:20])


def _setting(field: str | None, value: Any) -> Any:
    def change(envelope: dict[str, Any]) -> None:
        if field is None or type(envelope["data"]) is not dict:
            envelope["data"] = value
        else:
            envelope["data"][field] = value

    return change
