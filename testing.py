"""Tests of workflows in a time that skips: a run that sleeps for 30 days is tested in milliseconds.

    async with TestEnvironment(skills=[charge], workflows=[checkout]) as env:
        result = await env.run(checkout, {"item": "lamp"})

Time stands still but for jumps: while a result is awaited and nothing can happen before the next timer of any run, the
clock jumps to that timer. Skills that run are waited for, and their own time-outs are real. `replay` drives today's
code through a recorded history, for CI.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, cast

import orjson
import uuid_utils

from .compose import WorkflowEngine
from .core.code_state import CodeState
from .core.durations import MAX_SECONDS, Duration, seconds_of
from .core.errors import CallError, Problem
from .core.events import Event
from .core.limits import Limits
from .core.ports import Timer
from .core.results import WorkflowResult, result_of
from .core.run_state import RunState
from .core.runtime.engine import Runnable
from .core.runtime.functions.workflow import Workflow
from .core.runtime.registry import SkillRegistry
from .core.runtime.replay import Replayed, replay_code
from .core.runtime.scheduling.schedule import Schedule
from .core.runtime.scheduling.schedule_run import run_schedule
from .core.runtime.skill import Skill
from .core.state import fold
from .eventstore.memory import MemoryStore
from .projections.exported import exported_events
from .projections.stored_events import stored_events

START = datetime(2026, 1, 1, tzinfo=UTC)
"""What time it is in a new environment: always the same, so that tests give the same every day."""

STALL_SECONDS = 5.0
"""For how many real seconds a result is awaited that nothing here can bring about."""

_SPINS = 50
_PAUSE_SECONDS = 0.0005

History = str | PathLike[str] | Iterable[Mapping[str, Any]] | Sequence[Event]
"""The file of an exported history (`refold events RUN --json`), its lines as objects, or events."""


class _Call:
    """A timer's call; cancelled ones stay in the heap until their turn."""

    def __init__(self, callback: Callable[[], object]):
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """See `Timer.cancel`."""
        self.callback = None


class TestClock:
    """A clock that moves when it is told to, with its timers; fulfils `Clock` and `Timers` of `core.ports`."""

    __test__: ClassVar[bool] = False

    def __init__(self, start: datetime = START):
        self._at = _microseconds(start)
        self._calls: list[tuple[int, int, _Call]] = []
        self._numbers = count()

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self._at

    @property
    def time(self) -> datetime:
        """The same as a datetime in UTC."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._at)

    def after(self, microseconds: int, callback: Callable[[], object]) -> Timer:
        """See `Timers.after`."""
        call = _Call(callback)
        heapq.heappush(self._calls, (self._at + max(0, microseconds), next(self._numbers), call))
        return call

    def advance(self, duration: Duration) -> None:
        """Move on at one stroke, as over a machine that was switched off: what was due meanwhile is late.

        `TestEnvironment.advance` goes from timer to timer instead. Raises CallError for what is no duration.
        """
        self.move_to(self._at + round(seconds_of(duration) * 1_000_000))

    def next_due(self) -> int | None:
        """When the next timer is due; None without one."""
        while self._calls and self._calls[0][2].callback is None:
            heapq.heappop(self._calls)
        return self._calls[0][0] if self._calls else None

    def move_to(self, at: int) -> None:
        """Move on to `at`, never back, and make the calls that are due then."""
        self._at = max(self._at, at)
        due: list[_Call] = []
        while (first := self.next_due()) is not None and first <= self._at:
            due.append(heapq.heappop(self._calls)[2])
        for call in due:
            callback, call.callback = call.callback, None
            if callback is not None:
                callback()


class TestEnvironment:
    """An engine in memory whose time skips. An asynchronous context manager; of one event loop.

    Time skips only while `run`, `result` or `advance` is awaited: between `start` and `signal` none passes.
    """

    __test__: ClassVar[bool] = False

    def __init__(
        self,
        *,
        skills: SkillRegistry | Iterable[Skill[..., Any] | Callable[..., Any]] = (),
        workflows: Iterable[Workflow[..., Any]] = (),
        start: datetime = START,
        limits: Limits | None = None,
        stall_seconds: float = STALL_SECONDS,
        secrets: Mapping[str, str] | None = None,
    ):
        """`skills` are added to the ready ones, unless they are a registry; `secrets` are what steps may ask for, by
        name. Raises CallError for a name given twice."""
        self.clock = TestClock(start)
        self.store = MemoryStore()
        self.engine = WorkflowEngine(
            self.store,
            _registry(skills, workflows),
            clock=self.clock,
            timers=self.clock,
            limits=limits,
            secrets=secrets or {},
        )
        self._stall_seconds = stall_seconds
        self._tasks: dict[str, asyncio.Task[WorkflowResult]] = {}
        self._operations = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def run(
        self,
        target: Runnable,
        /,
        *arguments: Any,
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
    ) -> WorkflowResult:
        """Run a workflow function with `arguments`, or anything that runs with `inputs`, to its end. See `Engine.run`.

        Raises CallError also when the run waits for something that nothing here will bring about.
        """
        return await self.result(await self.start(target, *arguments, run_id=run_id, seed=seed, inputs=inputs))

    async def start(
        self,
        target: Runnable,
        /,
        *arguments: Any,
        run_id: str | None = None,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
    ) -> str:
        """Start in the background, let it come as far as it can without time passing, and return the run id."""
        if arguments:
            if not isinstance(target, Workflow) or inputs is not None:
                reason = "only a workflow function takes arguments, and then no inputs"
                raise CallError(Problem("", reason, "give inputs by name: inputs={…}"))
            inputs = cast("dict[str, Any]", target.inputs_of(*arguments).value)
        name = str(uuid_utils.uuid7()) if run_id is None else run_id
        await self._live(name, asyncio.create_task(self.engine.run(target, name, seed, inputs)))
        return name

    async def schedule(self, schedule: Schedule | Mapping[str, Any]) -> str:
        """Have a schedule fire here from now on, while time passes; returns its id. `engine.schedules` has the rest."""
        given = schedule if isinstance(schedule, Schedule) else Schedule.parse(schedule)
        return await self.start(run_schedule, given.to_json(), run_id=given.schedule_id)

    async def result(self, run_id: str) -> WorkflowResult:
        """The result of a run, also of a child, once it has ended or was paused; time skips meanwhile.

        Raises what `Engine.run` raises; CallError when the run waits for something that nothing here will bring about,
        or for more than ten years.
        """
        until = self.clock.now() + MAX_SECONDS * 1_000_000
        task = self._tasks.get(run_id)
        if task is not None:
            await self._skip(task.done, until, run_id)
            return await task
        result = await self._standing(run_id)
        while result.continued_as is not None:
            result = await self._standing(result.continued_as)
        return result

    async def _standing(self, run_id: str) -> WorkflowResult:
        until = self.clock.now() + MAX_SECONDS * 1_000_000
        await self._skip(lambda: not self.engine.lives(run_id), until, run_id)
        return result_of(await self.engine.state(run_id))

    async def advance(self, duration: Duration) -> None:
        """Let so much time pass, from timer to timer, and all happen that happens until then."""
        until = self.clock.now() + round(seconds_of(duration) * 1_000_000)
        await self.settle()
        while (due := self.clock.next_due()) is not None and due <= until:
            self.clock.move_to(due)
            await self.settle()
        self.clock.move_to(until)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing more happens without time passing."""
        await self._turns(lambda: self.engine.waits and not self._operations)

    async def signal(self, run_id: str, name: str, payload: Any = None) -> None:
        """Send a signal, and let what follows from it happen. See `Engine.signal`."""
        with self._operation():
            await self.engine.signal(run_id, name, payload)
        await self.settle()

    async def query(self, run_id: str, name: str, **arguments: Any) -> Any:
        """Ask a run's function. See `Engine.query`."""
        with self._operation():
            return await self.engine.query(run_id, name, arguments)

    async def cancel(self, run_id: str, reason: str = "", *, force: bool = False) -> None:
        """Cancel a run. See `Engine.cancel`."""
        with self._operation():
            await self.engine.cancel(run_id, reason, force=force)
        await self.settle()

    async def pause(self, run_id: str, reason: str = "") -> None:
        """Pause a run. See `Engine.pause`."""
        with self._operation():
            await self.engine.pause(run_id, reason)
        await self.settle()

    async def resume(self, run_id: str) -> None:
        """Go on with a paused run, in the background. See `Engine.resume`."""
        await self._live(run_id, asyncio.create_task(self.engine.resume(run_id)))

    async def state(self, run_id: str) -> RunState:
        """How a run stands. See `Engine.state`."""
        return await self.engine.state(run_id)

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """A run's history as `refold events RUN --json` would export it: lines for a file, or for `replay`."""
        return list(stored_events(self.store, run_id, "default", 0, None))

    async def replay(self, run_id: str) -> Replayed:
        """Execute a run again and compare, also one that has not ended. Raises NondeterminismError with the whole
        difference, or ReplayDivergenceError for a skill that gives something else now. See `Engine.replay`."""
        with self._operation():
            return await self.engine.replay(run_id)

    @contextmanager
    def _operation(self) -> Generator[None]:
        """Within, no time skips: what is being done here and now comes before any timer."""
        self._operations += 1
        try:
            yield
        finally:
            self._operations -= 1

    async def _live(self, run_id: str, task: asyncio.Task[WorkflowResult]) -> None:
        """Wait until `task` has the run in memory, or has ended; then for all that follows at once."""
        self._tasks[run_id] = task
        with self._operation():
            await self._turns(lambda: task.done() or self.engine.lives(run_id))
        if task.done() and task.exception() is not None:
            del self._tasks[run_id]
            await task
        await self.settle()

    async def _turns(self, condition: Callable[[], bool]) -> None:
        """Let the event loop turn until `condition` holds: at full speed for a moment, then with little pauses."""
        spins = 0
        while not condition():
            spins += 1
            await asyncio.sleep(0 if spins < _SPINS else _PAUSE_SECONDS)

    async def _skip(self, condition: Callable[[], bool], until: int, run_id: str) -> None:
        """Have time skip until `condition` holds. Raises CallError when that cannot be."""
        loop = asyncio.get_running_loop()
        stalled: float | None = None
        while not condition():
            await self._turns(lambda: condition() or (self.engine.waits and not self._operations))
            if condition():
                return
            due = self.clock.next_due()
            if due is not None and due <= until:
                stalled = None
                self.clock.move_to(due)
                continue
            stalled = loop.time() if stalled is None else stalled
            if due is not None or loop.time() - stalled > self._stall_seconds:
                raise await self._stuck(run_id, due)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stuck(self, run_id: str, due: int | None) -> CallError:
        if due is not None:
            return CallError(Problem("", f"run {run_id} has not ended after ten years", "use advance() and look"))
        state = await self.engine.state(run_id)
        signals = sorted({repr(wait.signal) for wait in state.waits.values() if wait.signal is not None})
        what = f"the signal {' and '.join(signals)}" if signals else "something"
        reason = f"run {run_id} waits for {what}, and nothing here brings that about"
        return CallError(Problem("", reason, "start it with start(), send the signal with signal(), then ask result()"))


async def replay(
    workflow: Workflow[..., Any],
    history: History,
    *,
    skills: SkillRegistry | Iterable[Skill[..., Any] | Callable[..., Any]] = (),
) -> RunState:
    """Drive today's `workflow` through a recorded history, whole or unfinished; no skill is called.

    `skills` are those that the function calls by name. Returns the state that the history leads to. Raises
    NondeterminismError with the whole difference in its `details`; IntegrityError for an altered export, CallError for
    what is no history of a function of this type.
    """
    events = _events(history)
    state = fold(events)
    wanted = state.started.workflow_type
    if not isinstance(state, CodeState) or wanted != workflow.workflow_type:
        what = f"of workflow {wanted!r}" if isinstance(state, CodeState) else f"of the spec {wanted!r}"
        reason = f"the history is {what}, not of the workflow function {workflow.workflow_type!r}"
        raise CallError(Problem("", reason, "replay it with what it is of; runs of specs with: refold replay"))
    await replay_code(events, state, _registry(skills, [workflow]), Limits())
    return state


def _events(history: History) -> list[Event]:
    if isinstance(history, str | PathLike):
        lines = Path(history).read_bytes().splitlines()
        try:
            return exported_events([orjson.loads(line) for line in lines if line.strip()])
        except orjson.JSONDecodeError as error:
            fix = "export it with: refold events RUN --json > FILE"
            raise CallError(Problem("", f"{history} is no exported history: {error}", fix)) from None
    given = list(history)
    if all(isinstance(each, Mapping) for each in given):
        return exported_events(cast("list[Mapping[str, Any]]", given))
    return cast("list[Event]", given)


def _registry(
    skills: SkillRegistry | Iterable[Skill[..., Any] | Callable[..., Any]], workflows: Iterable[Workflow[..., Any]]
) -> SkillRegistry:
    registry = skills if isinstance(skills, SkillRegistry) else SkillRegistry()
    if not isinstance(skills, SkillRegistry):
        for each in skills:
            registry.register(each)
    for workflow in workflows:
        registry.add_workflow(workflow)
    return registry


def _microseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise CallError(Problem("", f"{moment} has no time zone", "give one: datetime(…, tzinfo=UTC)"))
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
