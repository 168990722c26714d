"""`refold budgets`: what is spent, held and left, top-ups on record, and the ledger against the log."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold

ACCOUNT = "budget/workflow/priced/total"
POLICY = {
    "policy": "careful",
    "version": "1",
    "limits": [{"limit": "echoes", "per": ["tenant"], "places": 5, "rate": {"count": 100, "seconds": 60}}],
    "budgets": [
        {"scope": "workflow", "name": "*", "cents": 10, "period": "total"},
        {"scope": "tenant", "name": "*", "cents": 400, "period": "day"},
    ],
}
PRICED = {
    "workflow_type": "priced",
    "steps": [
        {"step_id": "a", "skill_id": "echo", "estimated_cost_cents": 3},
        {"step_id": "b", "skill_id": "echo", "estimated_cost_cents": 4, "depends_on": ["a"]},
    ],
}


@pytest.fixture
def spent(refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Refold:
    """Two runs have spent all of 10 cents; the second one was refused what it still wanted."""
    (folder / "policy.json").write_text(json.dumps(POLICY))
    (folder / "priced.json").write_text(json.dumps(PRICED))
    monkeypatch.setenv("REFOLD_POLICY", str(folder / "policy.json"))
    assert refold("run", "priced.json", "--run-id", "one").code == 0
    assert refold("run", "priced.json", "--run-id", "two").code != 0
    return refold


def tenants(refold: Refold) -> str:
    """The tenant's budget of the day."""
    (row,) = refold("budgets", "list", "budget/tenant", "--json").lines
    return str(row["account"])


def altered(statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect("refold.db")) as connection, connection:
        connection.execute(statement, parameters)


def test_accounts_are_listed_with_what_is_spent_held_and_left(spent: Refold) -> None:
    rows = {row["account"]: row for row in spent("budgets", "list", "--json").lines}
    ada = rows[ACCOUNT]
    assert (ada["kind"], ada["capacity"], ada["spent"], ada["reserved"], ada["left"], ada["waiting"]) == (
        "budget",
        10,
        10,
        0,
        0,
        0,
    )
    places = next(row for name, row in rows.items() if name.startswith("places/"))
    assert (places["capacity"], places["reserved"], places["left"]) == (5, 0, 5)
    rate = next(row for name, row in rows.items() if name.startswith("rate/"))
    assert rate["capacity"] == 100 and rate["token_seconds"] == 0.6 and rate["left"] >= 96
    assert [row["account"] for row in spent("budgets", "list", "budget/workflow", "--json").lines] == [ACCOUNT]
    shown = spent("budgets", "list", "budget/tenant").out
    assert tenants(spent) in shown and "10 ct" in shown and "390 ct" in shown and "█·" in shown


def test_nothing_asked_for_is_said_so(refold: Refold) -> None:
    done = refold("budgets", "list")
    assert done.code == 0 and done.out == "" and "nothing was asked for yet" in done.err
    assert refold("budgets", "holds").code == 0 and refold("budgets", "show", ACCOUNT).code == 2


def test_a_top_up_is_recorded_and_counts_at_once(spent: Refold) -> None:
    done = spent("budgets", "top-up", ACCOUNT, "7", "--reason", "a fair", "--by", "Grace")
    assert (done.code, done.out) == (0, f"{ACCOUNT}: +7 ct, 7 ct left\n")
    assert spent("run", "priced.json", "--run-id", "three").code == 0
    assert spent("run", "priced.json", "--run-id", "four").code != 0
    (shown,) = spent("budgets", "show", ACCOUNT, "--json").lines
    assert (shown["extra"], shown["spent"], shown["holds"]) == (7, 17, [])
    (event,) = shown["top_ups"]
    assert (event["cents"], event["reason"], event["by"]) == (7, "a fair", "Grace")
    text = spent("budgets", "show", ACCOUNT).out
    assert "+7 ct  Grace: a fair" in text and "17 ct" in text
    less = spent("budgets", "top-up", "--reason", "over", "--json", "--", ACCOUNT, "-2.5")
    assert [(row["cents"], row["left"]) for row in less.lines] == [(-2.5, 0)]


@pytest.mark.parametrize(
    "words",
    [
        ("places/a/b", "5"),
        ("budget/workflow/priced", "5"),
        ("budget/workflow/priced/2026-13", "5"),
        (ACCOUNT, "0"),
        (ACCOUNT, "nan"),
        (ACCOUNT, "1e13"),
        (ACCOUNT, "0.0000001"),
    ],
)
def test_what_is_no_top_up_is_refused_before_anything_is_recorded(refold: Refold, words: tuple[str, ...]) -> None:
    assert refold("budgets", "top-up", *words, "--reason", "x").code == 2
    assert refold("budgets", "top-up", ACCOUNT, "5").code == 2, "no reason was given"
    assert refold("budgets", "top-up", ACCOUNT, "5", "--reason", "").code == 2
    assert not Path("refold.db").exists() or refold("verify", "--all", "--json").lines[-1].get("control") in ([], None)


def test_a_top_up_of_a_name_that_nobody_has_asked_for_is_remarked(refold: Refold) -> None:
    done = refold("budgets", "top-up", ACCOUNT, "5", "--reason", "in advance")
    assert done.code == 0 and "look whether the name is right" in done.err


def test_past_periods_are_history(spent: Refold) -> None:
    assert spent("budgets", "history", "--json").lines == []
    past = "budget/tenant/default/2020-02-29"
    altered("UPDATE ledger_accounts SET name = ? WHERE name = ?", past, tenants(spent))
    assert [row["account"] for row in spent("budgets", "history", "--json").lines] == [past]
    assert past in spent("budgets", "history", "budget/tenant").out
    assert past not in spent("budgets", "list").out


def test_the_ledger_is_what_the_log_says(spent: Refold) -> None:
    assert spent("budgets", "top-up", ACCOUNT, "7", "--reason", "a fair").code == 0
    done = spent("budgets", "verify")
    assert (done.code, done.out) == (0, "as the log says  differences: 0\n")
    assert spent("budgets", "verify", "--json").lines == [{"ok": True, "rebuilt": False, "differences": []}]


def test_what_was_altered_is_found_and_put_right(spent: Refold) -> None:
    spent("budgets", "top-up", ACCOUNT, "7", "--reason", "a fair")
    tenant = tenants(spent)
    altered("UPDATE ledger_accounts SET spent = 1000000, extra = 0 WHERE name = ?", ACCOUNT)
    altered("DELETE FROM ledger_accounts WHERE name = ?", tenant)
    altered("INSERT INTO ledger_holds VALUES ('default/one', '0', 'places/x/y', 1, 1, 1, 99, 0)")
    altered("INSERT INTO ledger_accounts VALUES ('places/x/y', 'concurrency', 1, 0, 0, 0, 5, 0)")
    done = spent("budgets", "verify")
    assert done.code == 4
    assert done.out.splitlines() == [
        "dead  places/x/y of default/one, step 0: 1, by the log 0",
        f"spent  {tenant}: 0 ct, by the log 10 ct",
        f"spent  {ACCOUNT}: 1 ct, by the log 10 ct",
        f"extra  {ACCOUNT}: 0 ct, by the log 7 ct",
        "reserved  places/x/y: 1, by the log 0",
        "not as the log says  differences: 5",
    ]
    (put_right,) = spent("budgets", "verify", "--rebuild", "--json").lines
    assert (put_right["ok"], put_right["rebuilt"], len(put_right["differences"])) == (False, True, 5)
    assert spent("budgets", "verify").code == 0
    assert spent("budgets", "holds", "--json").lines == []
    assert {row["account"]: row["spent"] for row in spent("budgets", "list", "budget", "--json").lines}[tenant] == 10


def test_an_altered_top_up_is_found_by_verify_all(spent: Refold) -> None:
    spent("budgets", "top-up", ACCOUNT, "7", "--reason", "a fair")
    assert spent("verify", "--all").code == 0
    altered(
        "UPDATE stored_events SET state = replace(CAST(state AS TEXT), 'a fair', 'a wish') "
        "WHERE topic = 'budget.topped_up'"
    )
    done = spent("verify", "--all")
    assert done.code == 4 and "control/budgets" in done.out
