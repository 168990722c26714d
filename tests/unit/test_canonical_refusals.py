"""What has no canonical form: each is refused with its pointer, and no value, however hostile, does worse."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Any

import orjson
import pytest

from refold.core.canonical import MAX_DEPTH, MAX_INTEGER, MAX_VALUES, canonical_json, json_pointer
from refold.core.errors import NotCanonicalError, Problem

HUGE = pytest.param(10**5000, id="huge")  # more digits than Python is willing to print


def problem_of(value: object) -> Problem:
    with pytest.raises(NotCanonicalError) as caught:
        canonical_json(value)
    (problem,) = caught.value.problems
    return problem


@dataclass
class Point:
    x: int = 1


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Shape(Enum):
    ROUND = "round"


Pair = namedtuple("Pair", "left right")


class Stubborn:
    def __repr__(self) -> str:
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (Point(), "asdict"),
        (Colour.RED, "value"),
        (Level.LOW, "value"),
        (Shape.ROUND, "value"),
        (Pair(1, 2), "_asdict"),
        (uuid.UUID(int=1), "str()"),
        (datetime.datetime(2026, 1, 1), "isoformat"),
        (datetime.date(2026, 1, 1), "isoformat"),
        (datetime.timedelta(1), "total_seconds"),
        (decimal.Decimal("1.5"), "str()"),
        ({1, 2}, "sorted list"),
        (frozenset([1]), "sorted list"),
        (b"bytes", "base64"),
        (bytearray(b"bytes"), "base64"),
        (1j, "dict, list"),
        (Stubborn(), "dict, list"),
        (orjson.Fragment(b"{}"), "dict, list"),
    ],
)
def test_what_is_no_json_type_is_refused_with_a_cure(value: Any, word: str):
    problem = problem_of({"a": [0, value]})
    assert problem.pointer == "/a/1"
    assert word in problem.fix


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64, HUGE])
def test_an_integer_beyond_what_json_carries_is_refused(number: int):
    problem = problem_of({"deep": [{"n": number}]})
    assert problem.pointer == "/deep/0/n"
    assert problem.fix == "send it as a string"
    assert canonical_json([MAX_INTEGER, -MAX_INTEGER]) == b"[9007199254740991,-9007199254740991]"


def test_pointers_escape_tilde_and_slash():
    assert problem_of({"a/b": {"m~n": [math.nan]}}).pointer == "/a~1b/m~0n/0"
    assert problem_of(math.inf).pointer == ""
    assert json_pointer(["~1", "", 0]) == "/~01//0"


@pytest.mark.parametrize("key", [1, 1.5, None, True, (1, 2), b"key", HUGE, Stubborn(), Colour.RED, Level.LOW])
def test_a_key_that_is_no_plain_string_is_refused_at_its_object(key: Any):
    problem = problem_of({"outer": {key: 1}})
    assert problem.pointer == "/outer"
    assert type(key).__qualname__ in problem.reason


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_lone_surrogates_are_refused_in_values_and_keys(text: str):
    assert problem_of({"a": [text]}).pointer == "/a/0"
    problem = problem_of({"a": {text: 1}})
    assert problem.pointer == "/a"
    str(problem).encode()  # what is reported must itself be text


class Text(str):
    pass


class Sly(dict[str, Any]):
    """Says other things than it holds."""

    def items(self) -> Any:
        return [("sly", 1)]


def test_subclasses_give_their_built_in_content():
    class Number(float):
        def __repr__(self) -> str:
            return "seven"

    class Count(int):
        def __int__(self) -> int:
            return 8

    value = [Text("t"), OrderedDict(b=1, a=2), {Text("k"): 1}, Sly(honest=2), Number(1.5), Count(7), (1, 2)]
    assert canonical_json(value) == b'["t",{"a":2,"b":1},{"k":1},{"honest":2},1.5,7,[1,2]]'


def test_two_keys_with_the_same_text_are_refused():
    class Unequal(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return self is other

    assert "same text" in problem_of([{Unequal("k"): 1, Unequal("k"): 2}]).reason


def nested(depth: int, *, of: Any = ()) -> Any:
    value: Any = list(of)
    for _ in range(depth - 1):
        value = [value]
    return value


def test_nesting_is_bounded_on_every_path():
    for content in ((), (1.0,), (Text("t"),), ({"\U0001f600": 1},)):
        inner = 1 if content and isinstance(content[0], dict) else 0
        canonical_json(nested(MAX_DEPTH - inner, of=content))
        problem = problem_of(nested(MAX_DEPTH + 1 - inner, of=content))
        assert problem.pointer == "/0" * MAX_DEPTH
        assert "128 levels" in problem.reason
    assert problem_of(nested(100_000)).pointer == "/0" * MAX_DEPTH


def test_a_caller_near_the_end_of_the_stack_is_still_served():
    value = nested(100, of=(1.0,))

    def at_depth(depth: int) -> bytes:
        return at_depth(depth - 1) if depth else canonical_json(value)

    expected = canonical_json(value)
    served = 0
    for depth in range(700, 1000):
        try:
            assert at_depth(depth) == expected
            served = depth
        except RecursionError:
            break
    assert served > 850  # of Python's 1000, less what pytest stands on: the hundred levels of the value take none


def test_a_value_that_contains_itself_is_refused_where_it_comes_round():
    loop: dict[str, Any] = {"list": [1, {}]}
    loop["list"][1]["up"] = loop["list"]
    problem = problem_of({"a": loop})
    assert problem.pointer == "/a/list/1/up"
    assert "/a/list again" in problem.reason


def test_a_value_that_contains_itself_twice_is_refused_too():
    node: dict[str, Any] = {"name": "parent"}
    node["children"] = [{"parent": node}, {"parent": node}]
    problem = problem_of(node)
    assert problem.pointer == "/children/0/parent"
    assert "the root again" in problem.reason


def test_a_list_used_twice_side_by_side_is_no_cycle():
    shared = [1.0]
    assert canonical_json({"a": shared, "b": [shared, shared]}) == b'{"a":[1],"b":[[1],[1]]}'


def test_more_values_than_a_document_may_hold_are_refused():
    row = [None] * (MAX_VALUES // 100)
    assert str(MAX_VALUES) in problem_of([[row] * 101]).reason
