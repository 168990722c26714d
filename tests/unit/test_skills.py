"""What a function may declare to be a skill, and what becomes of what it returns."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from refold.core.errors import CallError, Failure
from refold.core.retry import Retry
from refold.core.runtime.context import StepContext
from refold.core.runtime.payloads import output_of
from refold.core.runtime.skill import Skill, skill


class Point(pydantic.BaseModel):
    x: int
    label: str = "here"


@dataclasses.dataclass
class Line:
    start: Point
    end: Point


class Tags(pydantic.BaseModel):
    tags: set[str]


def test_a_bare_decorator_takes_the_functions_name() -> None:
    @skill
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    assert (double.skill_id, double.version, double.deterministic, double.side_effect) == ("double", "1", False, False)
    assert (double.cost_cents, double.retry, double.at_most_once, double.inline) == (None, None, False, False)
    assert double.__doc__ == "Twice as much." and vars(double)["__name__"] == "double"
    assert list(inspect.signature(double).parameters) == ["n"]


def test_a_declaration_is_carried() -> None:
    retry = Retry(max_attempts=5)

    @skill("charge_card", version="7", side_effect=True, cost_cents=2.5, retry=retry)
    async def charge(amount: int) -> int:
        return amount

    assert (charge.skill_id, charge.version, charge.side_effect) == ("charge_card", "7", True)
    assert (charge.cost_cents, charge.retry, charge.is_async) == (2.5, retry, True)


async def test_called_it_is_the_plain_function() -> None:
    @skill
    def double(n: int) -> int:
        return 2 * n

    @skill
    async def triple(n: int) -> int:
        return 3 * n

    assert double(4) == 8
    assert double(n="ab") == "abab", "a plain call checks nothing"  # pyright: ignore[reportArgumentType]
    assert await triple(4) == 12
    assert (double.is_async, triple.is_async) == (False, True)


def test_a_method_can_be_a_skill() -> None:
    class Shop:
        def price(self, item: str) -> int:
            return len(item)

    declared = skill("price")(Shop().price)
    assert declared(**declared.bind(b'{"item":"tea"}', None)) == 3


def test_a_skill_cannot_be_changed() -> None:
    @skill
    def double(n: int) -> int:
        return 2 * n

    with pytest.raises(dataclasses.FrozenInstanceError):
        double.version = "2"  # pyright: ignore[reportAttributeAccessIssue]


def _plain(n: int) -> int:
    return n


def _positional(n: int, /) -> int:
    return n


def _star(*values: int) -> int:
    return len(values)


def _generator(n: int) -> Any:
    yield n


async def _async(n: int) -> int:
    return n


@functools.wraps(_async)
def _hides_async(*args: Any, **kwargs: Any) -> Any:
    return _async(*args, **kwargs)


def _unresolvable(n: Missing) -> int:  # pyright: ignore  # noqa: F821, PGH003
    return n


def _two_contexts(a: StepContext, b: StepContext) -> None: ...


def _context_as_rest(**ctx: StepContext) -> None: ...


@pytest.mark.parametrize(
    ("function", "declaration", "reason"),
    [
        (_plain, {"deterministic": True, "side_effect": True}, "deterministic and side_effect exclude each other"),
        (_plain, {"at_most_once": True, "retry": Retry(3)}, "at_most_once and retry exclude each other"),
        (_async, {"inline": True}, "inline is for sync functions"),
        (_async, {"heartbeat_seconds": 1}, "heartbeat_seconds without a StepContext"),
        (_plain, {"version": ""}, "version ''"),
        (_plain, {"version": 2}, "version 2"),
        (_plain, {"cost_cents": -1}, "cost_cents -1"),
        (_plain, {"cost_cents": float("nan")}, "cost_cents nan"),
        (_plain, {"cost_cents": True}, "cost_cents True"),
        (_plain, {"retry": 3}, "retry is 3"),
        (_plain, {"deterministic": "yes"}, "deterministic is 'yes'"),
        (_plain, {"skill_id": "two words"}, "'two words'"),
        (_plain, {"skill_id": ""}, "the name is none for a skill"),
        (_plain, {"skill_id": 5}, "the name is none for a skill"),
        (lambda n: n, {}, "'<lambda>'"),
        (_positional, {}, "'n' is positional-only"),
        (_star, {}, "*values"),
        (_generator, {}, "is a generator"),
        (_hides_async, {}, "hides an async function"),
        (_unresolvable, {}, "'Missing' is not defined"),
        (_two_contexts, {}, "a, b all ask for the StepContext"),
        (_context_as_rest, {}, "**ctx takes inputs"),
        (Point, {}, "is no Python function"),
        (len, {}, "is no Python function"),
        (functools.partial(_plain, 1), {"skill_id": "p"}, "is no Python function"),
        (skill(_plain), {"skill_id": "again"}, "is a skill already"),
    ],
)
def test_a_bad_declaration_is_refused_with_the_reason(
    function: Callable[..., Any], declaration: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CallError) as caught:
        skill(**declaration)(function)
    assert reason in str(caught.value)


def test_every_fault_of_a_declaration_is_listed() -> None:
    with pytest.raises(CallError) as caught:
        skill("a b", version="", deterministic=True, side_effect=True)(_positional)
    assert len(caught.value.problems) == 4


def test_an_annotation_that_json_cannot_fill_is_refused_when_it_is_needed() -> None:
    @skill
    def send(connection: Callable[[int], memoryview]) -> None: ...

    @skill
    def look(view: memoryview) -> None: ...

    with pytest.raises(CallError, match="'look': an annotation is nothing that JSON can fill"):
        look.bind(b'{"view":1}', None)


@pytest.mark.parametrize(
    ("result", "data"),
    [
        (None, b"null"),
        ({"b": [1, 2.5], "a": "x"}, b'{"a":"x","b":[1,2.5]}'),
        ((1, (2, 3)), b"[1,[2,3]]"),
        (Point(x=1), b'{"label":"here","x":1}'),
        ([{"at": Point(x=1)}], b'[{"at":{"label":"here","x":1}}]'),
        (Line(Point(x=1), Point(x=2)), b'{"end":{"label":"here","x":2},"start":{"label":"here","x":1}}'),
        ((Point(x=1), 1e17), b'[{"label":"here","x":1},100000000000000000]'),
    ],
)
def test_json_models_and_dataclasses_are_outputs(result: Any, data: bytes) -> None:
    assert output_of(result).data == data


@pytest.mark.parametrize(
    ("result", "where"),
    [
        ({1, 2}, "set"),
        ({"a": [0, b"x"]}, "/a/1"),
        ({"a/b": float("nan")}, "/a~1b"),
        ([2**53], "/0"),
        (object(), "object"),
        (Point, "no JSON type"),
        ({"deep": {"er": Tags(tags={"a", "b"})}}, "/deep/er/tags: a set has no order"),
        ({1: "key"}, "string"),
        (functools.reduce(lambda inner, _: [inner], range(500), []), "nested"),
        (functools.reduce(lambda inner, _: [inner], range(100_000), [{1}]), "nested"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(result: Any, where: str) -> None:
    with pytest.raises(Failure) as caught:
        output_of(result)
    assert caught.value.step_code == "SKILL_OUTPUT_INVALID"
    assert caught.value.retryable is False
    assert where in str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = [Point(x=1)]
    loop.append(loop)
    with pytest.raises(Failure) as caught:
        output_of(loop)
    assert caught.value.step_code == "SKILL_OUTPUT_INVALID"


def test_an_output_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(output_of("x" * 98, limit=100)) == 100
    with pytest.raises(Failure, match="101 bytes, more than 100") as caught:
        output_of("x" * 99, limit=100)
    assert caught.value.step_code == "OUTPUT_TOO_LARGE"


def test_an_output_is_cut_off_from_the_object_that_was_returned() -> None:
    returned = {"items": [1]}
    payload = output_of(returned)
    returned["items"].append(2)
    assert payload.value == {"items": [1]}


def test_a_skill_is_typed_as_its_function() -> None:
    declared: Skill[..., int] = skill(_plain)
    assert declared(n=3) == 3
