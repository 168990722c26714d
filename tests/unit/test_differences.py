"""Where two JSON values differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import canonical_json
from refold.core.differences import differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5]) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab/~"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [("/a/1/b", "2", "3")]),
        ([1, 2], [1], [("/1", "2", "nothing")]),
        ({"a/b": 1}, {"c~": 1}, [("/a~1b", "1", "nothing"), ("/c~0", "nothing", "1")]),
        (1, True, [("", "1", "true")]),
        ({"a": 0}, {"a": False}, [("/a", "0", "false")]),
        ({"a": None}, {}, [("/a", "null", "nothing")]),
        ([1.0], [1], []),
        ({"a": {}}, {"a": []}, [("/a", "an object", "a list")]),
    ],
)
def test_differences_are_named_by_pointer_with_both_values(left: Any, right: Any, expected: Any) -> None:
    assert [tuple(difference) for difference in differences(left, right)] == expected


@given(JSON, JSON)
def test_values_differ_somewhere_exactly_when_their_canonical_forms_do(left: Any, right: Any) -> None:
    assert bool(list(differences(left, right))) == (canonical_json(left) != canonical_json(right))
