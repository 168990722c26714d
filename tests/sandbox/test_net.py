"""The net lets nothing through: a loosened pattern matches wherever the pattern does."""

from __future__ import annotations

import re

import pytest
import re2  # pyright: ignore[reportMissingTypeStubs]
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.sandbox import commands, paths, prompts, sql, template
from refold.core.sandbox.layers import layers
from refold.core.sandbox.loose import END, Effort, is_in, loosened
from refold.core.sandbox.net import Net, Rule
from refold.tests.support.sandbox_corpus import read

RULES = (*commands.RULES, *sql.RULES, *paths.RULES, *template.RULES, *prompts.RULES)
LINES = [text for name in ("attacks_written.tsv", "attacks_generated.tsv") for _, text in read(name)]


def caught(pattern: str, text: str) -> bool:
    return is_in(loosened(pattern), f"{END}{text}{END}".encode("latin-1", "replace").lower())


@pytest.mark.parametrize("family", ["command", "sql", "path", "template", "prompt"])
def test_what_a_pattern_finds_in_the_attacks_is_in_the_net(family: str) -> None:
    for rule in RULES:
        if rule.family == family:
            for pattern in rule.patterns:
                compiled = re.compile(pattern)
                slipped = [text for text in LINES if compiled.search(text.lower()) and not caught(pattern, text)]
                assert slipped == [], pattern


@pytest.mark.parametrize(
    ("pattern", "loose"),
    [
        (r"(?<!\w)a(?=b|(?!c))d", "ad"),
        (r"a{0,200}?b{1,3}+c{2}d{3,}", "a*b+c{2}d{3,}"),
        (r"^(?P<x>a)(b)?$", r"\x1e(?:a)(?:b)?\x1e"),
        (r"[^\w\]]\.x*+", r"[^\x1e\w\]]\.x*"),
        (r"\w\s.\S", r"[\w?\x80-\xff][\s\x0b\x85\xa0][^\n\x1e][^\s\x1e]"),
    ],
)
def test_a_pattern_is_loosened_by_what_re2_lacks(pattern: str, loose: str) -> None:
    assert loosened(pattern) == loose


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab '\"\n-é", max_size=30))
def test_looseness_holds_for_any_text(text: str) -> None:
    for pattern in (r"(?<=a)b\s{0,3}'", r"^\w{1,3}[^b]{2,5}$", r"\ba\W{1,2}b?-", r"(?:a|b){2}(?!\s).'?"):
        if re.search(pattern, text.lower()):
            assert caught(pattern, text)


def test_every_pattern_is_one_of_re2_once_it_is_loosened() -> None:
    for rule in RULES:
        for pattern in rule.patterns:
            re2.compile(loosened(pattern).encode("latin-1"), re2.Options())


def test_nothing_matches_across_two_strings() -> None:
    net = Net((Rule("sql.union", "", (r"union\s{1,20}select",)), Rule("sql.time", "", (r"a[^b]{0,9}c",))))
    (layer,) = layers(["union ", " select a", "c", "union select"], 1, Effort(10_000))
    assert [hit.piece.owner for hit in net.hits(layer, Effort(10_000), lambda rule, piece: False)] == [3]
