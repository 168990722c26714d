"""Names of registered specs, and what a control stream may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import Payload
from refold.core.catalog import Catalog, check_unchanged, is_name, parse_name
from refold.core.errors import CallError, IntegrityError, SpecConflictError, SpecNotFoundError
from refold.core.events import Event, SpecRegistered
from refold.core.spec import WorkflowSpec
from refold.tests.support.units import said
from refold.tests.support.workflows import spec, step

NAME = st.from_regex(r"[A-Za-z0-9._:/@+-]{1,20}", fullmatch=True)


def order(workflow_type: str = "order", version: str = "1", inputs: dict[str, int] | None = None) -> WorkflowSpec:
    """A spec of one step."""
    return WorkflowSpec.parse(
        {**spec(step("a", inputs=inputs or {})), "workflow_type": workflow_type, "version": version}
    )


def registered(
    workflow_type: str = "order", version: str = "1", by: str = "", inputs: dict[str, int] | None = None
) -> SpecRegistered:
    """The event that registers it."""
    made = order(workflow_type, version, inputs)
    canonical = Payload.from_canonical(made.canonical)
    return SpecRegistered(1, "default", workflow_type, version, canonical, made.sha256, by)


def catalog(*events: Event) -> Catalog:
    """What these events make of an empty one."""
    made = Catalog("default")
    for event in events:
        made.take(event)
    return made


@given(NAME, NAME)
def test_a_name_has_one_meaning(workflow_type: str, version: str) -> None:
    assert parse_name(workflow_type) == (workflow_type, None)
    assert parse_name(f"{workflow_type}#{version}") == (workflow_type, version)
    # Whatever can be a type and a version may be registered under them.
    assert catalog(registered(workflow_type, version)).get(workflow_type, version).version == version


@pytest.mark.parametrize("text", ["", "#", "a#", "#a", "a#b#c", "a b", "a\n", "é", "a" * 201, "steps:\n- a"])
def test_other_texts_are_no_names(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(CallError, match="is no name of a workflow"):
        parse_name(text)


def test_the_latest_is_what_was_registered_last_not_the_highest_number() -> None:
    events = [registered(version="10"), registered(version="9"), registered("other", "99")]
    made = catalog(*events)
    assert made.get("order", None) is events[1]
    assert [made.is_latest(event) for event in events] == [False, True, True]
    assert list(made) == events


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda event: replace(event, spec_hash="0" * 64), "the hash of order#1 is"),
        (lambda event: replace(event, spec=Payload.of([])), "the hash of order#1 is"),
        (lambda event: replace(event, tenant="other"), "for another tenant, 'other'"),
        (lambda event: replace(event, version="2"), "registered as order#2 says that it is another one"),
        (lambda event: replace(event, workflow_type="x"), "registered as x#1 says that it is another one"),
        (lambda event: replace(event, spec=Payload.of(3), spec_hash=Payload.of(3).sha256), "says that it is another"),
        (lambda _: said(), r"message\.sent cannot occur here"),
    ],
)
def test_an_event_that_does_not_agree_with_itself_is_not_taken(
    change: Callable[[SpecRegistered], Event], reason: str
) -> None:
    with pytest.raises(IntegrityError, match=reason):
        catalog(change(registered()))


def test_a_version_is_registered_once() -> None:
    with pytest.raises(IntegrityError, match="order#1 is registered already"):
        catalog(registered(), registered(version="2"), registered(by="Eve"))


def test_many_names_and_many_differences_are_told_in_part() -> None:
    made = catalog(*(registered(f"type-{n:02}-{'x' * n}") for n in range(25)))
    with pytest.raises(SpecNotFoundError, match=r"there are type-00-, .* and 5 more$"):
        made.get("nothing alike", None)
    one, other = ({f"i{n:02}": n + more for n in range(21)} for more in (0, 1))
    check_unchanged(registered(inputs=one), order(inputs=one))
    with pytest.raises(SpecConflictError) as refused:
        check_unchanged(registered(inputs=one), order(inputs=other))
    places = [f"/steps/0/inputs/i{n:02}" for n in range(20)]
    assert [problem.pointer for problem in refused.value.problems] == ["/version", *places, ""]
