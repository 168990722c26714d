"""`refold approvals`: what is open, deciding it, exit codes, and the watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refold import open_store
from refold.projections.approvals import ApprovalsProjection
from refold.tests.cli.driver import Refold, Write
from refold.tests.support.projected import caught_up
from refold.tests.support.sites import Site
from refold.tests.support.workflows import until

Ask = Callable[..., None]
"""Has a run wait for people: its id, and the inputs of the step `ask`."""


@pytest.fixture
def ask(refold: Refold, write: Write, folder: Path) -> Ask:
    def asks(run_id: str, **inputs: Any) -> None:
        asked = {"reason": "ship it", "approvers": ["ada", "bob"], "details": {"build": 7}, **inputs}
        file = write({"step_id": "ask", "skill_id": "approval", "inputs": asked})
        assert refold("start", file, "--run-id", run_id).code == 0

        async def work() -> None:
            site = Site(f"sqlite:///{folder / 'refold.db'}")
            async with site.worker() as worker:
                await until(lambda: "approval.requested" in site.topics(run_id) and not worker.running)
            await site.client.close()
            site.store.close()

        asyncio.run(work())

    return asks


def project() -> None:
    """Bring the projection up with the log."""
    store = open_store(None)
    try:
        caught_up(store, ApprovalsProjection())
    finally:
        store.close()


def test_an_approval_is_listed_shown_delegated_commented_and_granted(refold: Refold, ask: Ask) -> None:
    ask("r", quorum=2)
    project()
    (listed,) = refold("approvals", "list", "--open", "--json").lines
    assert (listed["run_id"], listed["step_id"], listed["status"]) == ("r", "ask", "open")
    assert (listed["approvers"], listed["quorum"], listed["granted"]) == (["ada", "bob"], 2, 0)
    assert "waits for ada, bob, 0 of 2 have granted, for ever: ship it" in refold("show", "r").out
    assert "approval ada, bob" in refold("timeline", "r").out

    commented = refold("approvals", "comment", "r", "--by", "ada", "--comment", "who tested it?")
    assert commented.code == 0 and "comment         ada: who tested it?" in commented.out
    assert refold("approvals", "delegate", "r", "--by", "bob", "--to", "zoe").code == 0
    (granted,) = refold("approvals", "grant", "r", "--by", "zoe", "--comment", "I did", "--json").lines
    assert (granted["status"], granted["granted"], granted["delegated"]) == (
        "open",
        ["zoe"],
        [{"by": "bob", "to": "zoe"}],
    )
    last = refold("approvals", "grant", "r", "ask", "--by", "ada")
    assert last.code == 0 and last.out.startswith(" granted   r  ask") and "2 of 2: zoe, ada" in last.out
    shown = refold("approvals", "show", "r")
    assert shown.code == 0 and "bob to zoe" in shown.out and '{"build":7}' in shown.out

    assert refold("resume", "r").code == 0
    project()
    assert refold("approvals", "list", "--open", "--json").lines == []
    (row,) = refold("approvals", "list", "--json").lines
    assert (row["status"], row["granted"], row["next_due"]) == ("granted", 2, None)
    told = [(each["action"], each["by"], each["to"]) for each in row["said"]]
    assert told == [
        ("commented", "ada", []),
        ("delegated", "bob", ["zoe"]),
        ("granted", "zoe", []),
        ("granted", "ada", []),
    ]
    assert refold("verify", "r").code == 0 and refold("replay", "r").code == 0


def test_my_list_holds_what_i_may_decide(refold: Refold, ask: Ask) -> None:
    ask("one", approvers=["ada"])
    ask("two", approvers=["ada", "bob"])
    project()
    lists = {name: refold("approvals", "list", "--mine", name, "--json").lines for name in ("ada", "bob", "eve")}
    mine = {name: [each["run_id"] for each in rows] for name, rows in lists.items()}
    assert mine == {"ada": ["one", "two"], "bob": ["two"], "eve": []}
    assert refold("approvals", "list", "--tenant", "other", "--json").lines == []
    assert len(refold("approvals", "list", "--all-tenants", "--json").lines) == 2
    assert "no approvals" in refold("approvals", "list", "--mine", "eve").err


def test_a_rejection_rejects_the_run_and_nobody_decides_after_it(refold: Refold, ask: Ask) -> None:
    ask("r")
    assert refold("approvals", "reject", "r", "--by", "ada", "--comment", "no").code == 0
    ended = refold("resume", "r", "--json")
    assert (ended.code, ended.lines[-1]["status"], ended.lines[-1]["error_code"]) == (
        6,
        "rejected",
        "APPROVAL_REJECTED",
    )
    for step in ([], ["ask"]):
        refused = refold("approvals", "grant", "r", *step, "--by", "bob", "--json")
        assert (refused.code, refused.lines[0]["error"]["code"]) == (6, "APPROVAL_DECIDED")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["grant", "r", "--by", "mallory"], 6, "APPROVER_UNKNOWN"),
        (["grant", "r", "nothing", "--by", "ada"], 6, "APPROVAL_NOT_FOUND"),
        (["delegate", "r", "--by", "ada", "--to", "ada"], 6, "DELEGATION_REFUSED"),
        (["grant", "none", "--by", "ada"], 2, "RUN_NOT_FOUND"),
        (["grant", "r", "--by", ""], 2, "INPUT_INVALID"),
        (["grant", "r", "--by", "ada", "--comment", "x" * 2001], 2, "INPUT_INVALID"),
        (["grant", "r", "--by", "ada", "--key", "k" * 2001], 2, "INPUT_INVALID"),
        (["comment", "r", "--by", "ada", "--comment", ""], 2, "INPUT_INVALID"),
        (["grant", "r/../s", "--by", "ada"], 2, "INPUT_INVALID"),
        (["show", "r", "nothing"], 6, "APPROVAL_NOT_FOUND"),
        (["list"], 2, "INPUT_INVALID"),
    ],
)
def test_what_is_refused_says_why_by_code_and_exit_code(
    refold: Refold, ask: Ask, words: list[str], code: int, error: str
) -> None:
    ask("r")
    done = refold("approvals", *words, "--json")
    assert (done.code, done.lines[0]["error"]["code"]) == (code, error), done.err
    assert "approval.requested" in refold("events", "r").out.splitlines()[-1]


def test_without_a_database_there_is_nothing_to_decide(refold: Refold) -> None:
    assert refold("approvals", "grant", "r", "--by", "ada").code in (2, 5)


def test_the_watch_looks_once_and_does_what_is_late(refold: Refold, ask: Ask) -> None:
    ask("r", timeout_seconds=2)
    assert refold("approvals", "watch", "--once", "--late", "3600", "--json").lines == [{"sent": 0}]
    sent = 0
    while not sent:  # until the deadline has passed
        (told,) = refold("approvals", "watch", "--once", "--late", "0", "--json").lines
        sent = told["sent"]
    assert "approval.expired" in refold("events", "r").out.splitlines()[-1]
    assert refold("resume", "r", "--json").lines[-1]["error_code"] == "APPROVAL_EXPIRED"
