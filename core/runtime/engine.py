"""The workflow engine: starts runs, goes on with them, sends them messages, and keeps their leases."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import uuid_utils

from ..canonical import Payload
from ..errors import (
    CallError,
    IntegrityError,
    NotCanonicalError,
    OwnershipLostError,
    Problem,
    RunConflictError,
    RunEndedError,
    RunNotFoundError,
    RunOwnedError,
    SpecError,
)
from ..events import SEMANTICS, Event, MessageSent, RunStarted
from ..ids import check_run_id, check_seed, check_tenant, inbox_of, stream_of
from ..limits import Limits
from ..plan import Plan, merge_inputs, plan_of
from ..ports import EMPTY, Append, Clock, Head, Journal, RunLog, Schedule, Unit, Unschedule
from ..results import WorkflowResult, result_of
from ..spec import WorkflowSpec, check_skills
from ..state import RunState, evolve, fold
from ..state import start as start_state
from .actor import Observer, RunActor, Services, take
from .clock import SystemClock
from .registry import SkillRegistry
from .replay import replay
from .threads import ThreadPool

T = TypeVar("T")

LEASE_SECONDS = 30.0
"""For how long a run stays with a process that gives no sign of life."""

POLL_SECONDS = 0.2
"""How often the inboxes of live runs are looked at."""


class Engine:
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
    ):
        self.skills = skills
        self._log = log
        self._journal = journal
        self._clock = clock or SystemClock()
        self._limits = limits or Limits()
        self._lease_seconds = lease_seconds
        self._services = Services(journal, skills, self._clock, self._limits, ThreadPool(), lease_seconds, observer)
        self._live: dict[str, asyncio.Future[RunState]] = {}
        self._actors: dict[str, RunActor] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def run(
        self,
        spec: WorkflowSpec | Mapping[str, Any],
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
        replay: bool = False,
        agent_id: str | None = None,
        tenant: str = "default",
    ) -> WorkflowResult:
        """Run `spec` to its end, or until it is paused, and return the result.

        `inputs` are laid over the spec's. Without a run id a UUIDv7 is made. Called again with the same id, spec,
        inputs and seed it returns the ended run, or goes on with an unfinished one that no live process holds. With
        `replay` it appends nothing, executes the recorded run again and raises ReplayDivergenceError if anything came
        out otherwise.

        Raises SpecError or CallError before anything is written; RunConflictError when the id is taken by something
        else; RunOwnedError when another live process holds the run; StoreUnreachableError, OwnershipLostError.
        """
        started = self._first_event(spec, run_id, seed, inputs, agent_id, tenant)
        stream = stream_of(started.tenant, started.run_id)
        if replay:
            return await self._replay(stream, started)
        while (future := self._live.get(stream)) is not None:
            await asyncio.wait([future])
            # That whoever drove the run was cancelled is no answer for others who asked for it.
            if not isinstance(future.exception(), asyncio.CancelledError):
                _check_same(started, future.result().started)
                return result_of(future.result())
        return result_of(await self._enter(stream, lambda: self._start(stream, started)))

    async def resume(self, run_id: str, tenant: str = "default") -> WorkflowResult:
        """Go on with a run that was cut off or paused; an ended one is returned as it is.

        Raises RunNotFoundError, RunOwnedError.
        """
        stream = stream_of(tenant, run_id)
        state = await self.state(run_id, tenant)
        waiting = await asyncio.to_thread(self._log.head, inbox_of(stream))
        # A pause that nobody has taken yet would otherwise stop the run right after it was resumed.
        if state.end is None and (state.paused or waiting.version > state.taken):
            await self._send(stream, "resume", "", None)
        return result_of(await self._enter(stream, lambda: self._continue(stream)))

    async def cancel(
        self, run_id: str, reason: str = "", *, key: str | None = None, tenant: str = "default"
    ) -> WorkflowResult:
        """Cancel a run: at once when no live process holds it, else as soon as its owner reads the message.

        The result tells how the run stands. `key` makes a repeated call the same request. Raises RunNotFoundError,
        RunEndedError.
        """
        return await self._tell(run_id, tenant, "cancel", reason, key)

    async def pause(
        self, run_id: str, reason: str = "", *, key: str | None = None, tenant: str = "default"
    ) -> WorkflowResult:
        """Pause a run: running steps end and are recorded, nothing new starts until `resume`. See `cancel`."""
        return await self._tell(run_id, tenant, "pause", reason, key)

    async def state(self, run_id: str, tenant: str = "default") -> RunState:
        """The state of a run, folded from the log. Raises RunNotFoundError."""
        state, _ = await self._load(stream_of(tenant, run_id))
        return state

    async def close(self) -> None:
        """Drop what still runs, as a crash would (nothing recorded is lost), and give up the leases."""
        self._closed = True
        for actor in list(self._actors.values()):
            actor.abandon(asyncio.CancelledError())
        # Whoever drives a run gives its lease up, and needs the journal and the log for that.
        if self._live:
            await asyncio.wait(list(self._live.values()))
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    def _first_event(
        self,
        spec: WorkflowSpec | Mapping[str, Any],
        run_id: str | None,
        seed: int,
        inputs: Mapping[str, Any] | None,
        agent_id: str | None,
        tenant: str,
    ) -> RunStarted:
        parsed = spec if isinstance(spec, WorkflowSpec) else WorkflowSpec.parse(spec)
        plan = plan_of(parsed.canonical)
        self._check_skills(plan)
        return RunStarted(
            at=self._clock.now(),
            run_id=str(uuid_utils.uuid7()) if run_id is None else check_run_id(run_id),
            tenant=check_tenant(tenant),
            workflow_type=parsed.workflow_type,
            workflow_version=parsed.version,
            spec=Payload.from_canonical(parsed.canonical),
            inputs=self._checked_inputs(plan, inputs),
            seed=check_seed(seed),
            agent_id=agent_id,
            semantics=SEMANTICS,
        )

    def _checked_inputs(self, plan: Plan, inputs: Mapping[str, Any] | None) -> Payload:
        try:
            payload = Payload.of(merge_inputs(plan, inputs))
        except NotCanonicalError as error:
            raise CallError([p._replace(pointer=f"/inputs{p.pointer}") for p in error.problems]) from error
        if len(payload) > self._limits.payload_bytes:
            reason = f"the inputs take {len(payload)} bytes, more than {self._limits.payload_bytes}"
            raise CallError(Problem("/inputs", reason, "store the data elsewhere and pass where it is"))
        return payload

    def _check_skills(self, plan: Plan) -> None:
        problems = check_skills(plan.spec, self.skills.names())
        if problems:
            raise SpecError(problems)

    async def _enter(self, stream: str, drive: Callable[[], Any]) -> RunState:
        """Have this engine work on `stream` in one place only: whoever comes while it does waits for the same end."""
        while (future := self._live.get(stream)) is not None:
            await asyncio.wait([future])
        if self._closed:
            raise CallError(Problem("", "the engine is closed", "open another one"))
        future = asyncio.get_running_loop().create_future()
        self._live[stream] = future
        try:
            state: RunState = await drive()
            future.set_result(state)
            return state
        except BaseException as error:
            future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            future.exception()
            raise
        finally:
            del self._live[stream]

    async def _start(self, stream: str, started: RunStarted) -> RunState:
        unit = Unit((Append(stream, EMPTY, (started,)),), (Schedule(stream, self._lease_seconds),))
        try:
            heads = await self._journal.commit(unit)
        except OwnershipLostError:
            state, _ = await self._load(stream)
            _check_same(started, state.started)
            return await self._continue(stream)
        if self._services.observer is not None:
            self._services.observer(stream, 1, started)
        return await self._act(stream, start_state(started), heads[0], fresh=True)

    async def _continue(self, stream: str) -> RunState:
        state, head = await self._load(stream)
        if state.end is not None:
            return state
        self._check_skills(state.plan)
        lease = await asyncio.to_thread(self._log.claim, stream, self._lease_seconds)
        if lease is not None:
            state, head = await self._load(stream)
            if state.end is not None:
                return state
            raise RunOwnedError(
                f"run {state.started.run_id} is held by {lease.owner} for another {max(lease.seconds_left, 0):.0f} s"
            )
        # Between the first look and the lease the former owner may have written more.
        state, head = await self._load(stream)
        if state.end is not None:
            return state
        return await self._act(stream, state, head)

    async def _act(self, stream: str, state: RunState, head: Head, *, fresh: bool = False) -> RunState:
        actor = RunActor(self._services, stream, state, head)
        self._actors[stream] = actor
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        try:
            if not fresh:
                await self._deliver_inbox(actor)
            if self._closed:
                raise asyncio.CancelledError
            actor.begin()
            state = await actor.done
        except BaseException as error:
            actor.abandon(error)
            if actor.done.done() and not actor.done.cancelled():
                actor.done.exception()
            await asyncio.shield(asyncio.to_thread(self._release, stream))
            raise
        finally:
            del self._actors[stream]
        return state if state.end is not None else await self._left(stream, state)

    async def _left(self, stream: str, state: RunState) -> RunState:
        """Give up the lease of a paused run; who sent it a message while we held it counts on us to take it."""
        await asyncio.to_thread(self._release, stream)
        if not await self._messages(stream, state.taken):
            return state
        try:
            return await self._continue(stream)
        except RunOwnedError:  # somebody else goes on with it; here it came to a pause
            return state

    def _release(self, stream: str) -> None:
        try:
            self._log.release(stream)
        except Exception:  # the lease then runs out by itself; the error that brought us here matters more
            return

    async def _keep(self) -> None:
        """While runs live: look at their inboxes, and renew their leases well before they end."""
        renewed = 0.0
        loop = asyncio.get_running_loop()
        while self._actors:
            await asyncio.sleep(POLL_SECONDS)
            streams = list(self._actors)
            try:
                if streams and loop.time() - renewed > self._lease_seconds / 4:
                    await asyncio.to_thread(self._log.renew, streams, self._lease_seconds)
                    renewed = loop.time()
                heads = await asyncio.to_thread(self._log.heads, [inbox_of(stream) for stream in streams])
                for stream in streams:
                    actor = self._actors.get(stream)
                    head = heads.get(inbox_of(stream))
                    if actor is not None and head is not None and head.version > actor.delivered:
                        await self._deliver_inbox(actor)
            except Exception:  # the store is away: the committer decides when that is an error
                continue

    async def _deliver_inbox(self, actor: RunActor) -> None:
        actor.deliver(await self._messages(actor.stream, actor.delivered))

    async def _messages(self, stream: str, after: int) -> list[tuple[int, MessageSent]]:
        """The messages to a run after the one of version `after`, each with its own."""
        found = await asyncio.to_thread(self._log.events, inbox_of(stream), after)
        return [(version, event) for version, event in enumerate(found, after + 1) if isinstance(event, MessageSent)]

    async def _tell(self, run_id: str, tenant: str, kind: str, reason: str, key: str | None) -> WorkflowResult:
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        state, _ = await self._load(stream)
        if state.end is not None:
            raise RunEndedError(f"run {run_id} has ended ({state.status}) and takes no more messages")
        version = await self._send(stream, kind, reason, key)
        actor = self._actors.get(stream)
        if actor is not None:
            await self._deliver_inbox(actor)
            await actor.taken(version)
            return result_of((await self._load(stream))[0])
        return result_of(await self._enter(stream, lambda: self._take_inbox(stream)))

    async def _take_inbox(self, stream: str) -> RunState:
        """Take the messages of a run that no live process holds, on its behalf; nothing is executed."""
        while await asyncio.to_thread(self._log.claim, stream, self._lease_seconds) is None:
            try:
                state, head = await self._load(stream)
                taken: list[Event] = []
                for version, message in await self._messages(stream, state.taken):
                    if state.end is None:
                        taken.append(take(state, self._clock.now(), version, message))
                        evolve(state, taken[-1])
                if taken:
                    dispatch = () if state.end is None else (Unschedule(stream),)
                    await self._journal.commit(Unit((Append(stream, head, taken),), dispatch))
            except OwnershipLostError:
                break
            finally:
                await asyncio.to_thread(self._release, stream)
            if self._services.observer is not None:
                for version, event in enumerate(taken, head.version + 1):
                    self._services.observer(stream, version, event)
            # Who sent a message while we held the lease counts on us to take it.
            if state.end is not None or not await self._messages(stream, state.taken):
                return state
        return (await self._load(stream))[0]

    async def _send(self, stream: str, kind: str, reason: str, key: str | None) -> int:
        """Put a message into the inbox of `stream`, once for each key, and return its version there."""
        inbox = inbox_of(stream)
        key = key or uuid.uuid4().hex
        while True:
            head = await asyncio.to_thread(self._log.head, inbox)
            for version, sent in await self._messages(stream, 0):
                if sent.key == key:
                    return version
            message = MessageSent(self._clock.now(), kind, key, reason)
            try:
                return (await self._journal.commit(Unit((Append(inbox, head, (message,)),))))[0].version
            except OwnershipLostError:
                continue  # Somebody else's message came first.

    async def _load(self, stream: str) -> tuple[RunState, Head]:
        """The state of a run and the head of its stream, taken at the same point. Raises RunNotFoundError."""
        head: Head = EMPTY
        events: list[Event] = []
        for _ in range(100):
            head = await asyncio.to_thread(self._log.head, stream)
            events = await asyncio.to_thread(self._log.events, stream)
            if len(events) == head.version:
                if not events:
                    raise RunNotFoundError(
                        f"no run {stream.partition('/')[2]!r} of tenant {stream.partition('/')[0]!r}"
                    )
                return fold(events), head
        raise IntegrityError(
            f"{stream} holds {len(events)} events, but its head says {head.version}: run refold verify"
        )

    async def _replay(self, stream: str, started: RunStarted) -> WorkflowResult:
        events = await asyncio.to_thread(self._log.events, stream)
        if not events:
            raise RunNotFoundError(f"no run {started.run_id!r} to replay")
        recorded = fold(events)
        _check_same(started, recorded.started)
        return result_of(await replay(self._services, events, recorded))


def _check_same(given: RunStarted, recorded: RunStarted) -> None:
    """Raises RunConflictError unless both would be the same run."""
    differing = [
        name
        for name, one, other in (
            ("spec", given.spec, recorded.spec),
            ("inputs", given.inputs, recorded.inputs),
            ("seed", given.seed, recorded.seed),
        )
        if one != other
    ]
    if differing:
        raise RunConflictError(
            f"run {given.run_id!r} exists with another {' and another '.join(differing)}; choose another run id"
        )
