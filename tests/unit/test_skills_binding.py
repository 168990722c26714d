"""How a step's inputs fill the parameters of its skill."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import canonical_json, decode
from refold.core.errors import Failure, NotCanonicalError
from refold.core.runtime.context import StepContext
from refold.core.runtime.skill import skill

if TYPE_CHECKING:
    from decimal import Decimal

CONTEXT = StepContext("r1", "charge", 3, 42, 1, "r1:charge", {"before": {"x": 1}})


class Order(pydantic.BaseModel):
    sku: str
    count: int = 1


@dataclasses.dataclass
class Address:
    city: str
    zip: int


class Colour(enum.StrEnum):
    RED = "red"


def _bound(annotation: Any, value: Any) -> Any:
    def take(value: Any) -> None: ...

    take.__annotations__["value"] = annotation
    return skill(take).bind(canonical_json({"value": value}), CONTEXT)["value"]


def _refusal(function: Callable[..., Any], inputs: dict[str, Any]) -> str:
    with pytest.raises(Failure) as caught:
        skill(function).bind(canonical_json(inputs), CONTEXT)
    assert caught.value.step_code == "SKILL_INPUT_INVALID"
    assert caught.value.retryable is False
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "bound"),
    [
        (int, 5, 5),
        (int, 5.0, 5),
        (float, 5, 5.0),
        (float, 1e17, 1e17),
        (bool, True, True),
        (str, "x", "x"),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict, {"a": [1]}, {"a": [1]}),
        (Optional[int], None, None),  # noqa: UP045
        (int | None, 4, 4),
        (int | str, "4", "4"),
        (Literal["a", "b"], "b", "b"),
        (Colour, "red", Colour.RED),
        (Order, {"sku": "tea"}, Order(sku="tea")),
        (list[Order], [{"sku": "tea", "count": 2}], [Order(sku="tea", count=2)]),
        (Address, {"city": "Ulm", "zip": 89073}, Address("Ulm", 89073)),
        (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (Annotated[int, pydantic.Field(gt=0)], 3, 3),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
        (object, "x", "x"),
        (Any, [1e17], [1e17]),
    ],
)
def test_a_value_that_fits_its_annotation_is_bound(annotation: Any, value: Any, bound: Any) -> None:
    result = _bound(annotation, value)
    assert result == bound and type(result) is type(bound)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "5"),
        (int, 5.5),
        (int, True),
        (int, None),
        (float, "5"),
        (float, False),
        (bool, 1),
        (bool, "true"),
        (str, 5),
        (list[int], [1, "2"]),
        (list[int], {"0": 1}),
        (dict[str, int], [["a", 1]]),
        (int | None, "4"),
        (Literal["a", "b"], "c"),
        (Order, {"sku": 5}),
        (Order, {"count": 2}),
        (Address, {"city": "Ulm"}),
        (Address, ["Ulm", 89073]),
        (datetime.datetime, "yesterday"),
        (Annotated[int, pydantic.Field(gt=0)], 0),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(annotation: Any, value: Any) -> None:
    def take(value: Any) -> None: ...

    take.__annotations__["value"] = annotation
    assert "skill 'take': input 'value'" in _refusal(take, {"value": value})


def charge(amount: int, currency: str = "EUR") -> None: ...


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"amount": "5"}, "input 'amount' is the text \"5\", wanted int"),
        ({}, "input 'amount' is missing (wanted int)"),
        ({"amount": 1, "curency": "EUR"}, "input 'curency' is unknown (did you mean 'currency'?)"),
        ({"amount": 1, "zzz": 1}, "input 'zzz' is unknown (it takes amount, currency)"),
        ({"amount": 1, "currency": None}, "input 'currency' is null, wanted str"),
        ({"amount": [1, 2]}, "input 'amount' is an array of 2, wanted int"),
        ({"amount": {"a": 1}}, "input 'amount' is an object of 1, wanted int"),
        ({"amount": False}, "input 'amount' is false, wanted int"),
    ],
)
def test_a_refusal_says_what_was_given_and_what_is_wanted(inputs: dict[str, Any], message: str) -> None:
    assert message in _refusal(charge, inputs)


def test_a_refusal_lists_every_input_that_is_wrong() -> None:
    message = _refusal(charge, {"amount": "5", "currency": 5, "x": 1})
    assert all(f"input '{name}'" in message for name in ("amount", "currency", "x"))


def test_a_refusal_points_into_a_value_and_shows_little_of_it() -> None:
    def ship(orders: list[Order]) -> None: ...

    message = _refusal(ship, {"orders": [{"sku": "a"}, {"sku": "b", "count": "secret" * 50}]})
    assert "input 'orders' at /1/count" in message
    assert len(message) < 200


def test_a_validator_that_crashes_is_a_refusal() -> None:
    class Fussy(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise RuntimeError("the validator is broken")

    def take(value: Any) -> None: ...

    take.__annotations__["value"] = Fussy
    assert "RuntimeError: the validator is broken" in _refusal(take, {"value": {"n": 1}})


def test_defaults_are_left_to_the_function() -> None:
    declared = skill(charge)
    assert declared.bind(b'{"amount":1}', CONTEXT) == {"amount": 1}


def test_any_name_that_python_allows_may_be_a_parameters() -> None:
    def take(_private: int, json: int, copy: int, model_config: int, schema: int = 0) -> None: ...

    inputs = {"_private": 1, "json": 2, "copy": 3, "model_config": 4, "schema": 5}
    assert skill(take).bind(canonical_json(inputs), CONTEXT) == inputs


def test_parameters_without_annotation_take_anything() -> None:
    def take(value): ...  # pyright: ignore[reportMissingParameterType]

    assert skill(take).bind(b'{"value":[1,"a"]}', CONTEXT) == {"value": [1, "a"]}


def test_rest_takes_what_is_left() -> None:
    def take(n: int, **rest: Any) -> None: ...

    assert skill(take).bind(b'{"a":[1],"n":1}', CONTEXT) == {"n": 1, "a": [1]}
    assert "input 'n' is the text" in _refusal(take, {"n": "1", "a": 2})


def test_an_annotated_rest_is_checked() -> None:
    def take(**prices: int) -> None: ...

    assert skill(take).bind(b'{"tea":1}', CONTEXT) == {"tea": 1}
    assert "input 'tea' is the text \"1\", wanted int" in _refusal(take, {"tea": "1"})


def _by_name(n: int, anything: StepContext) -> None: ...
def _or_none(n: int, anything: StepContext | None = None) -> None: ...
def _optional(n: int, anything: Optional[StepContext] = None) -> None: ...  # noqa: UP045
def _annotated(n: int, anything: Annotated[StepContext, "x"]) -> None: ...
def _with_rest(anything: StepContext, **rest: Any) -> None: ...
def _keyword_only(*, n: int, anything: StepContext) -> None: ...


@pytest.mark.parametrize("function", [_by_name, _or_none, _optional, _annotated, _with_rest, _keyword_only])
def test_the_context_goes_where_the_annotation_asks_for_it(function: Callable[..., Any]) -> None:
    declared = skill(function)
    assert declared.takes_context
    assert declared.bind(b'{"n":1}', CONTEXT) == {"n": 1, "anything": CONTEXT}


@pytest.mark.parametrize("function", [_by_name, _with_rest])
def test_an_input_cannot_take_the_contexts_place(function: Callable[..., Any]) -> None:
    assert "input 'anything' is unknown" in _refusal(function, {"n": 1, "anything": {}})


def test_the_context_is_known_where_only_type_checkers_import_it() -> None:
    scope: dict[str, Any] = {}
    exec("def take(ctx: 'StepContext | None'): ...", scope)
    take: Callable[..., Any] = scope["take"]
    assert skill(take).bind(b"{}", CONTEXT) == {"ctx": CONTEXT}


def test_a_context_that_shares_the_name_only_is_no_context() -> None:
    scope: dict[str, Any] = {}
    exec("StepContext = int\ndef take(ctx: 'StepContext'): ...", scope)
    take: Callable[..., Any] = scope["take"]
    assert not skill(take).takes_context


def test_the_context_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONTEXT.seed = 1  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(CONTEXT, "__dict__")


@pytest.mark.parametrize("function", [_with_rest, lambda **rest: None, lambda a, b: None])
def test_what_a_skill_does_to_its_inputs_stays_with_it(function: Callable[..., Any]) -> None:
    declared = skill("take")(function)
    data = b'{"a":{"list":[1]},"b":[]}'
    first = declared.bind(data, CONTEXT)
    first["a"]["list"].append(2)
    first["b"].append(3)
    second = declared.bind(data, CONTEXT)
    assert (second["a"], second["b"]) == ({"list": [1]}, [])


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _canonical(value: Any) -> bytes | None:
    try:
        return canonical_json(value)
    except NotCanonicalError:
        return None


@given(_json)
def test_every_json_value_passes_through_unchanged(value: Any) -> None:
    data = _canonical({"value": value})
    if data is None:
        return

    def checked(value: Any) -> None: ...
    def rest(**inputs: Any) -> None: ...

    expected = decode(data)
    for function in (checked, rest):
        bound = skill(function).bind(data, CONTEXT)
        assert bound == expected
        assert canonical_json(bound) == data


def test_hints_that_only_type_checkers_see_are_named() -> None:
    def pay(amount: Decimal) -> None: ...

    with pytest.raises(Exception, match="'Decimal' is not defined"):
        skill(pay)
