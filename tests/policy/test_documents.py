"""Policy documents: what is accepted, and every way in which one can be wrong, with pointer, reason and cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refold import CallError, Policy
from refold.core.documents import parse_yaml
from refold.core.errors import InvalidError
from refold.core.policy.words import sentences
from refold.core.runtime.policy_file import MAX_POLICY_BYTES, read_policy

FULL = """
policy: production
version: "3"
rules:
  - {rule: no-sql, match: {skill: "run_sql*", source: planner}, deny: plans do not write SQL}
  - {rule: few, match: {agent: [ada, "bob-*"], side_effect: true}, allow_skills: [echo, http_call]}
  - {rule: keyed, match: {queue: payments}, require_idempotency_key: true}
  - {rule: dear, match: {workflow: report, step: "s?", tenant: acme}, max_step_cents: 50, max_run_cents: 200}
limits:
  - {limit: calls, match: {skill: ask}, per: tenant, rate: {count: 50, seconds: 60, burst: 5}, places: 3}
  - {limit: customer, per: [key, skill], key: customer, places: 1, when_exceeded: fail}
budgets:
  - {scope: agent, name: ada, cents: 700, period: day}
  - {scope: agent, cents: 70, period: month, when_exceeded: wait}
sandbox: all
"""


def of(**fields: Any) -> dict[str, Any]:
    return {"policy": "p", "version": "1", **fields}


def rule(**fields: Any) -> dict[str, Any]:
    return of(rules=[{"rule": "r", **fields}])


def limit(**fields: Any) -> dict[str, Any]:
    return of(limits=[{"limit": "l", **fields}])


def budget(**fields: Any) -> dict[str, Any]:
    return of(budgets=[{"scope": "agent", "cents": 1, **fields}])


def test_a_full_policy_says_what_it_says_in_plain_words() -> None:
    policy = Policy.parse(parse_yaml(FULL))
    assert list(sentences(policy)) == [
        "rule no-sql: steps whose skill is run_sql* and from planner may not run: plans do not write SQL",
        "rule few: steps of agent ada or bob-* and with a side effect may run no skill but echo or http_call",
        "rule keyed: steps on queue payments must declare an idempotency key",
        "rule dear: steps called s? and of tenant acme and of workflow report may cost at most 50 cents each, "
        "all attempts together",
        "rule dear: steps called s? and of tenant acme and of workflow report may bring what their run costs to at "
        "most 200 cents",
        "limit calls: of steps whose skill is ask 50 may begin in 60 s (at once at most 5) and 3 may run at a time, "
        "counted for each tenant apart; further ones wait",
        "limit customer: of all steps 1 may run at a time, counted for each input customer and skill apart; "
        "further ones fail",
        "budget: the steps of agent ada may cost 700 cents a day; steps beyond that fail",
        "budget: the steps of each agent may cost 70 cents a month; steps beyond that wait",
        "sandbox: all runs of specs must pass it",
    ]


def test_two_spellings_of_a_policy_with_the_same_content_are_one_and_its_label_names_the_content() -> None:
    policy = Policy.parse(parse_yaml(FULL))
    again = Policy.parse(policy.model_dump(mode="json", exclude_unset=True))
    assert again.sha256 == policy.sha256 and again.label == f"production#3@{policy.sha256[:16]}"
    assert Policy.parse(of()).sha256 != Policy.parse(of(version="2")).sha256


BAD: list[tuple[Any, str, str]] = [
    ([], "", "a policy must be an object, not a list"),
    ("text", "", "a policy must be an object, not a string"),
    (None, "", "a policy must be an object, not null"),
    ({"policy": "p"}, "", "missing field 'version'"),
    (of(rulez=[]), "/rulez", "unknown field 'rulez'"),
    (of(version=3), "/version", "must be a string, not an integer"),
    (of(version="x" * 101), "/version", "longer than 100 characters"),
    (of(policy="a b"), "/policy", "'a b' is not possible here"),
    (of(policy="p\n"), "/policy", "'p\\n' is not possible here"),
    (of(sandbox="none"), "/sandbox", "must be 'planner' or 'all', not 'none'"),
    (of(rules={}), "/rules", "must be a list, not an object"),
    (of(rules=None), "/rules", "must be a list, not null"),
    (of(rules=["x"]), "/rules/0", "must be an object, not a string"),
    (rule(), "/rules/0", "rule 'r' says nothing"),
    (rule(match={"skill": "x"}), "/rules/0", "rule 'r' says nothing"),
    (rule(deny=None), "/rules/0", "rule 'r' says nothing"),
    (rule(deny=""), "/rules/0/deny", "must not be empty"),
    (rule(deny="x" * 501), "/rules/0/deny", "longer than 500 characters"),
    (rule(deny="x", match={}), "/rules/0/match", "an empty match means all steps"),
    (rule(deny="x", match="*"), "/rules/0/match", "must be an object, not a string"),
    (rule(deny="x", match={"skill": None}), "/rules/0/match/skill", "must not be null"),
    (rule(deny="x", match={"skill": []}), "/rules/0/match/skill", "must not be empty"),
    (rule(deny="x", match={"skil": "x"}), "/rules/0/match/skil", "unknown field 'skil'"),
    (rule(deny="x", match={"skill": [1]}), "/rules/0/match/skill/0", "must be a string, not an integer"),
    (rule(deny="x", match={"side_effect": "yes"}), "/rules/0/match/side_effect", "must be a boolean, not a string"),
    (rule(allow_skills=[]), "/rules/0/allow_skills", "must not be empty"),
    (rule(require_idempotency_key=False), "/rules/0/require_idempotency_key", "must be True, not false"),
    (rule(max_step_cents=-0.1), "/rules/0/max_step_cents", "must be at least 0, not -0.1"),
    (rule(max_step_cents="5"), "/rules/0/max_step_cents", "must be a number, not a string"),
    (rule(max_run_cents=float("inf")), "/rules/0/max_run_cents", "must be a finite number, not inf"),
    (of(rules=[{"rule": "r", "deny": "x"}] * 2), "/rules/1", "the name 'r' occurs twice"),
    (limit(), "/limits/0", "limit 'l' limits nothing"),
    (limit(rate=None, places=None), "/limits/0", "limit 'l' limits nothing"),
    (limit(places=0), "/limits/0/places", "must be at least 1, not 0"),
    (limit(places=1.5), "/limits/0/places", "must be an integer, not a number"),
    (limit(places=True), "/limits/0/places", "must be an integer, not a boolean"),
    (limit(places=10**7), "/limits/0/places", "must be at most 1000000, not 10000000"),
    (limit(rate={}), "/limits/0/rate", "missing field 'count'"),
    (limit(rate=5), "/limits/0/rate", "must be an object, not an integer"),
    (limit(rate={"count": 0}), "/limits/0/rate/count", "must be at least 1, not 0"),
    (limit(rate={"count": 1, "seconds": 0}), "/limits/0/rate/seconds", "must be more than 0, not 0"),
    (limit(rate={"count": 1, "seconds": 1e300}), "/limits/0/rate/seconds", "must be at most 3155760000, not 1e+300"),
    (limit(rate={"count": 1, "burst": 0}), "/limits/0/rate/burst", "must be at least 1, not 0"),
    (
        limit(rate={"count": 1, "seconds": 1e9, "burst": 4}),
        "/limits/0/rate/burst",
        "so many come back in a hundred",
    ),
    (limit(places=1, per=["agent", "agent"]), "/limits/0/per", "something occurs twice"),
    (of(rules=[{"rule": f"r{n}", "deny": "x"} for n in range(1001)]), "/rules", "more than 1000 entries"),
    (of(limits=[{"limit": f"l{n}", "places": 1} for n in range(101)]), "/limits", "more than 100 entries"),
    (limit(places=1, per="planet"), "/limits/0/per/0", "must be 'tenant', 'agent', 'workflow', 'skill', 'queue' or"),
    (limit(places=1, per="key"), "/limits/0/key", "`key` and `per: [key]` belong together"),
    (limit(places=1, key="k"), "/limits/0/key", "`key` and `per: [key]` belong together"),
    (limit(places=1, per="key", key="a b"), "/limits/0/key", "'a b' is not possible here"),
    (limit(places=1, when_exceeded="panic"), "/limits/0/when_exceeded", "must be 'wait' or 'fail', not 'panic'"),
    (of(limits=[{"limit": "l", "places": 1}] * 2), "/limits/1", "the name 'l' occurs twice"),
    (budget(cents=-1), "/budgets/0/cents", "must be at least 0, not -1"),
    (budget(cents=True), "/budgets/0/cents", "must be a number, not a boolean"),
    (budget(cents=1e300), "/budgets/0/cents", "must be at most 9007199254, not 1e+300"),
    (budget(cents=float("nan")), "/budgets/0/cents", "must be a finite number, not nan"),
    (budget(cents=10**400), "/budgets/0/cents", "must be a number within the range of a float"),
    (budget(scope="planet"), "/budgets/0/scope", "must be 'agent', 'tenant' or 'workflow', not 'planet'"),
    (budget(name=""), "/budgets/0/name", "must not be empty"),
    (budget(period="week"), "/budgets/0/period", "must be 'total', 'month' or 'day', not 'week'"),
    (of(budgets=[{"scope": "agent", "name": "a", "cents": 1}] * 2), "/budgets/1", "it never counts"),
    (
        of(budgets=[{"scope": "agent", "cents": 1}, {"scope": "agent", "name": "ada", "cents": 2}]),
        "/budgets/1",
        "it never counts: a budget before it is for every agent",
    ),
]


@pytest.mark.parametrize(("document", "pointer", "reason"), BAD, ids=[f"{bad[1]} {bad[2]}"[:60] for bad in BAD])
def test_a_bad_policy_is_refused_with_pointer_reason_and_cure(document: Any, pointer: str, reason: str) -> None:
    with pytest.raises(CallError) as refused:
        Policy.parse(document)
    assert refused.value.code == "INPUT_INVALID"
    problem = refused.value.problems[0]
    assert problem.pointer == pointer and problem.reason.startswith(reason) and problem.fix


def test_budgets_of_different_scopes_and_narrower_ones_first_are_fine() -> None:
    budgets = [
        {"scope": "agent", "name": "ada", "cents": 1},
        {"scope": "agent", "cents": 1},
        {"scope": "tenant", "cents": 1},
    ]
    assert len(Policy.parse(of(budgets=budgets)).budgets) == 3


TRAPS = {
    "version: 1.10": ("/version", "must be a string"),
    "rules: [{rule: r, deny: }]": ("/rules/0", "rule 'r' says nothing"),
    "rules: [{rule: r, deny: no}]": ("", ""),
    "rules: [{rule: r, match: {side_effect: yes}, deny: x}]": ("/rules/0/match/side_effect", "must be a boolean"),
    "sandbox: all\nsandbox: planner": ("/sandbox", "the key occurs twice"),
    "rules: !!python/object/apply:os.system [id]": ("/rules", "tag"),
    "limits: [{limit: l, rate: {count: 010}}]": ("", ""),
}


@pytest.mark.parametrize("text", TRAPS)
def test_the_traps_of_yaml_are_refused_or_mean_what_they_say(text: str, tmp_path: Path) -> None:
    pointer, reason = TRAPS[text]
    head = 'policy: p\nversion: "1"\n' if "version:" not in text else "policy: p\n"
    file = tmp_path / "p.yaml"
    file.write_text(head + text)
    if not reason:
        policy = read_policy(file)
        told = policy.rules[0].deny if policy.rules else policy.limits[0].rate and policy.limits[0].rate.count
        assert told in ("no", 10)
        return
    with pytest.raises(InvalidError) as refused:
        read_policy(file)
    problem = refused.value.problems[0]
    assert problem.pointer == pointer and f"{file}: " in problem.reason and reason in problem.reason


def test_a_bomb_of_aliases_a_file_that_is_too_large_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
    )
    for name, text, reason in (
        ("bomb.yaml", bomb, "larger|many|expand"),
        ("large.yaml", f"policy: {'p' * MAX_POLICY_BYTES}", "larger than 1000000 bytes"),
        ("empty.json", "", "empty|expected|no JSON|nothing"),
        ("binary.yaml", "\x00", "control|character|not allowed"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(CallError, match=reason) as refused:
            read_policy(tmp_path / name)
        assert all(str(tmp_path / name) in problem.reason for problem in refused.value.problems)
    with pytest.raises(CallError, match="cannot be read: No such file"):
        read_policy(tmp_path / "none.yaml")


def test_a_policy_of_a_megabyte_less_a_little_is_read(tmp_path: Path) -> None:
    match = f"{{skill: {'s' * 200}, agent: {'a' * 200}}}"
    rules = "".join(f"  - {{rule: r{number}, match: {match}, deny: {'x' * 450}}}\n" for number in range(1000))
    file = tmp_path / "p.yaml"
    file.write_text(f'policy: p\nversion: "1"\nrules:\n{rules}')
    assert 800_000 < file.stat().st_size < MAX_POLICY_BYTES
    assert len(read_policy(file).rules) == 1000
