"""The rules of approvals, as pure functions: who may decide, what follows, and that nobody counts twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.approval_events import (
    ApprovalEscalated,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
)
from refold.core.approval_messages import (
    MAX_COMMENTS,
    MAX_DELEGATIONS,
    ApprovalAct,
    Refusal,
    due_messages,
    expiry,
    judged,
    read,
)
from refold.core.approvals import MAX_REMINDERS, Approval, due_events, failure_of, followed, note, restored
from refold.core.canonical import Payload, canonical_json, decode
from refold.core.errors import IntegrityError
from refold.core.events import MessageSent, RunCancelling
from refold.core.failures import FAILURES, REJECTIONS

SECOND = 1_000_000
NAMES = ["ada", "bob", "eve", "kim", "zoe"]


def requested(
    approvers: list[str] | None = None,
    quorum: int = 1,
    deadline: int | None = None,
    escalation: list[dict[str, Any]] | None = None,
    remind: int | None = None,
) -> ApprovalRequested:
    """What a step that began to wait at 0 asked for; times in seconds."""
    return ApprovalRequested(
        0,
        0,
        "ask",
        "?",
        Payload.of(["ada", "bob"] if approvers is None else approvers),
        quorum,
        None if deadline is None else deadline * SECOND,
        Payload.of(escalation or []),
        None if remind is None else remind * SECOND,
        Payload.of(None),
    )


def asked(*args: Any, **named: Any) -> Approval:
    return followed(None, requested(*args, **named))


def after(approval: Approval, act: ApprovalAct, sent: int = 0) -> Approval | Refusal:
    """The approval after a message, or why it was refused; sent at a time in seconds."""
    verdict = judged(approval, sent * SECOND, 1, act, sent * SECOND)
    return verdict if isinstance(verdict, Refusal) else followed(approval, verdict)


def said(action: str, by: str, comment: str = "", to: str | None = None) -> ApprovalAct:
    return ApprovalAct("ask", action, by, comment, to)


def test_the_codes_of_approvals_are_in_the_catalog() -> None:
    for code in ("APPROVAL_REJECTED", "APPROVAL_EXPIRED"):
        assert not FAILURES[code].retryable and code in REJECTIONS
    assert {"APPROVAL_DECIDED", "APPROVAL_NOT_FOUND", "APPROVER_UNKNOWN", "DELEGATION_REFUSED"} <= FAILURES.keys()


def test_a_message_counts_by_the_time_it_was_sent_not_by_the_time_it_is_taken() -> None:
    approval = asked(deadline=10)
    early, late = 10 * SECOND - 1, 10 * SECOND
    assert isinstance(judged(approval, 99 * SECOND, 1, said("grant", "ada"), early), ApprovalGranted)
    assert judged(approval, 0, 1, said("grant", "ada"), late) == Refusal(
        "APPROVAL_DECIDED", "the deadline for step 'ask' has passed"
    )
    assert isinstance(judged(approval, 0, 1, expiry("ask"), late), ApprovalExpired)
    assert isinstance(judged(approval, 99 * SECOND, 1, expiry("ask"), early), Refusal)


def test_what_is_overdue_waits_for_the_inbox_and_can_still_be_granted() -> None:
    approval = asked(deadline=10)
    (overdue,) = due_events(approval, 10 * SECOND)
    waiting = followed(approval, overdue)
    assert waiting.next_due is None and due_events(waiting, 99 * SECOND) == []
    granted = after(waiting, said("grant", "ada"), sent=9)
    assert isinstance(granted, Approval) and granted.standing == "granted"


def test_timers_come_in_their_order_and_once_each() -> None:
    escalation: list[dict[str, Any]] = [
        {"after_seconds": 5, "to": ["kim"], "note": ""},
        {"after_seconds": 7, "to": ["kim", "zoe"], "note": "!"},
    ]
    approval = asked(escalation=escalation, deadline=100, remind=3)
    assert (approval.next_due, approval.next_escalation) == (3 * SECOND, 5 * SECOND)
    assert due_events(approval, 3 * SECOND - 1) == []
    events = due_events(approval, 8 * SECOND)
    assert [event.topic for event in events] == ["approval.escalated", "approval.escalated", "approval.reminded"]
    for event in events:
        approval = followed(approval, event)
    assert approval.approvers == ("ada", "bob", "kim", "zoe")
    assert (approval.escalated, approval.reminded, approval.next_due) == (2, 2, 9 * SECOND)
    with pytest.raises(IntegrityError, match="number 1 after 2"):
        followed(approval, events[0])


def test_reminders_end_at_some_time() -> None:
    (last,) = due_events(asked(remind=1), 10**9 * SECOND)
    approval = followed(asked(remind=1), last)
    assert approval.reminded == MAX_REMINDERS and approval.next_due is None


def test_what_a_watch_sends_twice_is_taken_once() -> None:
    approval = asked(escalation=[{"after_seconds": 5, "to": ["kim"], "note": ""}], remind=5)
    messages = due_messages(approval, 5 * SECOND)
    assert [key for key, _ in messages] == ["escalate-ask-1", "remind-ask-1"]
    for _, act in messages:
        once = after(approval, act, sent=5)
        assert isinstance(once, Approval)
        assert isinstance(after(once, act, sent=5), Refusal)
        approval = once
    assert due_messages(approval, 5 * SECOND) == []


@pytest.mark.parametrize("action", ["escalate", "remind", "expire"])
def test_what_is_not_due_cannot_be_sent(action: str) -> None:
    approval = asked(escalation=[{"after_seconds": 5, "to": ["kim"], "note": ""}], deadline=10, remind=5)
    assert isinstance(after(approval, ApprovalAct("ask", action, number=1), sent=4), Refusal)


BAD_BODIES: list[Any] = [
    None,
    "grant",
    [],
    {},
    {"step_id": "ask"},
    {"step_id": "ask", "action": "grant"},
    {"step_id": "ask", "action": "grant", "by": 7},
    {"step_id": "ask", "action": "grant", "by": "ada", "comment": None},
    {"step_id": "ask", "action": ["grant"], "by": "ada"},
    {"step_id": "ask", "action": "delegate", "by": "ada"},
    {"step_id": "ask", "action": "escalate", "number": "1"},
    {"step_id": "ask", "action": "remind", "number": True},
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_message_of_any_shape_is_refused_not_believed(body: Any) -> None:
    message = MessageSent(0, "approval", "k", "", "", Payload.of(body))
    told = read(message)
    assert isinstance(told, Refusal) and told.code == "INPUT_INVALID"


def test_comments_and_delegations_have_an_end() -> None:
    approval = asked()
    for _ in range(MAX_COMMENTS):
        commented = after(approval, said("comment", "ada", "hm"))
        assert isinstance(commented, Approval)
        approval = commented
    full = after(approval, said("grant", "ada", "hm"))
    assert isinstance(full, Refusal) and full.code == "INPUT_INVALID"
    assert isinstance(after(approval, said("grant", "ada")), Approval)
    for number in range(MAX_DELEGATIONS):
        giver = "ada" if number == 0 else f"p{number - 1}"
        delegated = after(approval, said("delegate", giver, to=f"p{number}"))
        assert isinstance(delegated, Approval)
        approval = delegated
    over = after(approval, said("delegate", "bob", to="q"))
    assert isinstance(over, Refusal) and over.code == "DELEGATION_REFUSED"


def test_an_escalation_gives_nobody_back_what_they_gave_away() -> None:
    approval = asked(quorum=2, escalation=[{"after_seconds": 5, "to": ["ada", "kim"], "note": ""}])
    delegated = after(approval, said("delegate", "ada", to="zoe"))
    assert isinstance(delegated, Approval)
    (escalated,) = due_events(delegated, 5 * SECOND)
    assert followed(delegated, escalated).approvers == ("zoe", "bob", "kim")


@pytest.mark.parametrize("names", [None, "ada", {"ada": 1}, [1], [["ada"]], ["ada", None]])
def test_names_that_are_none_are_no_possible_history(names: Any) -> None:
    with pytest.raises(IntegrityError, match="no list of names"):
        followed(None, replace(requested(), approvers=Payload.of(names)))
    with pytest.raises(IntegrityError, match="no list of names"):
        followed(asked(), ApprovalEscalated(1, 1, 0, "ask", 1, Payload.of(names), ""))
    each = {"after_seconds": 1, "to": names, "note": ""}
    with pytest.raises(IntegrityError, match="no list of names"):
        followed(None, replace(requested(), escalation=Payload.of([each])))


@pytest.mark.parametrize("escalation", [None, {}, [None], [{"to": []}], [{"after_seconds": "1", "to": [], "note": ""}]])
def test_an_escalation_of_another_shape_is_no_possible_history(escalation: Any) -> None:
    with pytest.raises(IntegrityError, match="no known shape"):
        followed(None, replace(requested(), escalation=Payload.of(escalation)))


def test_a_run_that_ends_takes_its_open_approvals_with_it_and_leaves_the_others() -> None:
    known: dict[Any, Approval] = {}
    note(known, requested())
    note(known, replace(requested(), index=1, step_id="other"))
    note(known, ApprovalGranted(1, 1, 0, "ask", "ada", ""))
    (left,) = note(known, RunCancelling(2, 2, ""))
    assert (left.step_id, left.standing, known[0].standing) == ("other", "cancelled", "granted")
    with pytest.raises(IntegrityError, match="is cancelled"):
        note(known, ApprovalGranted(3, 3, 1, "other", "ada", ""))


def test_a_grant_of_nobody_who_may_is_no_possible_history() -> None:
    with pytest.raises(IntegrityError, match="may not decide"):
        followed(asked(), ApprovalGranted(1, 1, 0, "ask", "mallory", ""))
    with pytest.raises(IntegrityError, match="waits for nobody"):
        followed(None, ApprovalGranted(1, 1, 0, "ask", "ada", ""))
    with pytest.raises(IntegrityError, match="already"):
        followed(asked(), requested())


BY, COMMENTS = st.sampled_from(NAMES), st.sampled_from(["", "why"])
ACTS = st.one_of(
    st.builds(
        ApprovalAct,
        st.just("ask"),
        st.sampled_from(["grant", "reject", "comment", "escalate", "remind", "expire"]),
        BY,
        COMMENTS,
        st.none(),
        st.integers(0, 4),
    ),
    # One that names nobody is refused as it is read.
    st.builds(ApprovalAct, st.just("ask"), st.just("delegate"), BY, COMMENTS, st.sampled_from([*NAMES, "mia"])),
)
REQUESTS = st.integers(1, 4).flatmap(
    lambda count: st.builds(
        requested,
        st.just(NAMES[:count]),
        st.integers(1, count),
        st.one_of(st.none(), st.integers(0, 30)),
        st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(
            lambda to: [{"after_seconds": 5, "to": to, "note": ""}]
        ),
        st.one_of(st.none(), st.integers(1, 9)),
    )
)


@given(REQUESTS, st.lists(st.tuples(st.integers(0, 5), ACTS), max_size=30))
def test_whatever_is_sent_nobody_counts_twice_and_the_quorum_stays_within_reach(
    first: ApprovalRequested, acts: list[tuple[int, ApprovalAct]]
) -> None:
    approval, at = followed(None, first), 0
    events: list[ApprovalEvent] = [first]
    for pause, act in acts:
        at += pause * SECOND
        for due in due_events(approval, at):
            events.append(due)
            approval = followed(approval, due)
        standing = approval.standing
        verdict = judged(approval, at, len(events), act, at)
        if isinstance(verdict, Refusal):
            assert verdict.code in FAILURES and verdict.reason
            continue
        assert standing == "open"
        events.append(verdict)
        approval = followed(approval, verdict)
        people = [each.by for each in approval.granted]
        assert len(set(people)) == len(people) and len(set(approval.approvers)) == len(approval.approvers)
        assert not set(people) & set(approval.approvers)
        assert not {giver for giver, _ in approval.delegated} & {*people, *approval.approvers}
        assert len(people) <= first.quorum
        if approval.standing == "open":
            assert len(people) + len(approval.approvers) >= first.quorum
    again: dict[Any, Approval] = {}
    for event in events:
        note(again, event)
    assert again[0] == approval == restored(first, decode(canonical_json(approval.to_json())))
    if approval.standing in ("rejected", "expired"):
        assert failure_of(approval)[0] in REJECTIONS
    if approval.standing == "granted":
        assert approval.output.value["by"] == [each.by for each in approval.granted]
