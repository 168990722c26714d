"""A payload: a JSON value held as its canonical bytes."""

from __future__ import annotations

import copy
import math
import pickle
from hashlib import sha256
from typing import Any

import pytest

from refold.core.canonical import Payload
from refold.core.errors import NotCanonicalError


def test_a_payload_is_its_canonical_bytes():
    payload = Payload.of({"b": 1.0, "a": [True]})
    assert payload.data == b'{"a":[true],"b":1}'
    assert len(payload) == len(payload.data)
    assert payload.sha256 == sha256(payload.data).hexdigest()
    assert payload == Payload.from_canonical(payload.data) == Payload.decoded({"a": [True], "b": 1})
    assert len({payload, Payload.from_canonical(payload.data), Payload.of(2)}) == 2
    assert payload != payload.data
    assert repr(payload) == 'Payload({"a":[true],"b":1})'
    assert len(repr(Payload.of("x" * 1000))) < 100


def test_a_payloads_value_is_what_the_store_will_give_back():
    given_value = {"n": 1.0, "t": (1,)}
    payload = Payload.of(given_value)
    assert type(payload.value["n"]) is int
    assert payload.value["t"] == [1]
    assert payload.value is payload.value
    given_value["n"] = 2.0
    assert payload.fresh() == {"n": 1, "t": [1]}


def test_a_fresh_copy_can_be_changed_without_harm():
    payload = Payload.of({"list": [1]})
    payload.fresh()["list"].append(2)
    assert payload.fresh() == payload.value == {"list": [1]}
    assert payload.fresh() is not payload.fresh()


def test_a_payload_of_null_is_decoded_like_any_other():
    assert Payload.of(None).value is None
    assert Payload.decoded(None).data == b"null"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda payload: pickle.loads(pickle.dumps(payload))])
def test_a_payload_survives_copying_and_pickling(copied: Any):
    for payload in (Payload.of({"a": 1}), Payload.decoded([1])):
        assert copied(payload) == payload
        assert copied(payload).value == payload.value


def test_a_payload_refuses_what_has_no_canonical_form():
    with pytest.raises(NotCanonicalError) as caught:
        Payload.of({"x": [math.nan]})
    assert caught.value.problems[0].pointer == "/x/0"
