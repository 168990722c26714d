"""The chain hash: over an event's place, kind and bytes, and over nothing else."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from refold.core.ports import EMPTY, Append, Head, Unit
from refold.eventstore.chain import event_hash
from refold.eventstore.codec import open_envelope
from refold.eventstore.sealing import Sealer
from refold.tests.support.units import said

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
places = st.tuples(names, st.integers(1, 2**53), names, st.binary())


def test_the_formula_is_what_the_documents_say() -> None:
    expected = sha256(b"default/run\x003\x00run.paused\x00{}").hexdigest()
    assert event_hash("default/run", 3, "run.paused", b"{}") == expected


@given(places, places)
def test_two_events_share_a_hash_only_if_they_are_one(
    one: tuple[str, int, str, bytes], other: tuple[str, int, str, bytes]
) -> None:
    assert (event_hash(*one) == event_hash(*other)) == (one == other)


def test_each_event_carries_the_hash_of_the_one_before_and_the_head_that_of_the_last() -> None:
    sealer = Sealer("build")
    (first,) = sealer.seal(Unit([Append("default/a", EMPTY, [said(), said()])])).appends
    (second,) = sealer.seal(Unit([Append("default/a", first.head, [said()])])).appends
    records = [*first.records, *second.records]
    hashes = [event_hash(*record) for record in records]
    assert [open_envelope(record).prev for record in records] == [None, *hashes[:-1]]
    assert (first.head, second.head) == (Head(2, hashes[1]), Head(3, hashes[2]))


def test_no_two_writers_and_no_two_events_share_a_nonce() -> None:
    units = [sealer.seal(Unit([Append("s", EMPTY, [said()] * 100)])) for sealer in (Sealer("b"), Sealer("b"))]
    nonces = [open_envelope(record).nonce for unit in units for record in unit.appends[0].records]
    assert len(set(nonces)) == 200
