"""Runs under policies: short ways to write these, and to look at what they brought about."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from refold import SkillRegistry, WorkflowEngine
from refold.core.events import PolicyDecided, StepAttemptFailed, StepCompleted, StepFailed, StepWaiting
from refold.core.ledger import MILLIONTHS, Answer, Request
from refold.core.policy.document import Policy
from refold.core.spec_state import SpecState
from refold.core.state import fold
from refold.eventstore.store import Store
from refold.eventstore.tiered import TieredStore
from refold.replay.budgets import verify_ledger
from refold.replay.verify import verify_run

from .checkpointed import check_every_prefix
from .sites import Through
from .workflows import events_of

OUTCOMES = (StepCompleted, StepFailed, StepAttemptFailed, StepWaiting)


class Decided(NamedTuple):
    """What was decided of an attempt."""

    step_id: str
    attempt: int
    verdict: str
    rule: str
    code: str


def policy(version: str = "1", **fields: Any) -> Policy:
    """A policy of these rules, limits and budgets."""
    return Policy.parse({"policy": "careful", "version": version, **fields})


def decided(store: Store, run_id: str = "r") -> list[Decided]:
    """What was decided in a run, in order."""
    return [
        Decided(each.step_id, each.attempt, each.verdict, each.rule, each.code) for each in decisions(store, run_id)
    ]


def decisions(store: Store, run_id: str = "r") -> list[PolicyDecided]:
    """The events of that."""
    return [event for event in events_of(store, run_id) if isinstance(event, PolicyDecided)]


def verdicts(store: Store, run_id: str = "r") -> list[tuple[str, str]]:
    """Of each decision the step and the verdict."""
    return [(each.step_id, each.verdict) for each in decisions(store, run_id)]


def reserved(store: Store) -> dict[str, int]:
    """What is held of each account of which anything is."""
    return {each.name: each.reserved for each in store.ledger.accounts() if each.reserved}


def spent(store: Store, prefix: str = "budget/") -> float:
    """What these budgets have spent together, in cents."""
    return sum(each.spent for each in store.ledger.accounts(prefix)) / MILLIONTHS


def cost_in_the_log(store: Store, *run_ids: str) -> float:
    """What the outcomes of these runs say that they have cost, in cents."""
    return sum(
        event.cost_cents for run_id in run_ids for event in events_of(store, run_id) if isinstance(event, OUTCOMES)
    )


async def proved(store: Store, skills: SkillRegistry, *run_ids: str) -> bool:
    """Whether nothing of these ended runs is held any more, and they are proved: chain and fold, replay, any
    checkpoint, and the ledger against the log."""
    assert store.ledger.holds() == [] and not reserved(store)
    if isinstance(store, TieredStore):
        assert verify_ledger(store) == []
    async with WorkflowEngine(store, skills) as engine:
        for run_id in run_ids:
            verification = verify_run(store, run_id)
            assert verification.ok, [str(finding) for finding in (*verification.chain, *verification.fold)]
            await engine.replay(run_id)
            events = events_of(store, run_id)
            if isinstance(fold(events), SpecState):
                check_every_prefix(events)
    return True


def ledgered(store: Store, ledger: Any) -> Any:
    """The store with another ledger."""
    return Through(store, ledger=ledger)


class SlowLedger:
    """A ledger whose answers are given, but do not arrive before `open` is set. `asked` lists the requests."""

    def __init__(self, inner: Any):
        self._inner = inner
        self.open = threading.Event()
        self.asked: list[Request] = []

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        answers = self._inner.ask(requests)
        self.asked.extend(requests)
        assert self.open.wait(60)
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
