"""Puts runs to the four proofs: chain, fold, decisions, execution.

Each proof stands on those before it: what is broken is not run again. Nothing is written, and no skill is called but
deterministic ones. A proof that lacks what it needs says so (`not_verifiable`), and never passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.code_state import CodeState
from ..core.decision import was_judged
from ..core.errors import (
    IntegrityError,
    InvalidError,
    NondeterminismError,
    RefoldError,
    ReplayDivergenceError,
    RunNotFoundError,
)
from ..core.events import Event, RunCancelled, RunStarted, RunTimedOut
from ..core.ids import check_run_id, check_tenant, inbox_of, run_of, stream_of
from ..core.limits import Limits
from ..core.plan import Plan
from ..core.ports import EMPTY, Head, Record
from ..core.run_state import RunState
from ..core.runtime.admission import check_served
from ..core.runtime.registry import SkillRegistry
from ..core.runtime.replay import Replayed, quiet_services, replay, replay_code
from ..core.spec_state import SpecState
from ..eventstore.codec import open_all
from ..eventstore.store import Store
from .chain import Opened, prove_run_chains
from .decisions import prove_decisions
from .findings import Finding
from .folding import prove_fold
from .forks import prove_reused
from .reading import large_of, snapshot
from .verdicts import PROOFS, Divergence, Proof, Result, RunProof

Plans = Callable[[RunStarted], Plan | None]
"""The plan to prove decisions against, other than the recorded one; None for that."""

Witness = Callable[[str, Sequence[Record], RunState, Sequence[Event]], Sequence[Finding]]
"""What else knows of a run (its checkpoint, its golden) and finds it otherwise: stream, records, state, events."""

_EQUAL = Result("equal")


def recorded_plan(started: RunStarted) -> Plan | None:
    """The plan that the run began with."""
    return None


class Prover:
    """Proves runs of one store against `skills`, today's code; bound to one event loop.

    Of `proofs` chain and fold are always made, since the others stand on them. `plans` gives another version of a spec
    to prove decisions against; `witnesses` are asked beside the fold.
    """

    def __init__(
        self,
        store: Store,
        skills: SkillRegistry | None = None,
        proofs: Collection[Proof] = PROOFS,
        *,
        plans: Plans = recorded_plan,
        witnesses: Sequence[Witness] = (),
    ):
        self._store = store
        self._skills = skills or SkillRegistry()
        self._proofs = proofs
        self._plans = plans
        self._witnesses = witnesses
        self._services = quiet_services(self._skills, Limits())

    async def prove(self, run_id: str, tenant: str = "default") -> RunProof:
        """Put one run to the proof. Raises RunNotFoundError, StoreError."""
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        inbox = inbox_of(stream)
        heads, (records, messages) = snapshot(self._store, [stream, inbox])
        if not records and not messages and not heads:
            raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
        return await self.prove_records(stream, records, messages, heads, large_of(self._store, [*records, *messages]))

    async def prove_records(
        self,
        stream: str,
        records: Sequence[Record],
        messages: Sequence[Record],
        heads: Mapping[str, Head],
        large: Mapping[str, bytes],
        *,
        cut: bool = False,
    ) -> RunProof:
        """The same for what was read before: a run's `records`, its inbox's `messages`, the heads of both, and the
        content-addressed rows that they point to. With `cut` they are the run as it once was, and it has gone on:
        witnesses may know more, and are not asked."""
        opened = open_all(records)
        builds = {envelope.build for envelope in opened if not isinstance(envelope, IntegrityError)}
        proof = await self._proved(stream, records, messages, heads, large, opened, () if cut else self._witnesses)
        return replace(proof, messages=len(messages), builds=tuple(sorted(builds)))

    async def _proved(
        self,
        stream: str,
        records: Sequence[Record],
        messages: Sequence[Record],
        heads: Mapping[str, Head],
        large: Mapping[str, bytes],
        opened: Opened,
        witnesses: Sequence[Witness],
    ) -> RunProof:
        head = heads.get(stream, EMPTY)
        events: list[Event] = []
        results: dict[Proof, Result] = {}
        found = prove_run_chains(stream, records, messages, heads, large, opened)
        results["chain"] = _broken(found, "the stored bytes are not those that were appended") if found else _EQUAL
        state, faults = prove_fold(stream, records, large, messages, opened, events)
        if faults or state is None:
            again = prove_fold(stream, records, large, messages)[1] if not found else faults
            nothing = Result("not_verifiable", "there is no event to fold")
            results["fold"] = _misfolded(faults, again, intact=not found) if faults else nothing
            return self._proof(stream, records, head, None, results)
        seen = [finding for witness in witnesses for finding in witness(stream, records, state, events)]
        results["fold"] = _broken(seen, "what was derived from the run is not what the run gives") if seen else _EQUAL
        if not seen and state.started.forked is not None:
            seen, notes = prove_reused(self._store, stream, run_of(stream)[0], records, large)
            cause = "what the fork took over is not what its parent has recorded"
            results["fold"] = _broken(seen, cause) if seen else Result("equal", "; ".join(notes))
        again = Replayed(state, 0, 0)
        if not found and not seen and "decisions" in self._proofs:
            results["decisions"] = await self._decisions(events, state)
            if results["decisions"].verdict != "diverged" and "execution" in self._proofs:
                results["execution"], again = await self._execution(events, state)
        return self._proof(stream, records, head, state, results, again)

    def _proof(
        self,
        stream: str,
        records: Sequence[Record],
        head: Head,
        state: RunState | None,
        results: Mapping[Proof, Result],
        again: Replayed | None = None,
    ) -> RunProof:
        tenant, run_id = run_of(stream)
        return RunProof(
            tenant,
            run_id,
            None if state is None else state.started.workflow_type,
            None if state is None else state.status,
            len(records),
            head,
            None if state is None or state.end is None else state.end.workflow_hash,
            results,
            0 if again is None else again.executed,
            0 if again is None else again.served,
        )

    async def _decisions(self, events: Sequence[Event], state: RunState) -> Result:
        if isinstance(state, SpecState):
            try:
                plan = self._plans(state.started)
            except InvalidError as error:
                return Result("not_verifiable", str(error))
            found = prove_decisions(state.started, events, plan or state.plan, recorded=plan is None)
            return _EQUAL if found is None else Result("diverged", divergence=found)
        if not isinstance(state, CodeState):
            return Result("not_verifiable", "the run is neither a spec's nor a function's")
        result, _ = await self._compared(state, lambda: replay_code(events, state, self._skills, Limits()))
        return result

    async def _execution(self, events: Sequence[Event], state: RunState) -> tuple[Result, Replayed]:
        if state.end is None or isinstance(state.end, RunCancelled | RunTimedOut):
            why = "the run goes on" if state.end is None else f"the run was cut off from outside ({state.status})"
            return Result("not_comparable", why), Replayed(state, 0, 0)
        if was_judged(state):
            return Result("not_comparable", "the sandbox refused the plan, nothing was executed"), Replayed(state, 0, 0)
        result, again = await self._compared(state, lambda: replay(self._services, events, state))
        return (Result("equal", _sealed(again.sealed)) if again.sealed else result), again

    def _changed(self, state: RunState) -> bool:
        """Whether the function's source is another than the one that began the run."""
        function = self._skills.workflow(state.started.workflow_type)
        return function is not None and function.source != state.started.source

    async def _compared(self, state: RunState, run: Callable[[], Awaitable[Replayed]]) -> tuple[Result, Replayed]:
        nothing = Replayed(state, 0, 0)
        try:
            check_served(state, self._skills)
            return _EQUAL, await run()
        except InvalidError as error:
            return Result("not_verifiable", str(error)), nothing
        except ReplayDivergenceError as error:
            return Result("diverged", divergence=_divergence(error, self._changed(state))), nothing
        except RefoldError as error:
            return Result("not_verifiable", f"{type(error).__name__}: {error}"), nothing


def _sealed(count: int) -> str:
    served = "1 outcome was" if count == 1 else f"{count} outcomes were"
    return f"{served} served from the log, for the calls used secrets or sensitive data"


def _broken(findings: Sequence[Finding], cause: str) -> Result:
    first = findings[0]
    divergence = Divergence(
        kind="TAMPERED",
        message=str(first),
        event=first.number,
        cause=cause,
        advice="keep the database as it is, compare it with a backup, with goldens and with a published tree head",
    )
    return Result("broken", divergence=divergence, findings=tuple(findings))


def _misfolded(findings: Sequence[Finding], again: Sequence[Finding], *, intact: bool) -> Result:
    """The verdict on a fold that came to a stop: `again` is what folding once more has found."""
    result = _broken(findings, "an event does not follow from those before it")
    found = result.divergence
    if found is None or not intact or findings[0].kind != "hash":
        return result
    if list(findings) != list(again):
        kind, cause = "VOLATILE_LEAK", "folding twice gives two hashes: a time or a duration enters one of them"
    elif findings[0].reason.startswith("step_hash"):
        # Whatever else enters the hash of a step was compared on its own before.
        kind, cause = "SEED_DRIFT", "the run's seed is not the one that its steps ran with"
    else:
        return result
    divergence = Divergence(kind=kind, message=found.message, event=found.event, cause=cause, advice=found.advice)
    return Result("broken", divergence=divergence, findings=result.findings)


def _divergence(error: ReplayDivergenceError, changed: bool) -> Divergence:
    """The divergence that `error` tells of; `changed` is whether the function's source is another now."""
    told: Any = error.details
    nothing: dict[str, Any] = {}
    first: Any = next(iter(told.get("differences") or ()), nothing)
    driven = isinstance(error, NondeterminismError)
    now = "requested" if driven else "now"
    # Of a call that a function does not make any more, `recorded` names the step; else it is an excerpt.
    recorded: Any = told.get("recorded") or ""
    step: Any = recorded if driven and recorded else told
    return Divergence(
        kind=told.get("kind", "CODE_CHANGE" if changed else "DETERMINISM_VIOLATION"),
        message=str(error),
        event=told.get("event", 0),
        step_id=step.get("step_id"),
        pointer=first.get("pointer", ""),
        recorded=first.get("recorded") or str(step.get("skill_id") if driven else recorded),
        now=first.get(now) or str(told.get(now, "")),
        recorded_hash=told.get("recorded_hash"),
        now_hash=told.get("now_hash"),
        place=told.get("place"),
        cause=told.get("cause", ""),
        advice=told.get("fix", ""),
    )
