"""What is masked, in which disguise, and what is left alone."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import Payload
from refold.core.runtime.masking import Mask
from refold.tests.support.canaries import CANARIES

VALUE = 'p/q "r"\\s+ü\U0001f426'
MASK = Mask({"T": VALUE})


@pytest.mark.parametrize(
    "disguised",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(VALUE))[1:-1],
        quote(VALUE, safe=""),
        quote(VALUE),
        quote_plus(VALUE),
        re.sub("%..", lambda found: found[0].lower(), quote(VALUE, safe="")),
        quote(quote(VALUE, safe=""), safe=""),
        html.escape(VALUE),
        repr(VALUE)[1:-1],
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
    ],
)
def test_a_secret_is_found_in_disguise(disguised: str) -> None:
    masked = MASK.text(f"a{disguised}b")
    assert masked in ("a[secret T]b", 'a"[secret T]\\"b', 'a\\"[secret T]\\"b')
    assert MASK.payload(Payload.of({"x": [f"a{disguised}b"]})).value == {"x": [masked]}


@pytest.mark.parametrize(
    "text",
    [
        repr('{"token": "it\'s-my-töken&"}'),
        repr({"body": 'say "it\'s-my-töken&"'}),
        repr([repr({"body": 'say "it\'s-my-töken&"'})]),
        repr("it's-my-töken&".encode()),
        repr('"it\'s-my-töken&"'.encode()),
        ascii("it's-my-töken&"),
        html.escape("it's-my-töken&", quote=False),
        "it&#39;s-my-töken&amp;",
    ],
)
def test_a_secret_with_quotes_is_found_whatever_surrounds_it(text: str) -> None:
    assert "my-t" not in Mask({"T": "it's-my-töken&"}).text(text)


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "user:", "Ünï"])
@pytest.mark.parametrize("after", ["", "1", "12", "123"])
def test_a_secret_is_found_in_the_base64_of_a_longer_text(before: str, after: str) -> None:
    data = before.encode() + VALUE.encode() + after.encode()
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        masked = MASK.text(encoded.decode())
        assert "[secret T]" in masked
        # What is left at either side is of the surroundings, and of a byte of the secret at most.
        assert len(masked.replace("[secret T]", "")) <= (len(before.encode()) + len(after.encode())) * 4 / 3 + 6


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30), st.text(max_size=20))
def test_no_text_that_contains_a_secret_keeps_it(value: str, around: str) -> None:
    mask = Mask({"NAME": value})
    if value not in "[secret NAME]":
        text = f"{around}{value}{around}"
        masked = mask.text(text)
        assert "[secret NAME]" in masked
        assert value not in masked.replace("[secret NAME]", "\0")


def test_keys_and_numbers_are_masked() -> None:
    mask = Mask({"PIN": "987654"})
    assert mask.payload(Payload.of({"987654": {"a": 987654, "b": 1.9876545, "c": 5, "d": True}})).value == {
        "[secret PIN]": {"a": "[secret PIN]", "b": "1.[secret PIN]5", "c": 5, "d": True}
    }


def test_what_holds_no_secret_is_left_as_it_is() -> None:
    payload = Payload.of({"a": ["b", 1.5, None]})
    assert MASK.payload(payload) is payload and MASK.text("nothing") == "nothing"


def test_the_longest_secret_wins() -> None:
    mask = Mask({"SHORT": "hunter", "LONG": "hunter22"})
    assert mask.text("hunter22 hunter2") == "[secret LONG] [secret SHORT]2"


def test_what_is_taken_out_of_a_secret_is_masked_too() -> None:
    document = json.dumps({"type": "account", "private_key": "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n"})
    mask = Mask({"ACCOUNT": document})
    parsed = mask.payload(Payload.of(json.loads(document)))
    assert "MIIE" not in parsed.data.decode()
    assert "MIIE" not in mask.text("line: MIIEvQIBADAN")


def test_a_secret_spread_over_several_values_leaves_nothing() -> None:
    mask = Mask({"LIST": '["ab","cd"]'})
    assert mask.payload(Payload.of({"x": ["ab", "cd"]})).value == "[secret LIST]"


@pytest.mark.parametrize("text", ["a" * 200_000, "\\" * 200_000, '"' * 200_000, "%5C" * 60_000])
def test_hostile_text_is_searched_in_linear_time(text: str) -> None:
    mask = Mask({"A": "a" * 1000 + "b", "B": "\\" * 1000 + "b", "C": '"' * 1000 + "b"})
    assert mask.text(text) == text


def test_the_twenty_canaries_are_masked_by_one_mask() -> None:
    mask = Mask(CANARIES)
    for name, value in CANARIES.items():
        assert mask.text(f"<{value}>") == f"<[secret {name}]>"
