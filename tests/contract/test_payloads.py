"""Data on its way into a store and out again: what comes back is what went in, however large or odd."""

from __future__ import annotations

from typing import Any

import pytest

from refold.core.canonical import Payload
from refold.core.events import MessageSent, RunStarted
from refold.core.hashing import sha256_hex
from refold.eventstore.codec import INLINE_BYTES
from refold.eventstore.log import EventLog
from refold.eventstore.store import Store
from refold.tests.support.units import Writer, said, started

ODD: list[Any] = [
    {"nul": "a\0b", "\0": "\0\0"},
    {"backslash and the letters of NUL": "\\u0000 \\\\u0000 \\\0"},
    {"emoji": "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16}", "\N{GRINNING FACE}": 1},
    {"controls": "".join(map(chr, range(32))) + "\x7f\u2028\u2029\ufeff\uffff"},
    {"floats": [1e17, 1e21, -1e17, 5e-324, 1.7976931348623157e308, 0.1, 1e16, 123456789012345680.0]},
    {"integers": [2**53 - 1, -(2**53) + 1, 0]},
    {"digits in text": "100000000000000000000", "and as keys": {"100000000000000000": None}},
    {"a_ref": "not a reference", "nested": {"output_ref": "0" * 64}},
    [],
    None,
    "",
    [[[[[]]]]],
]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_odd_values_come_back_as_they_went_in(store: Store, value: Any) -> None:
    event = started("run", inputs={"value": value})
    store.commit([Writer().unit(("default/run", [event]))], "me")
    (read,) = EventLog(store, "me").events("default/run")
    assert isinstance(read, RunStarted)
    assert read == event
    assert (read.inputs.value["value"], read.inputs.data) == (value, event.inputs.data)
    assert [repr(item) for item in _leaves(read.inputs.value)] == [repr(item) for item in _leaves(event.inputs.value)]


def test_odd_text_in_plain_fields_comes_back_as_it_went_in(store: Store) -> None:
    texts = ["a\0b", "\N{PILE OF POO}", "\x1b[31m", "'; DROP TABLE stored_events; --", "\\u0000", '"}', "x" * 100_000]
    store.commit([Writer().unit(("default/run", [said(text) for text in texts]))], "me")
    events = EventLog(store, "me").events("default/run")
    assert [event.reason for event in events if isinstance(event, MessageSent)] == texts


def test_a_large_payload_is_stored_once_and_found_again(store: Store) -> None:
    writer = Writer()
    events = [started(name, inputs={"large": "x" * 70_000}) for name in ("a", "b")]
    units = [writer.unit((f"default/{event.run_id}", [event])) for event in events]
    store.commit(units[:1], "me")
    store.commit(units[1:], "me")
    digest = events[0].inputs.sha256
    assert store.large([digest, "0" * 64]) == {digest: events[0].inputs.data}
    assert store.large([]) == {}
    for event in events:
        record = store.read(f"default/{event.run_id}")[0]
        assert len(record.state) < 2_000 and digest.encode() in record.state
        assert EventLog(store, "me").events(f"default/{event.run_id}") == [event]


def test_the_same_large_payload_twice_in_one_transaction_is_one_row(store: Store) -> None:
    writer = Writer()
    inputs = {"large": "y" * 70_000}
    units = [writer.unit((f"default/{name}", [started(name, inputs=inputs)])) for name in "abc"]
    assert store.commit(units, "me") == [True] * 3
    assert store.large([Payload.of(inputs).sha256]) == {Payload.of(inputs).sha256: Payload.of(inputs).data}


def test_a_large_payload_of_a_refused_unit_is_kept_if_its_neighbour_needs_it(store: Store) -> None:
    event = started("run", inputs={"large": "z" * 70_000})
    stale = Writer("stale").unit(("default/run", [event]))
    writer = Writer()
    store.commit([writer.one("default/run")], "me")
    fine = writer.unit(("default/other", [event]))
    assert store.commit([stale, fine], "me") == [False, True]
    assert store.large([event.inputs.sha256]) == {event.inputs.sha256: event.inputs.data}


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_what_just_fits_stands_in_the_event(store: Store, over: int) -> None:
    text = "x" * (INLINE_BYTES + over - len('{"t":""}'))
    event = started("run", inputs={"t": text})
    assert len(event.inputs.data) == INLINE_BYTES + over
    unit = Writer().unit(("default/run", [event]))
    assert list(unit.large) == ([event.inputs.sha256] if over > 0 else [])
    store.commit([unit], "me")
    assert EventLog(store, "me").events("default/run") == [event]


def test_two_megabytes_make_the_round(store: Store) -> None:
    event = started("run", inputs={"t": "\N{PILE OF POO}\0" * 200_000})
    assert len(event.inputs.data) > 2_000_000
    store.commit([Writer().unit(("default/run", [event]))], "me")
    assert EventLog(store, "me").events("default/run") == [event]
    assert sha256_hex(store.large([event.inputs.sha256])[event.inputs.sha256]) == event.inputs.sha256


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in (key, *_leaves(value[key]))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]
