"""Canonical JSON against RFC 8785's own samples and against another implementation."""

from __future__ import annotations

import json
import math
import os
import random
import struct
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import MAX_DEPTH, MAX_INTEGER, Payload, canonical_json, composed, decode
from refold.core.errors import NotCanonicalError

# RFC 8785, appendix B: the bits of a 64-bit float, and how it is written.
APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def float_of(bits: str) -> float:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    return number


@pytest.mark.parametrize(("bits", "written"), APPENDIX_B.items())
def test_numbers_are_written_as_appendix_b_writes_them(bits: str, written: str):
    assert canonical_json(float_of(bits)) == written.encode()


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_numbers_that_appendix_b_refuses_are_refused(bits: str):
    with pytest.raises(NotCanonicalError) as caught:
        canonical_json({"x": float_of(bits)})
    assert caught.value.problems[0].pointer == "/x"


def test_the_sample_of_section_3_2_2_is_written_as_in_section_3_2_4():
    value = json.loads(
        r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    )
    assert canonical_json(value).hex(" ") == (
        "7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 "
        "75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73 22 3a "
        "5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 "
        "65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37 "
        "5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 "
        "30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d"
    )


def test_keys_are_sorted_as_in_section_3_2_3():
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\x80": "Control",
        "\xf6": "Latin Small Letter O With Diaeresis",
    }
    assert [name.split(":")[0].split()[0] for name in json.loads(canonical_json(value)).values()] == [
        "Carriage",
        "One",
        "Control",
        "Latin",
        "Euro",
        "Emoji",
        "Hebrew",
    ]


def test_every_control_character_is_escaped_the_short_way_or_by_number():
    text = "".join(map(chr, range(0x21))) + '"\\/\x7f\u2028\ud7ff\ue000\U0010ffff'
    assert canonical_json(text) == rfc8785.dumps(text)
    assert canonical_json("\b\t\n\x0b\f\r\x1f/") == rb'"\b\t\n\u000b\f\r\u001f/"'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, b"1"),
        (-0.0, b"0"),
        (1e16, b"10000000000000000"),
        (1e-6, b"0.000001"),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'.encode()),
    ],
)
def test_where_orjson_writes_something_else_rfc_8785_wins(value: Any, written: bytes):
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != written
    assert canonical_json(value) == rfc8785.dumps(value) == written


@pytest.mark.parametrize(
    "value", [1e-4, 1e-5, 1e-7, 1.5e-4, 1e15, 1e15 + 0.5, 123e18, 1e20, 1e21, 1e22, 2.0**53, 2.0**63, -(2.0**70)]
)
def test_numbers_at_the_borders_of_the_quick_path_are_right(value: float):
    for number in (value, -value, math.nextafter(value, 0), math.nextafter(value, math.inf)):
        assert canonical_json([number]) == rfc8785.dumps([number])


def random_float(rng: random.Random) -> float:
    kind = rng.randrange(4)
    if kind == 0:
        number = struct.unpack(">d", rng.randbytes(8))[0]
        return number if math.isfinite(number) else 0.5
    if kind == 1:
        return float(f"{rng.randint(-999, 999)}e{rng.randint(-330, 305)}")
    if kind == 2:
        return float(rng.randint(-(10 ** rng.randint(1, 23)), 10 ** rng.randint(1, 23)))
    return rng.uniform(-1, 1) * 10 ** rng.randint(-8, 22)


def random_text(rng: random.Random) -> str:
    ranges = [(0, 0x1F), (0x20, 0x7F), (0x80, 0x7FF), (0xD000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randrange(5)))


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return random_float(rng)
    if kind == 3:
        return rng.randint(-(2 ** rng.randint(0, 53)) + 1, 2 ** rng.randint(0, 53) - 1)
    if kind in (4, 5):
        return random_text(rng)
    if kind == 6:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return tuple(random_value(rng, depth + 1) for _ in range(rng.randrange(4)))
    return {random_text(rng): random_value(rng, depth + 1) for _ in range(rng.randrange(5))}


@pytest.mark.timeout(3600)
def test_a_campaign_of_random_values_agrees_with_another_implementation_byte_for_byte():
    count = int(os.environ.get("REFOLD_CANONICAL_VALUES", "20000"))
    seed = int(os.environ.get("REFOLD_CANONICAL_SEED", "8785"))
    rng = random.Random(seed)
    for number in range(count):
        value = random_value(rng)
        written = canonical_json(value)
        assert written == rfc8785.dumps(value), f"value {number} of seed {seed}"
        assert canonical_json(decode(written)) == written, f"value {number} of seed {seed}"
    print(f"{count} values of seed {seed} agree")  # noqa: T201


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**24), 10**24).map(float)
    | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=4), children, max_size=5),
    max_leaves=25,
)


@given(JSON_VALUES)
def test_any_value_agrees_with_another_implementation(value: Any):
    assert canonical_json(value) == rfc8785.dumps(value)


def in_parts(value: Any, rng: random.Random) -> Any:
    """`value` with some of what is in it as payloads."""
    if rng.random() < 0.3:
        return Payload.of(value)
    if isinstance(value, dict):
        return {key: in_parts(item, rng) for key, item in value.items()}
    return [in_parts(item, rng) for item in value] if isinstance(value, list) else value


@given(JSON_VALUES, st.randoms(use_true_random=False))
def test_a_value_composed_of_payloads_is_written_as_the_whole_is(value: Any, rng: random.Random):
    assert composed(in_parts(value, rng)) == canonical_json(value)


def test_payloads_do_not_count_towards_the_depth_of_what_they_are_part_of():
    deep: Any = 0
    for _ in range(MAX_DEPTH):
        deep = [deep]
    payload = Payload.of(deep)
    for key in ("output", "\U0001f600"):
        assert composed({key: [payload]}) == b'{"%s":[%s]}' % (key.encode(), payload.data)


@pytest.mark.parametrize("value", [math.nan, 2**53, "\ud800", {"\ud800": 1}, object()])
def test_what_has_no_canonical_form_is_refused_beside_payloads_too(value: Any):
    with pytest.raises(NotCanonicalError):
        composed({"ours": Payload.of(1), "theirs": value})


@given(JSON_VALUES)
def test_reading_back_and_writing_again_changes_nothing(value: Any):
    written = canonical_json(value)
    assert canonical_json(decode(written)) == written
    assert decode(written) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back_as_the_same_number(number: float):
    assert float(canonical_json(number)) == number
    assert decode(canonical_json([number])) == [number]


def test_a_whole_float_too_large_for_an_integer_comes_back_as_a_float():
    for value in (1e17, -1e17, 2.0**53, [1e20], {"n": -(2.0**60)}):
        again = decode(canonical_json(value))
        assert again == value
        assert canonical_json(again) == canonical_json(value)
    assert type(decode(canonical_json(1e17))) is float
    assert type(decode(canonical_json([float(MAX_INTEGER)]))[0]) is int


@pytest.mark.parametrize(
    "text", ["9007199254740991", "-9007199254740991", "9007199254740992", "90071992547409910", "1e16"]
)
@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a":%s,"b":1}', "[1234567890123456,%s]", "[%s,1234567890123456]"])
def test_an_integer_of_sixteen_digits_is_one_only_up_to_the_largest_exact(text: str, around: str) -> None:
    number = float(text) if float(text) > 2**53 - 1 or "e" in text else int(text)
    data = canonical_json(json.loads(around % json.dumps(number)))
    assert decode(data) == json.loads(around % json.dumps(number))
    assert canonical_json(decode(data)) == data
