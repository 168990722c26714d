"""What the pages are drawn with: words, trees, the scale of the timeline, and colours that can be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from refold.api.console.assets import text_of
from refold.api.console.change_trees import change_tree
from refold.api.console.scale import FOLD_WIDTH, Scale, idle_between
from refold.api.console.trees import tree
from refold.api.console.words import duration, when


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0, "0 s"),
        (0.00034, "340 µs"),
        (0.0123, "12.3 ms"),
        (0.9996, "1 s"),
        (59.96, "1 min"),
        (320, "5 min 20 s"),
        (7_500, "2 h 5 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_is_said_as_people_do(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "just now"),
        (59, "59 s ago"),
        (3_599, "59 min ago"),
        (26 * 3_600, "1 d ago"),
        (-3 * 86_400 + 9, "in 3 d"),
        (-86_400 + 20, "in 1 d"),
        (-45 * 60, "in 45 min"),
    ],
)
def test_a_time_is_said_by_how_far_it_is_away(seconds: float, said: str) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert f">{said}<" in when((now - timedelta(seconds=seconds)).isoformat(), now)


def test_a_time_that_is_none_is_shown_as_it_is_and_harmless() -> None:
    assert str(when("<b>")) == "&lt;b&gt;" and "—" in str(when(None))


def test_a_long_stretch_in_which_nothing_happened_is_folded_and_time_goes_on_growing() -> None:
    hour = 3_600_000_000
    busy = [(0, 1_000), (hour, hour + 1_000)]
    scale = Scale(0, hour + 1_000, idle_between(busy, 0, hour + 1_000))
    assert [each.folded for each in scale.stretches] == [False, True, False]
    assert scale.place(1_000) == pytest.approx((100 - FOLD_WIDTH) / 2, abs=0.01)
    places = [scale.place(at) for at in (-5, 0, 500, 1_000, hour // 2, hour, hour + 500, hour + 1_000, 2 * hour)]
    assert places == sorted(places) and (places[0], places[-1]) == (0, 100)
    assert Scale(7, 7, []).place(7) == 0


def test_a_tree_says_what_it_leaves_out() -> None:
    assert "The rest is left out" in tree(list(range(5_000)))
    deep: list[object] = ["bottom"]
    for _ in range(200):
        deep = [deep]
    assert tree(deep).count("<details") == 40 and "bottom" in tree(deep)


def test_a_change_tree_shows_both_sides_and_counts_what_is_equal() -> None:
    drawn = change_tree({"a": 1, "b": [1, 2], "c": 3}, {"a": 1, "b": [1, 3], "d": 4})
    assert drawn.count('class="change"') == 3 and "1 more is equal" in drawn and drawn.count("nothing") == 2
    assert "equal" in change_tree([1.0], [1]) and "change" not in change_tree([1.0], [1])


def test_every_text_can_be_read_in_light_and_in_dark() -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1 at least."""
    colours = dict(re.findall(r"--([a-z-]+): light-dark\((#\w+, #\w+)\)", text_of("console.css")))
    texts = ("text", "muted", "accent", "good", "bad", "wait", "busy", "odd", "rest")
    pairs = [(text, ground) for text in texts for ground in ("page", "surface", "raised", "tint")]
    pairs += [
        ("bad", "bad-tint"),
        ("text", "bad-tint"),
        ("wait", "wait-tint"),
        ("text", "wait-tint"),
        ("on-accent", "accent"),
    ]
    for side in (0, 1):
        for text, ground in pairs:
            one, other = (_luminance(colours[name].split(", ")[side]) for name in (text, ground))
            contrast = (max(one, other) + 0.05) / (min(one, other) + 0.05)
            assert contrast >= 4.5, f"{text} on {ground} in {('light', 'dark')[side]}: {contrast:.2f}"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
