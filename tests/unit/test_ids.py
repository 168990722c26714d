"""Names of runs, tenants and streams, and base seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.errors import CallError
from refold.core.ids import check_run_id, check_seed, check_tenant, inbox_of, run_of, specs_of, stream_of

ALPHABET = "start with a letter or digit, then only letters, digits and . _ : @ ~ -"


def message(call: Callable[..., object], *args: object) -> str:
    with pytest.raises(CallError) as caught:
        call(*args)
    assert [problem.pointer for problem in caught.value.problems] == [""]
    return str(caught.value)


@pytest.mark.parametrize("text", ["a", "0", "order-1.2_3:x@y~z", "0192f0c1-7c5e-7b7a-8000-000000000000", "x" * 200])
def test_run_ids_of_the_alphabet_pass(text: str) -> None:
    assert check_run_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", ".a", "a/b", "a b", "a\n", "\na", "a\0", "é", "a٣", "../x", "x" * 201, None, 5, b"a", True]
)
def test_other_run_ids_are_refused(text: object) -> None:
    assert message(check_run_id, text).endswith(f" is not possible. Fix: {ALPHABET}; at most 200 characters")


def test_the_refused_name_is_shown_in_short_and_printable() -> None:
    assert message(check_run_id, "a b\n").startswith("run id 'a b\\n' is not possible. Fix: ")
    assert message(check_tenant, b"a").startswith("tenant of type bytes is not possible. Fix: ")
    assert len(message(check_run_id, "\ud800" * 10**6)) < 250
    assert len(message(check_run_id, 10**10000)) < 250


def test_tenants_are_shorter() -> None:
    assert check_tenant("t" * 100) == "t" * 100
    assert message(check_tenant, "t" * 101).endswith("; at most 100 characters")


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,99}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}", fullmatch=True),
)
def test_a_stream_tells_its_run(tenant: str, run_id: str) -> None:
    stream = stream_of(tenant, run_id)
    assert stream == f"{tenant}/{run_id}"
    assert run_of(stream) == (tenant, run_id)
    assert inbox_of(stream) == f"{tenant}/{run_id}/inbox"
    assert "is no run's stream. Fix: give it as tenant/run-id" in message(run_of, inbox_of(stream))


@pytest.mark.parametrize("stream", ["", "a", "/a", "a/", "a/b/inbox", "a/b\n", "a\n/b", "a//b"])
def test_other_streams_tell_no_run(stream: str) -> None:
    message(run_of, stream)


def test_streams_are_made_of_checked_names_only() -> None:
    assert message(stream_of, "a/b", "c").startswith("tenant 'a/b' is not possible")
    assert message(stream_of, "a", "b/inbox").startswith("run id 'b/inbox' is not possible")


def test_no_tenant_can_be_called_as_the_control_streams_begin() -> None:
    assert message(check_tenant, "control") == (
        "the tenant 'control' is reserved: control streams begin with this name. Fix: choose another name"
    )
    assert message(stream_of, "control", "specs").startswith("the tenant 'control' is reserved")
    assert message(specs_of, "control").startswith("the tenant 'control' is reserved")
    assert "is no run's stream" in message(run_of, "control/specs")
    assert "is no run's stream" in message(run_of, specs_of("a"))
    assert [check_tenant(name) for name in ("Control", "controls", "control.")] == ["Control", "controls", "control."]
    assert specs_of("a") == "control/specs/a"


def test_seeds_are_the_integers_that_json_carries() -> None:
    assert [check_seed(seed) for seed in (0, 2**53 - 1)] == [0, 2**53 - 1]
    fix = "is not possible. Fix: give an integer from 0 to 9007199254740991"
    assert message(check_seed, -1) == f"seed -1 {fix}"
    assert message(check_seed, 2**53) == f"seed 9007199254740992 {fix}"
    assert message(check_seed, True) == f"seed True {fix}"
    assert message(check_seed, 1.0) == f"seed 1.0 {fix}"
    assert message(check_seed, "1") == f"seed '1' {fix}"
    assert message(check_seed, None) == f"seed None {fix}"
    assert message(check_seed, 10**10000) == f"seed of more than 128 bits {fix}"
