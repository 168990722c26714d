"""A handle of a run: what can be asked of it, and told to it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast
from uuid import uuid4

from ...core.canonical import Payload
from ...core.errors import CallError, Problem, RunFailedError
from ...core.ids import check_queue, check_run_id
from ...core.results import StepResult
from ...core.runtime.answering import ANSWER_SECONDS
from ...core.runtime.payloads import Reader
from .gateway import Gateway, Origin, RunInfo

T = TypeVar("T")

LOOK_SECONDS = 30.0
"""After how long a wait for a result looks at the run itself, whatever it was told."""


class RunHandle(Generic[T]):
    """A run, by its id. Its calls raise RunNotFoundError when there is none."""

    def __init__(self, run_id: str, gateway: Callable[[], Coroutine[Any, Any, Gateway]], reader: Reader):
        self.run_id = run_id
        self._gateway = gateway
        self._reader = reader

    def __repr__(self) -> str:
        return f"RunHandle({self.run_id!r})"

    async def result(self, timeout: float | None = None) -> T:  # noqa: ASYNC109 - as concurrent.futures has it
        """The output of the run, once it has completed: that of the run that continues it, if one does.

        Raises RunFailedError when it has not completed, TimeoutError after `timeout` seconds: the run goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        run_id = self.run_id
        gateway = await self._gateway()
        info = RunInfo.read(await gateway.look(run_id))
        while not info.ended or info.continued_as is not None:
            if info.continued_as is not None:
                run_id = info.continued_as
            left = LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"run {run_id} is {info.status} after {timeout:g} s")
            info = RunInfo.read(await gateway.wait(run_id, min(left, LOOK_SECONDS)))
        if info.status != "completed":
            raise RunFailedError(run_id, info.status, info.error_code, info.message)
        return cast("T", self._reader(Payload.of(info.output)))

    async def describe(self) -> RunInfo:
        """The run as it stands, folded from its log."""
        return RunInfo.read(await (await self._gateway()).look(self.run_id))

    async def status(self) -> str:
        """Where it stands: queued, running, waiting, paused, parked, completed, failed, cancelled, timed_out or
        rejected."""
        return (await self.describe()).status

    async def steps(self) -> tuple[StepResult, ...]:
        """Its steps as they stand."""
        return (await self.describe()).steps

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> None:
        """Send the signal `name` with a JSON `payload`: what waits for it, now or later, gets the payload.

        The same `key` again is the same signal. Raises RunEndedError.
        """
        await (await self._gateway()).signal(self.run_id, name, payload, key or uuid4().hex)

    async def query(self, name: str, **arguments: Any) -> Any:
        """What the run's function answers to the query `name`. `Client.query` can be told how long to wait."""
        return await (await self._gateway()).query(self.run_id, name, arguments, ANSWER_SECONDS)

    async def events(self, after: int = 0, *, follow: bool = False) -> AsyncGenerator[Mapping[str, Any]]:
        """Its events after version `after`, as docs/api.md has them: those that there are; with `follow` each as it is
        recorded, none missing and none twice, to the run's end. A lost connection is taken up again."""
        if not 0 <= after < 2**53:
            raise CallError(Problem("", f"no event has version {after}", "take that of an event, or 0"))
        async with aclosing((await self._gateway()).events(self.run_id, after, follow=follow)) as events:
            async for event in events:
                yield event

    async def fork(
        self,
        from_step: str | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        new_id: str | None = None,
        queue: str | None = None,
    ) -> RunHandle[T]:
        """A new run that takes over what this one, ended or not, has recorded, but for the step `from_step`, what
        follows from it, and what follows from `changes`: values by JSON pointer, such as `/inputs/item`.

        It waits for workers of `queue` (None: this one's). Raises CallError, RunConflictError.
        """
        return await self._forked(Origin(self.run_id, False, from_step, changes or {}, new_id, queue))

    async def retry(self, *, new_id: str | None = None, queue: str | None = None) -> RunHandle[T]:
        """A new run that goes on where this one failed. Raises CallError when it has not failed, RunConflictError."""
        return await self._forked(Origin(self.run_id, True, None, {}, new_id, queue))

    async def verify(self) -> Mapping[str, Any]:
        """Whether its stored bytes are intact and fold to the recorded hashes: `ok`, and what was found of `chain` and
        `fold`. Nothing is executed."""
        return await (await self._gateway()).verify(self.run_id)

    async def cancel(self, reason: str = "", *, force: bool = False) -> None:
        """Ask the run to stop. A function may clean up first; with `force` it is not asked. Raises RunEndedError."""
        await (await self._gateway()).tell("cancel", self.run_id, uuid4().hex, reason, force=force)

    async def pause(self, reason: str = "") -> None:
        """Let running steps end, and nothing new start, until `resume`. Raises RunEndedError."""
        await (await self._gateway()).tell("pause", self.run_id, uuid4().hex, reason)

    async def resume(self) -> None:
        """Have workers go on with a paused or parked run. Raises RunEndedError."""
        await (await self._gateway()).tell("resume", self.run_id, uuid4().hex)

    async def _forked(self, origin: Origin) -> RunHandle[T]:
        if origin.new_id is not None:
            check_run_id(origin.new_id)
        if origin.queue is not None:
            check_queue(origin.queue)
        info = RunInfo.read(await (await self._gateway()).fork(origin))
        return RunHandle(info.run_id, self._gateway, self._reader)
