"""The workflow engine, as callers see it: run, resume, cancel, pause, look."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..catalog import parse_name
from ..errors import CallError, OwnershipLostError, Problem, RunOwnedError
from ..events import PLANNER, RunContinued, RunStarted
from ..ids import check_run_id, check_tenant, stream_of
from ..limits import Limits
from ..policy.document import Policy
from ..ports import Checkpoints, Clock, DataKeyring, Journal, RunLog, Timers
from ..results import WorkflowResult, result_of
from ..run_state import RunState
from ..state import fold
from .admission import DEFAULT_QUEUE, Target, check_same, check_served, first_event
from .begin_keys import begin_keys
from .children import Children
from .clock import LoopTimers, SystemClock
from .controls import Controls
from .forks import Forks
from .gate import Gate, NoPolicy, PolicySource
from .history import History
from .host import Host
from .kin import Kin
from .names import resolve
from .outbox import Outbox
from .registry import SkillRegistry
from .replay import Replayed
from .replay import replay as replay_run
from .revealing import NO_SECRETS
from .secret_sources import Vault
from .services import Observer, Services
from .steering import Steering
from .threads import ThreadPool
from .tracing import Tracer, current_traceparent
from .workloop import WorkLoop

LEASE_SECONDS = 30.0
"""For how long a run stays with a process that gives no sign of life."""

Runnable = Target | Mapping[str, Any] | str
"""What can be run: a spec, a workflow function, or either by name."""


class Engine(Controls, Steering):
    """Runs workflows on a store. Use it from one event loop at a time; `close` it when done."""

    def __init__(
        self,
        log: RunLog,
        journal: Journal,
        skills: SkillRegistry,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        lease_seconds: float = LEASE_SECONDS,
        observer: Observer | None = None,
        parks: bool = False,
        timers: Timers | None = None,
        checkpoints: Checkpoints | None = None,
        policies: PolicySource | None = None,
        by: str = "",
        vault: Vault = NO_SECRETS,
        keys: DataKeyring | None = None,
        tracer: Tracer | None = None,
    ):
        """With `parks`, runs with nothing to do for a while leave memory: for workers, to whom they come back. With
        `checkpoints`, long runs of specs are taken up from theirs. `policies` is where the policy of this process comes
        from, and `by` who it is. From `vault` steps get the secrets that they ask for, and `keys` are for
        sensitive data. `tracer` is told of runs and steps."""
        if not 0.1 <= lease_seconds <= 86_400:
            raise CallError(Problem("", f"a lease of {lease_seconds} s is not possible", "give 0.1 s to a day"))
        self.skills = skills
        clock, limits = clock or SystemClock(), limits or Limits()
        Controls.__init__(self, log, journal, clock, keys)
        self._keys = keys
        gate = Gate(policies or NoPolicy(), log.ledger, self.policies, by)
        history = History(log, checkpoints, self.refusals)
        self._kin = Kin(
            Children(
                history,
                clock,
                limits,
                partial(self._resolved, here=not parks),
                None if parks else skills,
                gate.judged,
                tracer,
            ),
            Outbox(journal, history),
        )
        services = Services(
            journal,
            skills,
            clock,
            limits,
            ThreadPool(),
            lease_seconds,
            observer,
            parks,
            self._kin,
            timers=timers or LoopTimers(),
            gate=gate,
            emergency=self.emergency.watch,
            vault=vault,
            keys=keys,
            tracer=tracer,
        )
        self._gate = gate
        Steering.__init__(self, services, history, Host(services, history))
        self._forks = Forks(services, history, self._host, self._followed)
        self._kin.stir, self._kin.begun = self._host.stir, self._host.began

    @property
    def policy(self) -> Policy | None:
        """The policy of this process, None if it has none."""
        return self._gate.policy

    async def run(
        self,
        spec: Runnable,
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
        replay: bool = False,
        agent_id: str | None = None,
        tenant: str = "default",
        *,
        source: str = "",
        policy: Policy | Mapping[str, Any] | None = None,
        subject: str | None = None,
    ) -> WorkflowResult:
        """Run a spec or a workflow function, itself or by name, to its end or until it is paused; return the result.

        `spec` may be the name of a registered one: its type, for the latest version, or `type#version`.
        `inputs` are laid over the spec's. Without a run id a UUIDv7 is made. Called again with the same id, spec,
        inputs and seed it returns the ended run, or goes on with an unfinished one that no live process holds. With
        `replay` it appends nothing, executes the recorded run again and raises ReplayDivergenceError if anything came
        out otherwise. The plan of an untrusted planner (`source` is "planner") is rejected unless the sandbox lets it
        pass; `policy` holds for this run besides that of the process.

        Raises SpecError or CallError (for an unknown name SpecNotFoundError) before anything is written;
        RunConflictError when the id is taken by something else; RunOwnedError when another live process holds the run;
        EmergencyStopError; StoreUnreachableError, OwnershipLostError.
        """
        services = self._services
        started = first_event(
            await self.target(spec, tenant, here=True),
            run_id,
            seed,
            inputs,
            agent_id,
            tenant,
            source=source,
            policy=policy,
            # A forbidden skill is a matter for the sandbox, whether it is known here or not.
            skills=None if source == PLANNER else services.skills,
            limits=services.limits,
            at=services.clock.now(),
        )
        started = replace(started, trace=current_traceparent())
        stream = stream_of(started.tenant, started.run_id)
        if replay:
            events = await self._history.events(stream)
            recorded = fold(events)
            check_same(started, recorded.started)
            return result_of((await replay_run(services, events, recorded)).state)
        await begin_keys(self._keys, services.skills, started, subject)
        actor = self._host.actor(stream)
        if actor is not None:
            check_same(started, actor.state.started)
        state = await self._host.joined(stream)
        if state is not None:
            check_same(started, state.started)
        else:
            state = await self._host.enter(stream, lambda: self._host.start(stream, started))
        return result_of(await self._followed(state))

    async def replay(self, run_id: str, tenant: str = "default") -> Replayed:
        """Execute a recorded run again beside the log, and tell how much of it could be.

        Raises RunNotFoundError, ReplayDivergenceError; SpecError or CallError for what is not registered here.
        """
        events = await self._history.events(stream_of(check_tenant(tenant), check_run_id(run_id)))
        recorded = fold(events)
        check_served(recorded, self.skills)
        return await replay_run(self._services, events, recorded)

    async def _followed(self, state: RunState) -> RunState:
        """The state of the run that continues this one, and so on, worked on to its end."""
        while isinstance(state.end, RunContinued):
            stream = stream_of(state.started.tenant, state.end.successor)
            state = await self._host.enter(stream, partial(self._host.go_on, stream))
        return state

    async def target(
        self, what: Runnable, tenant: str = "default", *, here: bool = False
    ) -> Target | Mapping[str, Any]:
        """What is to be run: what a name stands for, anything else as it is.

        A name that nobody knows is taken for a function that workers know, unless it is to run `here`. Raises
        SpecNotFoundError, CallError for what is no name.
        """
        return await self.named(what, tenant, here=here) if isinstance(what, str) else what

    async def named(self, what: str, tenant: str = "default", *, here: bool = False) -> Target:
        """See `target`."""
        return await self._resolved(*parse_name(what), tenant, here=here)

    async def _resolved(self, name: str, version: str | None, tenant: str, *, here: bool) -> Target:
        return await resolve(self.skills, self.specs, name, version, tenant, here=here)

    async def start(
        self,
        spec: Runnable,
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
        *,
        agent_id: str | None = None,
        tenant: str = "default",
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        source: str = "",
        policy: Policy | Mapping[str, Any] | None = None,
        subject: str | None = None,
    ) -> WorkflowResult:
        """Record a run for workers to take up, and return how it stands; nothing is executed here.

        A workflow that only workers know is given by name, and skills need not be known here either: a worker of
        `queue` that has all of it takes the run up, higher `priority` first. Called again with the same id, spec,
        inputs and seed it changes nothing. Raises as `run` does.
        """
        how = self.record(
            spec,
            run_id,
            seed,
            inputs,
            agent_id=agent_id,
            tenant=tenant,
            queue=queue,
            priority=priority,
            source=source,
            policy=policy,
            subject=subject,
        )
        return (await how)[0]

    async def record(
        self,
        spec: Runnable,
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
        *,
        agent_id: str | None = None,
        tenant: str = "default",
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        source: str = "",
        policy: Policy | Mapping[str, Any] | None = None,
        subject: str | None = None,
    ) -> tuple[WorkflowResult, bool]:
        """As `start`, and says besides whether it was this call that recorded the run."""
        started = first_event(
            await self.target(spec, tenant),
            run_id,
            seed,
            inputs,
            agent_id,
            tenant,
            queue=queue,
            priority=priority,
            source=source,
            policy=policy,
            skills=None,
            limits=self._services.limits,
            at=0,
        )
        return await self.begin(started, subject)

    async def begin(self, started: RunStarted, subject: str | None = None) -> tuple[WorkflowResult, bool]:
        """As `record`, for a first event that `first_event` has made, wherever that was; its time is now, and if there
        is a current span here it is in that one's trace."""
        services = self._services
        started = replace(started, at=services.clock.now(), trace=current_traceparent() or started.trace)
        stream = stream_of(started.tenant, started.run_id)
        await begin_keys(self._keys, services.skills, started, subject)
        refusal = await self._host.judged(started)
        try:
            await self._host.record_start(stream, started, 0, refusal)
        except OwnershipLostError:
            state, _ = await self._history.load(stream)
            check_same(started, state.started)
            return result_of(state), False
        return result_of(fold((started, *refusal))), True

    def work_loop(
        self,
        queues: Sequence[str],
        concurrency: int,
        version: str,
        pins: Mapping[str, Collection[str]] | None = None,
    ) -> WorkLoop:
        """The loop of a worker on this engine, made with `parks`; of the types in `pins` it serves these versions."""
        return WorkLoop(self._services, self._history, self._host, queues, concurrency, version, pins or {})

    async def resume(self, run_id: str, tenant: str = "default") -> WorkflowResult:
        """Go on with a run that was cut off, paused or parked; an ended one is returned as it is.

        When another live process holds it and is told by this call to go on, the run is returned as it stands.

        Raises RunNotFoundError, RunOwnedError, EmergencyStopError; SpecError or CallError for what is not registered
        here.
        """
        stream = await self._mailbox.latest(stream_of(check_tenant(tenant), check_run_id(run_id)))
        state, _ = await self._history.load(stream)
        if state.end is not None:
            return result_of(await self._followed(state))
        check_served(state, self.skills)
        await self._host.check_stops(state.started)
        # Taken before the message is sent, which wakes the workers: the run is to go on here.
        await self._history.claim(stream, self._services.lease_seconds)
        waiting = await self._history.inbox_head(stream)
        # A pause that nobody has taken yet would otherwise stop the run right after it was resumed.
        stopped = state.paused or state.parked is not None or waiting.version > state.taken
        if stopped:
            stream, _ = await self._mailbox.send(stream, "resume", "", None)
        try:
            return result_of(await self._followed(await self._host.enter(stream, lambda: self._host.go_on(stream))))
        except RunOwnedError:
            if not stopped:
                raise
            return result_of((await self._history.load(stream))[0])

    async def fork(
        self,
        run_id: str,
        *,
        from_step: str | None = None,
        changes: Mapping[str, Any] | None = None,
        new_id: str | None = None,
        queue: str | None = None,
        by: str = "",
        here: bool = False,
        tenant: str = "default",
    ) -> WorkflowResult:
        """Begin a new run as a fork of another, ended or not, which stays as it is; return how the new one stands.

        What the other has recorded is taken over, but for the step `from_step`, what follows from it, and what follows
        from `changes`: values by JSON pointer, `/inputs/…` or `/steps/STEP/output…`, recorded as given `by` somebody.
        With `here` the fork is run to its end, as by `run`; else it is left to the workers of `queue` (None: its
        parent's), or to `resume`. Called again with the same `new_id` and all else it changes nothing.

        Raises RunNotFoundError, CallError, RunConflictError; NondeterminismError when the function here does not fit;
        PolicyViolationError when the sandbox refuses a planner's plan.
        """
        return result_of(await self._forks.fork(run_id, from_step, changes or {}, new_id, queue, by, tenant, here=here))

    async def retry(
        self,
        run_id: str,
        *,
        new_id: str | None = None,
        queue: str | None = None,
        by: str = "",
        here: bool = False,
        tenant: str = "default",
    ) -> WorkflowResult:
        """Fork a failed run at the step that made it fail: see `fork`. Raises CallError for one that has not failed."""
        return result_of(await self._forks.fork(run_id, None, {}, new_id, queue, by, tenant, retry=True, here=here))

    async def state(self, run_id: str, tenant: str = "default") -> RunState:
        """The state of a run, folded from all its events. Raises RunNotFoundError."""
        return fold(await self._history.events(stream_of(check_tenant(tenant), check_run_id(run_id))))

    def lives(self, run_id: str, tenant: str = "default") -> bool:
        """Whether the run is in the memory of this engine."""
        return self._host.actor(stream_of(tenant, run_id)) is not None

    @property
    def waits(self) -> bool:
        """Whether nothing will happen here before a timer or a message calls."""
        return self._host.waits and self._kin.waits

    async def close(self) -> None:
        """Drop what still runs, as a crash would (nothing recorded is lost), and give up the leases."""
        await self._host.close()
        await self._kin.close()
        if self._services.gate is not None:
            await self._services.gate.close()
        await asyncio.to_thread(self.emergency.watch.close)
