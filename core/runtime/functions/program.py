"""A workflow function being driven by its history.

The function is a coroutine; it is resumed by hand (`send`), never by asyncio, and only by events: an outcome resumes
the branch that awaits it, in the order of the log. So the same events bring it to the same point, with the same
branches having run in the same order, in any process and at any time.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from inspect import CORO_CLOSED, CORO_CREATED, getcoroutinestate
from typing import Any, cast

from ...canonical import Payload
from ...decide_code import Fault, Finish
from ...errors import CallError, Failure, Problem, RefoldError, StepFailedError, StepTimeoutError
from ...events import AttributesSet, PatchApplied, RunStarted, StepCompleted, StepFailed
from ...limits import Limits
from ...paths import join, order_of
from ...secret_marks import Mark
from ..payloads import payload_of
from ..registry import SkillRegistry
from ..skill import Skill
from .command import Command, Gather
from .finishing import finish_of, hidden_finish
from .open_call import Branch, Join, OpenCall, place_of
from .workflow import Workflow
from .workspace import CURRENT, Suspended

Resumption = tuple[Branch, Any, BaseException | None]
"""A branch to go on with, and the value or the error that its await gives."""

_MOST_REFUSALS = 100
"""So often a dropped function is told so by `Suspended`; one that goes on asking is then left standing."""

_log = logging.getLogger(__name__)

_FAILED_BY_TIME = {"SIGNAL_TIMEOUT", "STEP_TIMEOUT", "CHILD_TIMEOUT", "APPROVAL_EXPIRED"}


_LEFT_STANDING: list[Coroutine[Any, Any, Any]] = []
"""Coroutines that cannot be closed. To free one would run its code again, outside of any run."""


class Program:
    """The running function. `open` holds what it awaits, by path; `finish` says how it ended, once it has.

    Fulfils `Workspace` for the function's own code.
    """

    def __init__(
        self,
        workflow: Workflow[..., Any],
        started: RunStarted,
        skills: SkillRegistry,
        patches: set[str],
        limits: Limits,
    ):
        """`patches` are all that the history knows, also those that it applies later on."""
        self.open: dict[str, OpenCall] = {}
        self.order: list[str] = []
        self.marks: list[AttributesSet | PatchApplied] = []
        self.finish: Finish | None = None
        self.fault: Fault | None = None
        self.now = started.at if started.forked is None else started.forked.began
        self.replaying = False
        self._workflow = workflow
        self._started = started
        self._skills = skills
        self._patches = patches
        self._limits = limits
        self._sensitive = started.inputs.hidden is not None
        self._unpatched: set[str] = set()
        self._branches: dict[Branch, None] = {}
        self._branch: Branch | None = None
        self._answers: dict[str, Callable[..., Any]] = {}
        self._closing = self._asking = False
        self._refusals = 0

    def begin(self) -> None:
        """Call the function and drive it to its first awaits."""
        # An empty context: what the caller has in his is not recorded, and a worker's is another one.
        context = Context()
        context.run(CURRENT.set, self)
        main = Branch("", self._workflow.begin(self._started.inputs), context, None, 0)
        self._branches[main] = None
        self._drive([(main, None, None)])

    def settle(self, event: StepCompleted | StepFailed) -> None:
        """Give the branch that awaits the call of `event` its outcome; the call must be open."""
        output = event.output.revealed() if isinstance(event, StepCompleted) else None
        call = self._take(str(event.index))
        if isinstance(event, StepCompleted):
            self._drive([(call.branch, output, None)])
            return
        kind = StepTimeoutError if event.error_code in _FAILED_BY_TIME else StepFailedError
        error = kind(event.error_code, event.message, step_id=event.step_id, attempts=event.attempt)
        self._drive([(call.branch, None, error)])

    def stop(self) -> None:
        """Raise CancelledError wherever the function awaits something."""
        calls = [self._take(path) for path in list(self.order)]
        self._drive([(call.branch, None, asyncio.CancelledError("the run was cancelled")) for call in calls])

    def query(self, name: str, arguments: Mapping[str, Any]) -> Payload:
        """What the function's own handler answers. Raises CallError for a name it does not answer to."""
        handler = self._answers.get(name)
        if handler is None:
            known = ", ".join(sorted(self._answers)) or "none"
            raise CallError(Problem("", f"the run answers no query {name!r}", f"it answers: {known}"))
        token = CURRENT.set(self)
        self._asking = True
        try:
            return payload_of(handler(**arguments))
        except RefoldError:
            raise
        except Exception as error:  # the user's code
            reason = f"the query {name!r} raised {type(error).__name__}: {error}"
            raise CallError(Problem("", reason, "mend the handler")) from error
        finally:
            self._asking = False
            CURRENT.reset(token)

    def close(self) -> None:
        """Drop the function. Clean-up code that awaits anything is broken off with `Suspended`."""
        self._closing = True
        for branch in reversed(self._branches):
            self._refusals = 0
            place = place_of(branch.coroutine)
            with suppress(BaseException):  # whatever clean-up code raises, nobody waits for it any more
                branch.context.run(branch.coroutine.close)
            if getcoroutinestate(branch.coroutine) != CORO_CLOSED:
                _log.warning("run %s: the function stays in memory, for %s catches BaseException", self.run_id, place)
                _LEFT_STANDING.append(branch.coroutine)
        self._branches.clear()

    # What the function's own code reaches.

    @property
    def run_id(self) -> str:
        """See `Workspace.run_id`."""
        return self._started.run_id

    def command(self, skill: Skill[..., Any], inputs: Payload, marks: Sequence[Mark] = ()) -> Command[Any]:
        """See `Workspace.command`."""
        self.check_asked()
        return Command(skill, inputs, skill.reader, marks=marks)

    def find(self, skill_id: str) -> Skill[..., Any]:
        """See `Workspace.find`."""
        try:
            return self._skills.get(skill_id)
        except Failure as error:
            # Another process may have it: the code, which would take its own way from here, must not go on.
            message = f"{error}; load the module that has it, then resume the run"
            self.fault = Fault(error.step_code, message, Payload.of({"skill_id": skill_id}))
            raise

    def check_open(self) -> None:
        """See `Workspace.check_open`."""
        self.check_asked()
        if self._closing and self._refusals < _MOST_REFUSALS:
            self._refusals += 1
            raise Suspended("the run has left memory")

    def check_asked(self) -> None:
        """See `Workspace.check_asked`."""
        if self._asking:
            raise CallError(Problem("", "a query only looks: it can start no steps", "do it in the workflow itself"))

    def draw(self) -> str:
        """See `Workspace.draw`."""
        self.check_open()
        if self._closing:
            return ""
        branch = self._branch
        if branch is None:
            raise CallError(Problem("", "there is nothing to draw from here", "draw in the workflow itself"))
        branch.draws += 1
        return f"{self._started.seed}:{branch.path}:draw:{branch.draws}"

    def continuing(self, inputs: Mapping[str, Any]) -> Payload:
        """See `Workspace.continuing`."""
        self.check_open()
        return self._workflow.checked_inputs(inputs, self._limits)

    def patched(self, patch: str) -> bool:
        """See `Workspace.patched`."""
        self.check_open()
        if patch in self._patches:
            return True
        if self.replaying:
            # For good: older code has passed here, and a True later on would be one from the beginning in a replay.
            self._unpatched.add(patch)
        if patch in self._unpatched:
            return False
        self._patches.add(patch)
        self.marks.append(PatchApplied(self.now, patch))
        return True

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See `Workspace.set_attributes`."""
        self.check_open()
        self.marks.append(AttributesSet(self.now, payload_of(dict(attributes))))

    def answer(self, name: str, handler: Callable[..., Any]) -> None:
        """See `Workspace.answer`."""
        self._answers[name] = handler

    # Driving.

    def _drive(self, resumptions: Sequence[Resumption]) -> None:
        todo = deque(resumptions)
        with _outside_tasks():
            while todo and self.finish is None and self.fault is None:
                branch, value, error = todo.popleft()
                self._branch = branch
                self._step(branch, value, error, todo)
        self._branch = None

    def _step(self, branch: Branch, value: Any, error: BaseException | None, todo: deque[Resumption]) -> None:
        try:
            if error is None:
                asked = branch.context.run(branch.coroutine.send, value)
            else:
                asked = branch.context.run(branch.coroutine.throw, error)
        except KeyboardInterrupt:
            raise
        except StopIteration as stop:
            self._ended(branch, stop.value, None, todo)
        except BaseException as raised:  # the user's code may raise anything
            self._ended(branch, None, raised, todo)
        else:
            if isinstance(asked, Command):
                self._ask(branch, cast("Command[Any]", asked))
            elif isinstance(asked, Gather):
                self._split(branch, asked, todo)
            else:
                self.fault = _foreign(asked, branch)

    def _ask(self, branch: Branch, command: Command[Any]) -> None:
        path = join(branch.path, branch.calls)
        branch.calls += 1
        self.open[path] = OpenCall(path, command, branch, self._sensitive)
        insort(self.order, path, key=order_of)

    def _take(self, path: str) -> OpenCall:
        del self.order[bisect_left(self.order, order_of(path), key=order_of)]
        return self.open.pop(path)

    def _split(self, branch: Branch, gather: Gather, todo: deque[Resumption]) -> None:
        path = join(branch.path, branch.calls)
        branch.calls += 1
        if not gather.branches:
            todo.append((branch, [], None))
            return
        fresh = {id(each) for each in gather.branches if getcoroutinestate(each) == CORO_CREATED}
        if len(fresh) < len(gather.branches):
            reason = "gather got a coroutine that is awaited already: call its function anew for every branch"
            todo.append((branch, None, RuntimeError(reason)))
            return
        joined = Join(branch, len(gather.branches))
        for number, coroutine in enumerate(gather.branches):
            child = Branch(join(path, number), coroutine, branch.context.copy(), joined, number)
            self._branches[child] = None
            todo.append((child, None, None))

    def _ended(self, branch: Branch, value: Any, error: BaseException | None, todo: deque[Resumption]) -> None:
        del self._branches[branch]
        joined = branch.joined
        finish = finish_of(value, error, self._limits, self._workflow.failures, last=joined is None)
        if finish is not None:
            self.finish = hidden_finish(finish) if self._sensitive else finish
        elif joined is not None and joined.ended(branch.number, value, error):
            todo.append((joined.branch, joined.values, joined.first_error()))


@contextmanager
def _outside_tasks() -> Generator[None]:
    """Hide the task that happens to drive: what the code makes of it (`asyncio.timeout`) would cancel our caller."""
    loop = asyncio._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    if loop is None or task is None:
        yield
        return
    # For those who write tasks of their own: https://docs.python.org/3/library/asyncio-extending.html
    asyncio.tasks._leave_task(loop, task)
    try:
        yield
    finally:
        asyncio.tasks._enter_task(loop, task)


def _foreign(asked: object, branch: Branch) -> Fault:
    kind = "asyncio.sleep(0) or a bare yield" if asked is None else f"something of asyncio's ({type(asked).__name__})"
    place = place_of(branch.coroutine)
    message = (
        f"the workflow awaited {kind} at {place}, which no replay could repeat; "
        "await steps, sleep, wait_signal and gather only, and move the rest into a skill"
    )
    return Fault("FOREIGN_AWAIT", message, Payload.of({"place": place}))
