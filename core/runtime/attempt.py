"""One attempt at one step: the skill is called, and whatever comes of it becomes a `Result`.

Nothing a skill does breaks the run: it may raise, hang, or return something that is no JSON.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..canonical import Payload
from ..errors import DataErasedError, Failure, NotCanonicalError, RefoldError, StoreError
from ..events import RunStarted
from ..exceptions_mapped import code_of
from ..failures import FailureCatalog, is_code
from ..limits import Limits, exceeds
from ..plan import PlannedStep
from ..policy.enforcer import NO_KEY
from ..references import TextTooLongError, UnresolvedReferenceError
from ..run_state import RunState
from ..sandbox.effects import has_effect
from ..secret_marks import Sealed, marks_of
from ..seeds import step_seed
from ..sensitive import Revealed, hide, is_sensitive, touches
from ..spec_state import SpecState
from ..step_events import StepIndex
from .context import StepContext
from .masking import Mask
from .payloads import output_of
from .registry import SkillRegistry
from .revealing import NO_SECRETS, bound_secretly, check_sensitive_wait, check_wait, opened
from .secret_sources import Vault
from .skill import Skill
from .threads import ThreadPool
from .tracing import Work, enter, leave
from .wait import Wait

_BUILT_IN = FailureCatalog()


class Cause(NamedTuple):
    """Why an attempt failed, and whether another may help."""

    code: str
    message: str
    retryable: bool


class Waiting(NamedTuple):
    """A wait that begins, what it will output if it is one for the time to pass, and whether it was asked for with
    sensitive data."""

    wait: Wait
    output: Payload
    sensitive: bool = False


@dataclass(slots=True)
class Result:
    """What came of an attempt: an output, a failure, or a wait that begins.

    `inputs` is None when they could not be made. `executed` is False when the skill was never called. `begins` is the
    first event of a run that the step starts, `charged` what the skill says that the attempt has cost, in cents.
    """

    index: StepIndex
    attempt: int
    skill: Skill[..., Any] | None
    inputs: Payload | None
    output: Payload | Cause | Waiting
    executed: bool
    begins: RunStarted | None = None
    charged: float | None = None


@dataclass(slots=True)
class Call:
    """A step made ready to run."""

    index: StepIndex
    attempt: int
    skill: Skill[..., Any]
    inputs: Payload
    context: StepContext | None
    secrets: Sealed | None = None
    """What of the inputs stands for secrets."""
    mask: Mask | None = None
    """Keeps their values out of what is recorded, from when they are known."""
    given: Payload | None = None
    """What the skill gets where that is sensitive, and `inputs` only what is recorded of it."""
    sensitive: bool = False
    """What comes of it is sensitive."""
    erased: Callable[[], bool] | None = None
    """Tells whether `given` was erased since it was read. May block."""
    work: Work | None = None
    """What the skill is current in, for traces and logs."""


class Outputs(Mapping[str, Any]):
    """The outputs of a step's dependencies, decoded afresh at each access so that a skill cannot change them."""

    def __init__(self, state: SpecState, step: PlannedStep):
        names = [state.plan.steps[index].step_id for index in step.dependencies]
        self._payloads = {
            n: outcome.output for n, i in zip(names, step.dependencies, strict=True) if (outcome := state.outcomes[i])
        }

    def __getitem__(self, step_id: str) -> Any:
        payload = self._payloads[step_id]
        return None if payload is None else payload.revealed().fresh()

    def __iter__(self) -> Iterator[str]:
        return iter(self._payloads)

    def __len__(self) -> int:
        return len(self._payloads)


def prepare(state: SpecState, index: int, attempt: int, skills: SkillRegistry, limits: Limits) -> Call | Result:
    """The call of a step whose turn has come, or the result that its skill or its inputs cannot be had."""
    step = state.plan.steps[index]
    skill = None
    try:
        skill = skills.get(step.skill_id)
        sensitive = is_sensitive(state, step, skill.sensitive)
        value = step.inputs.resolve(state)
        repeated = len(step.inputs.references) > 1 and exceeds(value, limits.payload_bytes)
        inputs = Payload.of({} if repeated else value)
        if repeated or len(inputs.data) > limits.payload_bytes:
            raise Failure("INPUT_TOO_LARGE", f"the inputs take more than {limits.payload_bytes} bytes")
        if step.idempotency_key is None and skill.side_effect and has_effect(skill.skill_id, True, inputs.value):
            raise Failure("IDEMPOTENCY_KEY_MISSING", NO_KEY, retryable=False)
        given = None
        if sensitive and touches(state, step.inputs):
            value = step.inputs.resolve(Revealed(state))
            given = Payload.of(value)
        context = _context(state, step, attempt) if skill.takes_context else None
        marks = marks_of(value, (given or inputs).data) if step.inputs.secrets else None
    except (UnresolvedReferenceError, TextTooLongError, NotCanonicalError, DataErasedError, Failure) as error:
        return Result(index, attempt, skill, None, failure_of(error, limits), executed=False)
    sealed = Sealed(marks, state.started.tenant) if marks else None
    return Call(index, attempt, skill, inputs, context, sealed, given=given, sensitive=sensitive)


def _context(state: SpecState, step: PlannedStep, attempt: int) -> StepContext:
    started = state.started
    key = f"{started.run_id}:{step.step_id}"
    if step.idempotency_key is not None:
        # It goes to the skill alone. A placeholder would be the same for all that it stands for.
        key = step.idempotency_key.resolve(Revealed(state) if touches(state, step.idempotency_key) else state)
    return StepContext(
        run_id=started.run_id,
        step_id=step.step_id,
        index=step.index,
        seed=step_seed(started.seed, step.index),
        attempt=attempt,
        idempotency_key=key,
        outputs=Outputs(state, step),
        progress=told_before(state, step.index),
    )


def told_before(state: RunState, index: StepIndex) -> Any:
    """What the last attempt at a step told of its progress."""
    told = state.progress.get(index)
    return None if told is None else told.revealed().fresh()["details"]


def call_inline(call: Call, limits: Limits, vault: Vault = NO_SECRETS) -> Result:
    """Call the skill on this thread and wait for it; only for `inline` skills, or from a thread of its own."""
    entered = enter(call.work)
    try:
        arguments = _bound(call, vault)
        output = _outcome(call, call.skill.function(**arguments), limits)
    except BaseException as error:
        # On the main thread it is the user who wants to stop; elsewhere only a skill can have raised it.
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        return _failed(call, error, limits)
    finally:
        leave(call.work, entered)
    return _ended(call, output)


async def _call_async(call: Call, limits: Limits, vault: Vault, pool: ThreadPool) -> Result:
    enter(call.work)  # For good: the task has a context of its own.
    try:
        # Where secrets come from may take its time.
        at_once = call.secrets is None and call.erased is None
        arguments = _bound(call, vault) if at_once else await pool.run(lambda: _bound(call, vault))
        output = _outcome(call, await call.skill.function(**arguments), limits)
    except (
        BaseException
    ) as error:  # a Ctrl-C reaches the event loop, not a skill: whatever comes here is the skill's own
        return _failed(call, error, limits)
    return _ended(call, output)


def _ended(call: Call, output: Payload | Cause | Waiting) -> Result:
    charged = None if call.context is None else call.context.pulse.charged
    if call.work is not None and call.work.span is not None:
        call.work.span.stop()
    return Result(call.index, call.attempt, call.skill, call.inputs, output, executed=True, charged=charged)


def _bound(call: Call, vault: Vault) -> dict[str, Any]:
    """The skill's arguments, with the secrets that it asks for."""
    if call.erased is not None:
        # Where that cannot be told, nothing could be recorded either.
        with suppress(StoreError):
            if call.erased():
                raise DataErasedError("the data was erased")
    sealed, inputs = call.secrets, call.inputs if call.given is None else call.given
    if sealed is None:
        return call.skill.binder(inputs.data, call.context)
    data, call.mask = opened(sealed, inputs, vault)
    return bound_secretly(call.skill, data, sealed, inputs, call.context)


def _outcome(call: Call, returned: Any, limits: Limits) -> Payload | Waiting:
    if isinstance(returned, Wait):
        if call.mask is not None:
            check_wait(returned, call.mask)
        if call.given is not None:
            check_sensitive_wait(returned)
        output = _masked(call, output_of(returned.output, limits.payload_bytes))
        return Waiting(returned, output, call.given is not None)
    return _masked(call, output_of(returned, limits.payload_bytes))


def _masked(call: Call, payload: Payload) -> Payload:
    return payload if call.mask is None else call.mask.payload(payload)


def _failed(call: Call, error: BaseException, limits: Limits) -> Result:
    failure = failure_of(error, limits, call.skill.failures, call.mask)
    result = _ended(call, failure)
    result.executed = failure.code not in _NOT_CALLED
    return result


_NOT_CALLED = {"DATA_ERASED", "SKILL_INPUT_INVALID", "SECRET_MISSING", "SECRET_REFUSED", "SECRET_UNAVAILABLE"}


def failure_of(
    error: BaseException, limits: Limits, catalog: FailureCatalog | None = None, mask: Mask | None = None
) -> Cause:
    """The failure that an exception stands for, with a code of `catalog`, which is without one that of Refold's codes.

    A Failure names its code, our other errors carry one, and known exceptions of others have theirs; anything else is a
    SKILL_ERROR, and so is a Failure whose code is not in the catalog: its message then begins with the code.
    Secrets are kept out of it by `mask`.
    """
    known = _BUILT_IN if catalog is None else catalog
    message, named, retryable = _told(error)
    if mask is not None and isinstance(named, str) and mask.named_in_text(named):
        named = None
    found = known.find(named)
    if found is None:
        # A mere RefoldError says nothing of what went wrong.
        ours = error.code if isinstance(error, RefoldError) and error.code != RefoldError.code else None
        found = known.find(ours or code_of(error)) or known.entry("SKILL_ERROR")
        if ours is None:
            name = named if is_code(named) else type(error).__name__
            message = f"{name}: {message}" if message else str(name)
    if mask is not None:
        message = mask.text(message)  # Before it is shortened: half a secret would not be found.
    # Messages are stored: text that is no UTF-8 could not be, and a whole dump of something should not.
    text = message[: limits.message_characters].encode("utf-8", "replace").decode()
    return Cause(found.code, text, found.retryable if retryable is None else bool(retryable))


def _told(error: BaseException) -> tuple[str, object, object]:
    """What an error says of itself, its code and whether it is retryable; a user's class may fail at each of them."""
    try:
        message = str(error)
    except Exception:
        message = ""
    if not isinstance(error, Failure):
        return message, None, None
    return message, getattr(error, "step_code", None), getattr(error, "retryable", None)


LISTEN_SECONDS = 1.0
"""How often a running attempt is asked how far it is."""


class Attempt:
    """A skill running beside the event loop. `ended` is called once with the result, unless it is cancelled first.

    `progressed` is called with what the skill tells by its heartbeats.
    """

    def __init__(
        self,
        call: Call,
        timeout: float | None,
        limits: Limits,
        pool: ThreadPool,
        ended: Callable[[Result], None],
        progressed: Callable[[StepIndex, int, Payload], None],
        vault: Vault = NO_SECRETS,
    ):
        self._call = call
        self._limits = limits
        self._vault = vault
        self._ended: Callable[[Result], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self._timer = None if timeout is None else self._loop.call_later(timeout, self._time_out, timeout)
        self._timeout = timeout
        self._task: asyncio.Task[Result] | None = None
        self._progressed = progressed
        self._listener: asyncio.TimerHandle | None = None
        if call.context is not None or call.skill.heartbeat_seconds is not None:
            self._listen()
        if call.skill.is_async:
            self._task = self._loop.create_task(_call_async(call, limits, vault, pool))
            self._task.add_done_callback(self._task_done)
        else:
            pool.submit(self._run)

    def cancel(self) -> None:
        """Stop the skill where that is possible (an async one), and ignore whatever comes of it."""
        self._ended = None
        self._quiet()
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        result = call_inline(self._call, self._limits, self._vault)
        with suppress(RuntimeError):  # The loop was closed: nobody is waiting any more.
            self._loop.call_soon_threadsafe(self._settle, result)

    def _task_done(self, task: asyncio.Task[Result]) -> None:
        if self._timer is not None and self._timeout is not None and self._loop.time() >= self._timer.when():
            self._time_out(self._timeout)  # The skill kept the loop from noticing in time.
        elif task.cancelled():
            error = Failure("SKILL_CANCELLED", "the skill was cancelled from outside")
            self._settle(_failed(self._call, error, self._limits))
        elif (error := task.exception()) is not None:
            self._settle(_failed(self._call, error, self._limits))
        else:
            self._settle(task.result())

    def _time_out(self, seconds: float) -> None:
        self._fail("STEP_TIMEOUT", f"the attempt took longer than {seconds:g} s")

    def _fail(self, code: str, reason: str) -> None:
        failure = Cause(code, reason, retryable=True)
        call = self._call
        ended = self._ended
        self.cancel()
        if ended is not None:
            ended(_ended(call, failure))

    def _settle(self, result: Result) -> None:
        ended = self._ended
        if ended is not None:
            self._ended = None
            self._quiet()
            ended(result)

    def _quiet(self) -> None:
        for timer in (self._timer, self._listener):
            if timer is not None:
                timer.cancel()

    def _listen(self) -> None:
        """Feel the pulse, now and then: pass on what the skill tells, and end the attempt when it has gone silent."""
        call, limit = self._call, self._call.skill.heartbeat_seconds
        pulse = None if call.context is None else call.context.pulse
        if limit is not None and pulse is not None and time.monotonic() - pulse.at > limit:
            self._fail("HEARTBEAT_MISSED", f"no heartbeat for more than {limit:g} s")
            return
        if pulse is not None and (details := pulse.take()) is not None:
            told = _masked(call, details)
            if call.sensitive:
                told = hide(told, "progress")
            self._progressed(call.index, call.attempt, told)
        pause = LISTEN_SECONDS if limit is None else min(LISTEN_SECONDS, limit / 4)
        self._listener = self._loop.call_later(pause, self._listen)
