"""How other programs start runs and talk to them: on the store itself, or over HTTP. Nothing is executed here."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload
from urllib.parse import urlsplit
from uuid import uuid4

import uuid_utils

from .api.client.filters import RunsWanted, Wanted
from .api.client.gateway import Gateway, Order, RunList, Startable
from .api.client.handle import RunHandle
from .api.client.store import StoreGateway
from .compose import WorkflowEngine, database_url, open_store
from .core.canonical import Payload
from .core.errors import CallError, Problem
from .core.ids import check_run_id, check_tenant
from .core.runtime.admission import DEFAULT_QUEUE
from .core.runtime.answering import ANSWER_SECONDS
from .core.runtime.functions.workflow import Workflow
from .core.runtime.payloads import Reader
from .core.spec import WorkflowSpec
from .eventstore.store import Store

T = TypeVar("T")

API_KEY = "REFOLD_API_KEY"
"""The environment variable that holds the key for servers, unless one is given."""


class Client:
    """Starts runs, which workers elsewhere execute, and talks to them.

    `url` is a database's (`postgresql://…`, `sqlite:///file.db`; None: REFOLD_DATABASE_URL, else the file in the
    current folder) or a server's (`http://…`, see `refold serve`). It may be a store, which is left open. `tenant` is
    whose runs they are (None: `default`, and over HTTP that of the key); `api_key` is what a server is shown (None:
    REFOLD_API_KEY, if it is set). `patience` is for how many seconds a database or server that does not answer, or puts
    the client off, is asked again.

    An asynchronous context manager, for one event loop; what it needs is opened when it is first used. All its calls
    raise StoreUnreachableError, and CallError for what cannot be asked; over HTTP CredentialsRefusedError and
    ScopeMissingError too.
    """

    def __init__(
        self,
        url: str | Store | None = None,
        *,
        tenant: str | None = None,
        api_key: str | None = None,
        patience: float = 30.0,
    ):
        self._url = database_url(url) if url is None or isinstance(url, str) else url
        self._tenant = None if tenant is None else check_tenant(tenant)
        self._key = _key_for(self._url, api_key)
        self._patience = patience
        self._opening: asyncio.Task[Gateway] | None = None
        self._closed = False
        if isinstance(self._url, str):
            _check_url(self._url)

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

    def events(self, run_id: str, after: int = 0, *, follow: bool = False) -> AsyncGenerator[Mapping[str, Any]]:
        """See `RunHandle.events`."""
        return self.get_handle(run_id).events(after, follow=follow)

    async def fork(
        self,
        run_id: str,
        from_step: str | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        new_id: str | None = None,
        queue: str | None = None,
    ) -> RunHandle[Any]:
        """See `RunHandle.fork`."""
        return await self.get_handle(run_id).fork(from_step, changes, new_id=new_id, queue=queue)

    async def retry(self, run_id: str, *, new_id: str | None = None, queue: str | None = None) -> RunHandle[Any]:
        """See `RunHandle.retry`."""
        return await self.get_handle(run_id).retry(new_id=new_id, queue=queue)

    async def verify(self, run_id: str) -> Mapping[str, Any]:
        """See `RunHandle.verify`."""
        return await self.get_handle(run_id).verify()

    async def diff(self, a: str, b: str) -> Mapping[str, Any]:
        """In what the runs `a` and `b` differ: whether they are `equal`, the `first` difference, and all of them, as
        docs/api.md has it. Both are verified before. Raises RunNotFoundError."""
        return await (await self._gateway()).diff(check_run_id(a), check_run_id(b))

    async def list(self, *, limit: int = 50, cursor: str | None = None, **wanted: Unpack[RunsWanted]) -> RunList:
        """A page of at most `limit` (1 to 200) of the runs that are wanted (see `RunsWanted`), latest started first.

        It goes on at its `next_cursor`. A page may hold fewer than `limit` runs and still not be the last.
        """
        chosen = Wanted.read(wanted)
        if not 1 <= limit <= 200:
            raise CallError(Problem("", f"a page cannot have {limit} runs", "ask for 1 to 200"))
        return await (await self._gateway()).page(chosen, limit, cursor)

    async def counts(self, **wanted: Unpack[RunsWanted]) -> Mapping[str, int]:
        """How many of the runs that are wanted (see `RunsWanted`) have which status; those of none are left out."""
        chosen = Wanted.read(wanted)
        return await (await self._gateway()).counts(chosen)

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

            return HttpGateway(url, self._patience, api_key=self._key, tenant=self._tenant)
        store = await asyncio.to_thread(open_store, url) if isinstance(url, str) else url
        engine = WorkflowEngine(store, patience=self._patience, parks=True)

        async def close() -> None:
            await engine.close()
            if isinstance(url, str):
                await asyncio.to_thread(store.close)

        return StoreGateway(engine, store, self._tenant or DEFAULT_TENANT, self._patience, close)


DEFAULT_TENANT = "default"
"""Whose runs they are on a store, unless it is said."""

_HTTP = ("http://", "https://")
_KEY = re.compile(r"[\x21-\x7e]{1,20000}")


def _key_for(url: str | Store, given: str | None) -> str | None:
    """The key that a server is shown. What is wrong with one does not show it."""
    http = isinstance(url, str) and url.startswith(_HTTP)
    if not http and given is not None:
        raise CallError(Problem("", "a database takes no key of a server", "put its password into the URL"))
    key = given if given is not None else os.environ.get(API_KEY, "").strip() or None
    if http and key is not None and not _KEY.fullmatch(key):
        raise CallError(Problem("", "the key is no text of printable characters without spaces", "copy it as it is"))
    return key if http else None


def _check_url(url: str) -> None:
    if url.partition(":")[0] == "memory":
        reason = "nobody else could see a store in memory of the client's own"
        raise CallError(Problem("", reason, "name a database, or hand over the store"))
    if url.startswith(_HTTP) and "@" in urlsplit(url).netloc:
        raise CallError(Problem("", "the URL of a server has a name or password in it", "give the key as api_key"))
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
