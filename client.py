"""How other programs start runs and talk to them: on the store itself, or over HTTP. Nothing is executed here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast, overload
from uuid import uuid4

import uuid_utils

from .api.client.gateway import Gateway, Order, RunInfo, RunList, Startable
from .api.client.store import StoreGateway
from .compose import WorkflowEngine, database_url, open_store
from .core.canonical import Payload
from .core.errors import CallError, Problem, RunFailedError
from .core.ids import check_run_id, check_tenant
from .core.results import StepResult
from .core.runtime.admission import DEFAULT_QUEUE
from .core.runtime.answering import ANSWER_SECONDS
from .core.runtime.functions.workflow import Workflow
from .core.runtime.payloads import Reader
from .core.spec import WorkflowSpec
from .eventstore.store import Store

T = TypeVar("T")

LOOK_SECONDS = 30.0
"""After how long a wait for a result looks at the run itself, whatever it was told."""


class Client:
    """Starts runs, which workers elsewhere execute, and talks to them.

    `url` is a database's (`postgresql://…`, `sqlite:///file.db`; None: REFOLD_DATABASE_URL, else the file in the
    current folder) or a server's (`http://…`, see `refold serve`). It may be a store, which is left open. `tenant` is
    whose runs they are; a server knows that itself. `patience` is for how many seconds a database or server that does
    not answer is asked again.

    An asynchronous context manager, for one event loop; what it needs is opened when it is first used. All its calls
    raise StoreUnreachableError, and CallError for what cannot be asked.
    """

    def __init__(self, url: str | Store | None = None, *, tenant: str = "default", patience: float = 30.0):
        self._url = database_url(url) if url is None or isinstance(url, str) else url
        self._tenant = check_tenant(tenant)
        self._patience = patience
        self._opening: asyncio.Task[Gateway] | None = None
        self._closed = False
        if isinstance(self._url, str):
            _check_url(self._url, tenant)

    @overload
    async def start(
        self,
        what: Workflow[..., T],
        *args: Any,
        run_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        seed: int = 0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        **arguments: Any,
    ) -> RunHandle[T]: ...
    @overload
    async def start(
        self,
        what: WorkflowSpec | Mapping[str, Any] | str,
        *,
        run_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        seed: int = 0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        **arguments: Any,
    ) -> RunHandle[Any]: ...
    async def start(
        self,
        what: Startable,
        *args: Any,
        run_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        seed: int = 0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        **arguments: Any,
    ) -> RunHandle[Any]:
        """Record a run for workers of `queue`, higher `priority` first, and return a handle of it.

        `what` is a workflow function with the arguments of a call; or a spec, or the name of either (`type` or
        `type#version`), with inputs by name. `inputs` is the other way to give them, for names that this method uses
        itself. Again with the same `run_id`, it is the same run. Raises SpecError, RunConflictError, and TypeError for
        arguments that the function does not take.
        """
        given = _inputs_of(what, args, {**(inputs or {}), **arguments})
        name = str(uuid_utils.uuid7()) if run_id is None else check_run_id(run_id)
        await (await self._gateway()).start(Order(what, name, given, seed, queue, priority))
        return RunHandle(name, self._gateway, _reader_of(what))

    @overload
    async def execute(
        self,
        what: Workflow[..., T],
        *args: Any,
        run_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        seed: int = 0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        **arguments: Any,
    ) -> T: ...
    @overload
    async def execute(
        self,
        what: WorkflowSpec | Mapping[str, Any] | str,
        *,
        run_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        seed: int = 0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        **arguments: Any,
    ) -> Any: ...
    async def execute(self, what: Any, *args: Any, **options: Any) -> Any:
        """`start`, and then the result of the run, waited for. Raises as both do."""
        return await (await self.start(what, *args, **options)).result()

    @overload
    def get_handle(self, run_id: str, workflow: Workflow[..., T]) -> RunHandle[T]: ...
    @overload
    def get_handle(self, run_id: str, workflow: None = None) -> RunHandle[Any]: ...
    def get_handle(self, run_id: str, workflow: Workflow[..., Any] | None = None) -> RunHandle[Any]:
        """A handle of a run that somebody started; with its `workflow` the result is read into the annotated type.

        Nothing is asked: whether there is such a run shows when the handle is used.
        """
        return RunHandle(check_run_id(run_id), self._gateway, _reader_of(workflow))

    async def signal(self, run_id: str, name: str, payload: Any = None, *, key: str | None = None) -> None:
        """See `RunHandle.signal`."""
        await self.get_handle(run_id).signal(name, payload, key=key)

    async def query(
        self,
        run_id: str,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109 - the worker is told, and what is open is withdrawn
    ) -> Any:
        """What the run's function answers to the query `name`, as its history stands; a worker that has it is asked.

        Waits at most `timeout` seconds. Raises RunNotFoundError, QueryUnansweredError.
        """
        return await (await self._gateway()).query(check_run_id(run_id), name, arguments or {}, timeout)

    async def decide(
        self,
        run_id: str,
        step_id: str | None,
        action: str,
        by: str,
        comment: str = "",
        to: str | None = None,
        *,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        """Grant, reject, delegate (`to` somebody) or comment on the approval that a step of a run waits for; what is
        told is how it stands then, as docs/api.md has it. None as the step: the only open one.

        The same `key` again is the same decision. Raises ApprovalNotFoundError, ApproverUnknownError,
        ApprovalDecidedError, DelegationRefusedError.
        """
        act = {"step_id": step_id, "action": action, "by": by, "comment": comment, "to": to, "key": key or uuid4().hex}
        return await (await self._gateway()).decide(check_run_id(run_id), act)

    async def approvals(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        """The approvals of a run as they stand, decided ones too."""
        return await (await self._gateway()).approvals(check_run_id(run_id))

    async def cancel(self, run_id: str, reason: str = "", *, force: bool = False) -> None:
        """See `RunHandle.cancel`."""
        await self.get_handle(run_id).cancel(reason, force=force)

    async def list(
        self,
        *,
        status: str | None = None,
        attributes: Mapping[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunList:
        """A page of runs, latest started first, that have the status and all of these attributes.

        It goes on at its `next_cursor`. A page may hold fewer than `limit` runs and still not be the last.
        """
        return await (await self._gateway()).page(status, attributes or {}, limit, cursor)

    async def close(self) -> None:
        """Close what was opened; the runs go on."""
        self._closed = True
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await (await opening).close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _gateway(self) -> Gateway:
        if self._closed:
            raise CallError(Problem("", "the client is closed", "make another one"))
        if self._opening is None or (self._opening.done() and _failed(self._opening)):
            self._opening = asyncio.get_running_loop().create_task(self._open())
        # Several may wait for it, and that one of them gives up is no reason not to open it.
        return await asyncio.shield(self._opening)

    async def _open(self) -> Gateway:
        url = self._url
        if isinstance(url, str) and url.startswith(_HTTP):
            from .api.client.http import HttpGateway

            return HttpGateway(url, self._patience)
        store = await asyncio.to_thread(open_store, url) if isinstance(url, str) else url
        engine = WorkflowEngine(store, patience=self._patience, parks=True)

        async def close() -> None:
            await engine.close()
            if isinstance(url, str):
                await asyncio.to_thread(store.close)

        return StoreGateway(engine, store, self._tenant, close)


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

    async def cancel(self, reason: str = "", *, force: bool = False) -> None:
        """Ask the run to stop. A function may clean up first; with `force` it is not asked. Raises RunEndedError."""
        await (await self._gateway()).tell("cancel", self.run_id, uuid4().hex, reason, force=force)

    async def pause(self, reason: str = "") -> None:
        """Let running steps end, and nothing new start, until `resume`. Raises RunEndedError."""
        await (await self._gateway()).tell("pause", self.run_id, uuid4().hex, reason)

    async def resume(self) -> None:
        """Have workers go on with a paused or parked run. Raises RunEndedError."""
        await (await self._gateway()).tell("resume", self.run_id, uuid4().hex)


_HTTP = ("http://", "https://")


def _check_url(url: str, tenant: str) -> None:
    if url.partition(":")[0] == "memory":
        reason = "nobody else could see a store in memory of the client's own"
        raise CallError(Problem("", reason, "name a database, or hand over the store"))
    if url.startswith(_HTTP) and tenant != "default":
        raise CallError(Problem("", "over HTTP the server says whose runs they are", "leave the tenant out"))
    if not url.startswith((*_HTTP, "sqlite:", "postgresql:", "postgres:")):
        fix = "use http://host:port, postgresql://user:password@host/database or sqlite:///file.db"
        raise CallError(Problem("", "the URL is neither a server's nor a database's", fix))


def _inputs_of(what: Startable, args: tuple[Any, ...], named: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(what, Workflow):
        return what.inputs_of(*args, **named).fresh()
    if args:
        fix = "give inputs by name, or the workflow function itself"
        raise CallError(Problem("", "a spec, or a name, takes no positional arguments", fix))
    return named


def _reader_of(what: object) -> Reader:
    return what.reader if isinstance(what, Workflow) else Payload.fresh


def _failed(opening: asyncio.Task[Gateway]) -> bool:
    return opening.cancelled() or opening.exception() is not None
