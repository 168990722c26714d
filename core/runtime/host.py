"""The runs that live in this process: each in one place only, its lease renewed, its inbox looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..errors import (
    CallError,
    DataKeyError,
    EmergencyStopError,
    OwnershipLostError,
    Problem,
    RefoldError,
    RunConflictError,
    RunNotFoundError,
    RunOwnedError,
    StoreError,
    StoreUnreachableError,
)
from ..events import PLANNER, Event, RunContinued, RunEnd, RunStarted
from ..ids import stream_of
from ..ports import Head, Unit
from ..run_state import RunState
from ..state import fold
from ..state import start as begun
from .actor import RunActor
from .admission import check_same, check_served
from .decider import Decider, SpecDecider
from .emergency_watch import heeding, refusal
from .functions.code_decider import decider_of
from .history import History, Past
from .relations import beginning, children_awaited
from .services import Services
from .tracing import Work, at_work

POLL_SECONDS = 0.2
"""How often the inboxes of live runs are looked at."""

SET_ASIDE_SECONDS = 60
"""For how long workers leave a run alone that could not be worked on at all."""

_log = logging.getLogger(__name__)


class Host:
    """Starts runs, goes on with them, and drops them; bound to one event loop."""

    def __init__(self, services: Services, history: History):
        self._services = services
        self._history = history
        self._live: dict[str, asyncio.Future[RunState]] = {}
        self._actors: dict[str, RunActor] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled: set[asyncio.Task[None]] = set()
        self._stopped_beside: set[str] = set()
        self._closed = self._draining = False

    def actor(self, stream: str) -> RunActor | None:
        """The actor of a run that lives here."""
        return self._actors.get(stream)

    @property
    def waits(self) -> bool:
        """Whether nothing will happen here before a timer or a message calls."""
        return not self._unsettled and all(
            (actor := self._actors.get(stream)) is not None and actor.waits for stream in self._live
        )

    async def joined(self, stream: str) -> RunState | None:
        """The end of a run that lives here already, once it has come; None when none does."""
        while (future := self._live.get(stream)) is not None:
            await asyncio.wait([future])
            # That whoever drove the run was cancelled is no answer for others who asked for it.
            if not isinstance(future.exception(), asyncio.CancelledError):
                return future.result()
        return None

    async def enter(self, stream: str, drive: Callable[[], Awaitable[RunState]]) -> RunState:
        """Work on `stream` in one place only: whoever comes meanwhile waits for its turn."""
        while (future := self._live.get(stream)) is not None:
            await asyncio.wait([future])
        if self._closed:
            raise _closed()
        future = asyncio.get_running_loop().create_future()
        self._live[stream] = future
        try:
            with at_work(Work(stream)):
                state = await drive()
            future.set_result(state)
            return state
        except BaseException as error:
            future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            future.exception()
            raise
        finally:
            del self._live[stream]

    async def start(self, stream: str, started: RunStarted) -> RunState:
        """Record `started` and run; if the run exists and is the same one, go on with it. Raises EmergencyStopError,
        but returns a run that has ended already."""
        try:
            await self.check_stops(started)
        except EmergencyStopError:
            with suppress(RunNotFoundError):
                state, _ = await self._history.load(stream)
                check_same(started, state.started)
                if state.end is not None:
                    return state
            raise
        refusal = await self.judged(started)
        if started.origin == PLANNER and not refusal:
            check_served(begun(started), self._services.skills)
        try:
            heads = await self.record_start(stream, started, self._services.lease_seconds, refusal)
        except OwnershipLostError:
            state, _ = await self._history.load(stream)
            check_same(started, state.started)
            return await self.go_on(stream)
        if self._services.observer is not None:
            for number, event in enumerate((started, *refusal), 1):
                self._services.observer(stream, number, event)
        if refusal:
            return fold((started, *refusal))
        decider = decider_of([started], self._services.skills, self._services.limits)
        return await self._act(stream, decider, heads[0], fresh=True)

    async def judged(self, started: RunStarted) -> Sequence[Event]:
        """What follows the first event at once: the end, if the sandbox refuses the plan; else nothing."""
        gate = self._services.gate
        refusal = None if gate is None else await gate.judged(started)
        return () if refusal is None else (refusal,)

    async def record_start(
        self, stream: str, started: RunStarted, lease_seconds: float, following: Sequence[Event] = ()
    ) -> Sequence[Head]:
        """Append the run's first events, with its dispatch row unless they end it. Raises OwnershipLostError when the
        run exists."""
        append, row = beginning(started, lease_seconds, following)
        ended = bool(following) and isinstance(following[-1], RunEnd)
        heads = await self._services.journal.commit(Unit((append,), () if ended else (row,)))
        self._services.ended(stream, started, following)
        return heads

    async def work_on(self, stream: str, at: int) -> RunState:
        """Work on a run whose lease was claimed at the database's time `at`, until it ends or rests."""
        past = await self._history.past(stream)
        await self._check_keys(stream, past)
        decider = self._decider(past)
        if decider.state.end is not None:
            decider.close()
            await self._history.release(stream)
            return decider.state
        return await self._act(stream, decider, past.head, floor=at)

    async def go_on(self, stream: str, *, again: bool = False) -> RunState:
        """Take the lease of a run and work on it; an ended one is returned as it is. Raises RunOwnedError."""
        past = await self._history.past(stream)
        state = past.state()
        if state.end is not None:
            return state
        check_served(state, self._services.skills)
        await self._check_keys(stream, past)
        await self.check_stops(state.started)
        lease = await self._history.claim(stream, self._services.lease_seconds)
        # Between the first look and the lease the former owner may have written more.
        past = await self._history.past(stream, past)
        decider = self._decider(past)
        if decider.state.end is not None:
            decider.close()
            return decider.state
        if lease is not None:
            decider.close()
            left = f"{max(lease.seconds_left, 0):.0f} s"
            raise RunOwnedError(f"run {state.started.run_id} is held by {lease.owner} for another {left}")
        return await self._act(stream, decider, past.head, again=again)

    async def _check_keys(self, stream: str, past: Past) -> None:
        """Raises DataKeyError for a run whose sensitive data others can read: here it would seem erased, and fail."""
        if self._services.keys is not None and past.is_unreadable:
            try:
                await asyncio.to_thread(self._services.keys.check, stream)
            except DataKeyError as error:
                await self._history.release(stream, self.set_aside_until(error))
                raise

    async def check_stops(self, started: RunStarted) -> None:
        """Raises EmergencyStopError when the run of `started` is to go on here and must not. Workers' runs are held
        back instead."""
        if self._services.emergency is not None and not self._services.parks:
            await self._services.emergency.check(started)

    def heed(self) -> None:
        """Emergency stops have changed: runs hold back or go on."""
        for actor in list(self._actors.values()):
            actor.heed()
        stopped, self._stopped_beside = self._stopped_beside, set()
        for stream in stopped:
            self.began(stream)

    def _decider(self, past: Past) -> Decider:
        skills = self._services.skills
        if past.restored is not None:
            return SpecDecider(past.restored, skills)
        return decider_of(past.events, skills, self._services.limits)

    def stir(self, stream: str, kind: str) -> None:
        """A message has come for a run: if it lives here, it need not wait for the next look at its inbox."""
        actor = self._actors.get(stream)
        if actor is not None:
            self._background(self._deliver_or_drop(actor))
        elif kind == "cancel":  # A child that rests, and nobody else may ever look at it.
            self.began(stream)

    def began(self, stream: str) -> None:
        """A run was begun by one that lives here. Without workers nobody else would work on it."""
        if not self._services.parks and not self._closed:
            self._background(self._work_beside(stream))

    async def _work_beside(self, stream: str, *, follow: bool = False) -> None:
        if (task := asyncio.current_task()) is not None:
            self._unsettled.discard(task)  # From here on the run itself is looked at.
        watch = self._services.emergency
        seen = None if watch is None else watch.stops
        try:
            state = await self.enter(stream, lambda: self.go_on(stream))
            while follow and isinstance(state.end, RunContinued):
                stream = stream_of(state.started.tenant, state.end.successor)
                state = await self.enter(stream, partial(self.go_on, stream))
        except RunOwnedError as error:  # a worker was faster
            _log.info("%s: %s", stream, error)
        except EmergencyStopError:
            self._stopped_beside.add(stream)
            self._keep_up()
            if watch is not None and watch.stops is not seen:
                self.heed()  # The release may have come before anybody was there to be told.
        except RefoldError as error:
            _log.warning("%s: %s", stream, error)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        for tasks in (self._tasks, self._unsettled):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def close(self) -> None:
        """Drop what lives, as a crash would (nothing recorded is lost), and give up the leases."""
        self._closed = True
        for actor in list(self._actors.values()):
            actor.abandon(_closed())
        # Whoever drives a run gives its lease up, and needs the journal and the log for that.
        while self._live or self._tasks:
            await asyncio.wait([*self._live.values(), *self._tasks])
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    def drain(self) -> None:
        """Let what runs end and be recorded, start nothing more, and leave the rest to others."""
        self._draining = True
        for actor in list(self._actors.values()):
            actor.drain()

    async def _act(
        self, stream: str, decider: Decider, head: Head, *, fresh: bool = False, floor: int = 0, again: bool = False
    ) -> RunState:
        actor = RunActor(self._services, stream, decider, head, floor)
        try:
            return await self._drive(actor, fresh=fresh)
        except OwnershipLostError:
            if (await self._history.heads([stream])).get(stream) != actor.head:
                raise
        # Nobody else wrote here: a run that this one begins has come into being meanwhile.
        if again:
            reason = f"run {decider.state.started.run_id} begins a run, or is continued by one, whose id is taken"
            raise RunConflictError(reason)
        return await self.go_on(stream, again=True)

    async def _drive(self, actor: RunActor, *, fresh: bool) -> RunState:
        stream = actor.stream
        gate = self._services.gate
        try:
            if gate is not None:  # Before anybody can find the actor: a message would make it begin.
                await gate.refresh()
            self._actors[stream] = actor
            self._keep_up()
            if self._draining:  # It was being read as the draining began.
                actor.drain()
            if not fresh:
                await self.deliver_inbox(actor)
            if self._closed:
                raise _closed()
            actor.begin()
            for child in () if self._services.parks else children_awaited(actor.state):
                self._background(self._work_beside(stream_of(actor.state.started.tenant, child), follow=True))
            state = await actor.done
        except BaseException as error:
            actor.abandon(error)
            if actor.done.done() and not actor.done.cancelled():
                actor.done.exception()
            await asyncio.shield(self._history.release(stream, self.set_aside_until(error)))
            raise
        finally:
            self._actors.pop(stream, None)
        return state if state.end is not None else await self._left(stream, state, actor)

    def set_aside_until(self, error: BaseException) -> int | None:
        """Until when workers should leave a run alone that `error` cut off, in microseconds since the epoch.

        None when it says nothing against another one going on at once.
        """
        passing = (OwnershipLostError, RunOwnedError, StoreUnreachableError)
        if not self._services.parks or self._closed or not isinstance(error, Exception) or isinstance(error, passing):
            return None
        return self._services.clock.now() + SET_ASIDE_SECONDS * 1_000_000

    async def _left(self, stream: str, state: RunState, actor: RunActor) -> RunState:
        """Give up the lease of a run at rest. Who sent it a message while we held it counts on somebody to take it:
        workers find it due; without them it is for us."""
        if not actor.lease_given_up:
            await self._history.release(stream, actor.rest, state.taken)
        if actor.brake.stop is not None and not self._services.parks and not state.paused and state.parked is None:
            raise refusal(state.started, actor.brake.stop)
        if self._services.parks or not await self._history.messages(stream, state.taken):
            return state
        try:
            return await self.go_on(stream)
        except RunOwnedError:  # somebody else goes on with it; here it came to a pause
            return state

    def _keep_up(self) -> None:
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        """While runs live: look at their inboxes, and renew their leases well before they end."""
        renewed = 0.0
        loop = asyncio.get_running_loop()
        with heeding(self._services.emergency, self.heed):
            while self._actors or self._stopped_beside:
                await asyncio.sleep(POLL_SECONDS)
                renewed = await self._look_after(loop.time(), renewed)

    async def _look_after(self, now: float, renewed: float) -> float:
        """See to leases and inboxes; returns when the leases were renewed last."""
        streams = list(self._actors)
        try:
            if self._services.gate is not None:
                await self._services.gate.refresh()
            if streams and now - renewed > self._services.lease_seconds / 4:
                await self._history.renew(streams, self._services.lease_seconds)
                renewed = now
            heads = await self._history.inbox_heads(streams) if streams else {}
        except StoreError:  # the store is away: the committer decides when that is an error
            return renewed
        for stream, version in heads.items():
            actor = self._actors.get(stream)
            if actor is not None and version > actor.delivered:
                await self._deliver_or_drop(actor)
        return renewed

    async def _deliver_or_drop(self, actor: RunActor) -> None:
        try:
            await self.deliver_inbox(actor)
        except StoreError:  # the next look may find the store again
            return
        except RefoldError as error:  # an inbox that cannot be read stops its own run and no other
            actor.abandon(error)

    async def deliver_inbox(self, actor: RunActor) -> None:
        """Hand the actor what has come in."""
        actor.deliver(await self._history.messages(actor.stream, actor.delivered))


def _closed() -> CallError:
    # No CancelledError: nobody cancelled the caller, and a task group would swallow it.
    return CallError(Problem("", "the engine was closed", "go on with the run in another one: it is resumable"))
