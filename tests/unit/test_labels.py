"""Labels of metrics: bounded, whatever callers make up."""

from __future__ import annotations

from hashlib import sha256

import pytest

from refold.core.histogram import Histogram
from refold.core.labels import OTHER, Bounded, tenant_label


def test_a_tenant_is_told_as_twelve_digits_of_its_hash() -> None:
    assert tenant_label("acme") == sha256(b"acme").hexdigest()[:12]


def test_beyond_the_number_that_is_kept_everything_is_other() -> None:
    labels = Bounded(3)
    told = {labels.of(f"skill-{number}") for number in range(1000)}
    assert told == {"skill-0", "skill-1", "skill-2", OTHER}
    assert labels.of("skill-1") == "skill-1" and labels.of("skill-999") == OTHER


@pytest.mark.parametrize("hostile", ["", "a\nrefold_store_up 0", "\ud800", "\x1b[2J", "x" * 121, "\0", "\u202ea"])
def test_what_cannot_be_shown_is_other_and_takes_no_room(hostile: str) -> None:
    labels = Bounded(1)
    assert labels.of(hostile) == OTHER and labels.of("echo") == "echo"


def test_a_histogram_counts_what_is_at_most_a_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 3.0, -1.0):
        histogram.observe(seconds)
    assert histogram.counted() == ([("1.0", 3), ("2.0", 4), ("+Inf", 5)], 6.0)
