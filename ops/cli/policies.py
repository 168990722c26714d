"""`refold policies`: documents checked and explained, and those that were in use."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.documents import parse_document
from ...core.errors import CallError, InvalidError, Problem
from ...core.ids import POLICIES, check_tenant
from ...core.ledger import MILLIONTHS, Limit
from ...core.policy.document import Policy
from ...core.policy.enforcer import PolicyCheckResult, PolicyContext, PolicyEnforcer
from ...core.policy.log import PolicyLog
from ...core.policy.words import rule_sentences, sentences
from ...core.policy_events import PolicyAdopted
from ...core.runtime.policy_file import MAX_POLICY_BYTES
from ...eventstore.log import EventLog
from .faults import OK, REFUSED
from .output import clock, console, iso, plain, write_json
from .reading import existing_store, read_bytes, read_inputs
from .streams import note


class Case(NamedTuple):
    """The step that a policy is explained for."""

    skill_id: str
    step_id: str
    agent: str | None
    tenant: str
    workflow: str
    queue: str
    source: str
    cost: float
    effect: bool
    key: bool
    inputs: str | None

    @property
    def estimated_cost_cents(self) -> float:
        """What an attempt costs."""
        return self.cost


def check_policy(file: str, json: bool) -> int:
    """Say what a policy says; returns the exit code."""
    policy = _read(file)
    if json:
        write_json({**_named(policy), "says": list(sentences(policy))})
        return OK
    screen = console()
    screen.print(f"{policy.label}", soft_wrap=True)
    for sentence in sentences(policy):
        screen.print(f"  {plain(sentence)}", soft_wrap=True)
    return OK


def explain_policy(file: str, case: Case, json: bool) -> int:
    """Say what of a policy is about a step; returns the exit code."""
    check_tenant(case.tenant)
    policy = _read(file)
    enforcer = PolicyEnforcer(policy)
    context = PolicyContext(
        tenant=case.tenant,
        workflow_type=case.workflow,
        queue=case.queue,
        source=case.source,
        at=time.time_ns() // 1000,
        side_effect=case.effect,
        effect=case.effect,
        keyed=case.key,
        inputs=read_inputs(case.inputs) or {},
    )
    about = enforcer.applying(case, context, case.agent)
    checked = _short(enforcer.check_can_execute(case, context, case.agent))
    said = [sentence for rule in about.rules for sentence in rule_sentences(rule)]
    if json:
        verdict = {"allowed": checked.allowed, "code": checked.code, "rule": checked.rule, "reason": checked.reason}
        write_json({**_named(policy), **verdict, "rules": said, "limits": [_limit(each) for each in about.limits]})
        return OK if checked.allowed else REFUSED
    screen = console()
    for sentence in said:
        screen.print(plain(sentence), soft_wrap=True)
    for limit in about.limits:
        screen.print(plain(_told(limit)), soft_wrap=True)
    if not said and not about.limits:
        note("nothing in the policy is about such a step")
    if checked.allowed:
        screen.print(Text("allowed", "bold green").append(", if what it asks for is granted" if about.limits else ""))
    else:
        rule = f" by rule {checked.rule}" if checked.rule else ""
        told = Text("refused", "bold red").append(plain(f"{rule}: {checked.code}: {checked.reason}"), "default")
        screen.print(told, soft_wrap=True)
    return OK if checked.allowed else REFUSED


def _short(checked: PolicyCheckResult) -> PolicyCheckResult:
    """Refused where even an unused budget does not suffice."""
    for limit in checked.limits:
        if limit.amount > limit.capacity and not limit.waits:
            reason = f"{limit.account} is of {limit.capacity / MILLIONTHS:g} cents"
            return PolicyCheckResult(False, "BUDGET_EXCEEDED", "budget", reason, checked.policy)
    return checked


def list_policies(database: str | None, json: bool) -> int:
    """Write which policies were in use; returns the exit code."""
    found = _adopted(database)
    if json:
        for each in found:
            write_json(_as_json(each))
    elif found:
        table = Table("policy", "version", "hash", "in use since (UTC)", "by", box=SIMPLE_HEAD, pad_edge=False)
        table.columns[0].overflow = table.columns[1].overflow = "fold"
        for each in found:
            table.add_row(plain(each.name), plain(each.version), each.sha256[:16], clock(each.at), plain(_who(each.by)))
        console().print(table)
    else:
        note("no policy was ever in use")
    return OK


def show_policy(name: str, database: str | None, json: bool) -> int:
    """Write a policy that was in use; returns the exit code."""
    wanted, mark, version = name.partition("#")
    found = [each for each in _adopted(database) if each.name == wanted and (not mark or each.version == version)]
    if not found:
        raise CallError(Problem("", f"no policy {name!r} was ever in use", "see: refold policies list"))
    adopted = found[-1]
    if json:
        write_json(orjson.Fragment(adopted.document.data))
        return OK
    screen = console()
    by = f" by {_who(adopted.by)}" if adopted.by else ""
    for line in (f"# in use since {clock(adopted.at)} UTC{by}", f"# sha256 {adopted.sha256}"):
        screen.print(Text(plain(line), "dim"), soft_wrap=True)
    for line in jsonlib.dumps(adopted.document.value, indent=2).split("\n"):
        screen.print(line, soft_wrap=True)
    return OK


def _read(file: str) -> Policy:
    try:
        data = read_bytes(file, "the policy")
        return Policy.parse(parse_document(data, name=file, max_bytes=MAX_POLICY_BYTES))
    except InvalidError as error:
        error.add_note("stdin" if file == "-" else file)
        raise


def _adopted(database: str | None) -> Sequence[PolicyAdopted]:
    with existing_store(database) as store:
        return list(PolicyLog(EventLog(store, "").events(POLICIES)))


def _who(by: str) -> str:
    """The process that brought a policy, as people say it; its full name is in the log."""
    try:
        owner = jsonlib.loads(by)
        return f"process {owner['pid']} on {str(owner['host']).partition('/')[0]}"
    except (ValueError, KeyError, TypeError):
        return by


def _named(policy: Policy) -> dict[str, Any]:
    return {"policy": policy.policy, "version": policy.version, "sha256": policy.sha256}


def _as_json(adopted: PolicyAdopted) -> dict[str, Any]:
    named = {"policy": adopted.name, "version": adopted.version, "sha256": adopted.sha256}
    return {**named, "adopted_at": iso(adopted.at), "by": adopted.by}


def _limit(limit: Limit) -> dict[str, Any]:
    unit = MILLIONTHS if limit.kind == "budget" else 1
    told = {"account": limit.account, "kind": limit.kind, "amount": limit.amount / unit}
    return {**told, "capacity": limit.capacity / unit, "token_seconds": limit.token_seconds, "waits": limit.waits}


def _told(limit: Limit) -> str:
    then = "waits" if limit.waits else "fails"
    if limit.kind == "budget":
        amount, capacity = limit.amount / MILLIONTHS, limit.capacity / MILLIONTHS
        return f"{limit.account}: takes {amount:g} of {capacity:g} cents, else {then}"
    if limit.kind == "rate":
        return f"{limit.account}: takes 1 of {limit.capacity}, one comes back in {limit.token_seconds:g} s, else {then}"
    return f"{limit.account}: takes 1 of {limit.capacity} places, else {then}"
