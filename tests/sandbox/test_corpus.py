"""How much the sandbox finds of what it should, and how often it cries wolf."""

from __future__ import annotations

from collections import Counter

import pytest

from refold.tests.support.root_package import ROOT
from refold.tests.support.sandbox_corpus import attacks, harmless, read
from refold.tests.support.sandbox_measured import Row, false_alarms, recall, table


def test_the_corpora_are_large_and_mixed() -> None:
    bad = Counter(category for name in ATTACKS for category, _ in read(name))
    good = Counter(category for name in HARMLESS for category, _ in read(name))
    assert sum(bad.values()) >= 500 and min(bad.values()) >= 100 and len(bad) == 5
    assert sum(good.values()) >= 2000 and good["alarming"] >= sum(good.values()) / 3


ATTACKS = ("attacks_written.tsv", "attacks_generated.tsv")
HARMLESS = ("harmless_written.tsv", "harmless_generated.tsv")


def test_the_generated_corpora_are_what_the_generator_gives() -> None:
    assert read("attacks_generated.tsv") == list(attacks())
    assert read("harmless_generated.tsv") == list(harmless())


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return recall(ATTACKS)


@pytest.fixture(scope="module")
def alarmed() -> list[Row]:
    return false_alarms(HARMLESS)


def test_each_category_of_attacks_is_found(found: list[Row]) -> None:
    for row in found:
        assert row.hits >= 0.95 * row.lines, f"{row.category}: missed {row.examples}"


def test_harmless_text_is_left_alone(alarmed: list[Row]) -> None:
    limits = {"ordinary": 0.005, "alarming": 0.05}
    for row in alarmed:
        assert row.hits <= limits[row.category] * row.lines, f"{row.category}: false alarms {row.examples}"


def test_the_document_shows_what_was_measured(found: list[Row], alarmed: list[Row]) -> None:
    assert table(found, alarmed) in (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
