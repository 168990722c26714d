"""Events that several projections read are decoded once, and what is kept of them is bounded."""

from __future__ import annotations

from refold.core.ports import Record
from refold.projections.opened import OpenedEvents
from refold.tests.support.units import Writer, said


def records(count: int, text: str = "x") -> list[Record]:
    return list(Writer().unit(("default/run", [said(text) for _ in range(count)])).appends[0].records)


def test_an_event_is_decoded_once_as_long_as_it_is_kept() -> None:
    opened = OpenedEvents(kept=3)
    first, *others = records(4)
    known = opened.open(first, {})
    assert opened.open(first, {}) is known
    for each in others:
        opened.open(each, {})
    assert opened.open(first, {}) is not known and opened.open(others[-1], {}) is opened.open(others[-1], {})


def test_no_more_bytes_are_kept_than_allowed() -> None:
    long = records(10, "x" * 1000)
    opened = OpenedEvents(kept_bytes=3 * len(long[-1].state))
    known = [opened.open(each, {}) for each in long]
    again = [opened.open(each, {}) for each in reversed(long)]
    assert [one is other for one, other in zip(reversed(known), again, strict=True)] == [True] * 3 + [False] * 7


def test_what_was_altered_meanwhile_is_decoded_again() -> None:
    opened = OpenedEvents()
    one, other = records(1, "one")[0], records(1, "other")[0]
    assert opened.open(one, {}).event != opened.open(other, {}).event
