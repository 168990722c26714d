"""Wiring: a store, its journal and an engine, from a database URL."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from .core.emergency import Stop
from .core.errors import CallError, Problem
from .core.histogram import Histogram
from .core.ids import check_queue
from .core.limits import Limits
from .core.policy.document import Policy
from .core.ports import Clock, Timers
from .core.runtime.admission import DEFAULT_QUEUE
from .core.runtime.engine import LEASE_SECONDS, Engine
from .core.runtime.gate import PolicySource
from .core.runtime.policy_file import PolicyFile
from .core.runtime.registry import SkillRegistry
from .core.runtime.scheduling.schedules import Schedules
from .core.runtime.secret_sources import Vault
from .core.runtime.services import Observer
from .core.runtime.tracing import Tracer
from .eventstore.archive_files import ArchiveFolder
from .eventstore.data_keys import DataKeys
from .eventstore.journal import DirectJournal, Journal
from .eventstore.log import EventLog
from .eventstore.master_keys import MasterKeys, version_of
from .eventstore.memory import MemoryStore
from .eventstore.owner import this_process
from .eventstore.sealing import Sealer
from .eventstore.store import Store
from .eventstore.tiered import TieredStore
from .ops.tracing import open_tracer
from .projections.checkpoints import RunCheckpoints

DEFAULT_URL = "sqlite:///refold.db"
"""The embedded store in the current folder."""

BUILD = "refold 0.1.0"
"""What every event says of the program that wrote it; REFOLD_BUILD adds the user's own label."""


def database_url(url: str | None = None) -> str:
    """`url`, else REFOLD_DATABASE_URL, else the embedded store in the current folder."""
    return url or os.environ.get("REFOLD_DATABASE_URL") or DEFAULT_URL


def archive_folder(url: str | None = None) -> Path | None:
    """Where the archives of the store at `url` lie: REFOLD_ARCHIVE, else beside a SQLite file as `NAME-archive`; None
    for another database while nobody has said where."""
    if named := os.environ.get("REFOLD_ARCHIVE"):
        return Path(named)
    scheme, _, rest = database_url(url).partition(":")
    if scheme != "sqlite" or len(rest) <= 3:
        return None
    return Path(f"{unquote(rest[3:])}-archive")


DEFAULT_SECRETS = "env:REFOLD_SECRET_"
"""Where secrets come from while nobody has said."""


DATA_KEYS = "REFOLD_DATA_KEYS"
"""The environment variable that names the file of keys for sensitive data."""


def data_keys_of(store: Store, path: str | Path | None = None) -> DataKeys:
    """The keys of the runs in a store that hold sensitive data, with the master keys in the file at `path`, else at
    REFOLD_DATA_KEYS. The file is read when it is first needed, and again when it has changed; every use then raises
    DataKeyError if it is no good."""
    named = path or os.environ.get(DATA_KEYS)
    found: list[tuple[object, MasterKeys]] = []

    def masters() -> MasterKeys | None:
        if not named:
            return None
        written = version_of(named)
        if not found or found[0][0] != written:
            found[:] = [(written, MasterKeys.load(named))]
        return found[0][1]

    return DataKeys(store.data_keys, masters)


def secret_vault() -> Vault:
    """Where secrets come from: what REFOLD_SECRETS says, else the environment. Raises CallError."""
    return Vault.parse(os.environ.get("REFOLD_SECRETS", DEFAULT_SECRETS))


def open_store(url: str | None = None, *, migrate: bool = True, archives: Path | None = None) -> Store:
    """The store at `url`: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://…` or `memory:`.

    Brings its schema up to date unless told otherwise. What lies in archives is read from the folder `archives`, else
    from that of `archive_folder`. Raises CallError for another scheme.
    """
    url = database_url(url)
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite" and rest.startswith("///") and len(rest) > 3:
        from .eventstore.sqlite import SQLiteStore

        store = SQLiteStore(Path(unquote(rest[3:])))
    elif scheme in ("postgresql", "postgres") and rest.startswith("//"):
        _check_postgres(url)
        from .eventstore.postgres import PostgresStore

        store = PostgresStore(url, accept_loss=os.environ.get("REFOLD_ACCEPT_LOSS") == "1")
    else:
        raise CallError(Problem("", _unknown(url), _FORMS))
    if migrate:
        try:
            store.migrate()
        except BaseException:
            store.close()
            raise
    return TieredStore(store, ArchiveFolder(archives or archive_folder(url)))


_FORMS = "use sqlite:///file.db, postgresql://user:password@host/database or memory:"


def _unknown(url: str) -> str:
    """Why a URL is none of ours; of the URL itself no more than the scheme is told, for it may hold a password."""
    scheme, colon, _ = url.partition(":")
    if scheme == "sqlite":
        return "a sqlite URL needs three slashes and the name of a file"
    if colon and re.fullmatch("[a-z+]+", scheme):
        return f"the database URL has the unknown form {scheme}:…"
    return "the database URL has an unknown form"


def _check_postgres(url: str) -> None:
    """Raises CallError for what libpq cannot read, without the part of the URL that its message repeats."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        ports = str(conninfo_to_dict(url).get("port") or "")
    except ProgrammingError as error:
        reason, quoted, _ = str(error).partition(': "')
        why = f": {reason}" if quoted else ""
    else:
        # As libpq sees it, what follows a / in a password that is not quoted is another host's port.
        if all(port.isdecimal() for port in ports.split(",") if port):
            return
        why = ": the port is no number"
    fix = f"{_FORMS}; write what is special in a password as %XX"
    raise CallError(Problem("", f"the database URL cannot be read{why}", fix))


def tune_process() -> None:
    """Set the interpreter up for a process that does little else than run workflows.

    What has been imported by now is left out of garbage collections, and these come less often: the default
    thresholds cost about a tenth of the engine's speed. Memory in use by cycles is found later; nothing leaks.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class WorkflowEngine(Engine):
    """An engine on the store at a database URL (see `open_store`), or on a store given.

    An asynchronous context manager: leaving it commits what is queued and closes what it opened.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        skills: SkillRegistry | None = None,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        lease_seconds: float = LEASE_SECONDS,
        observer: Observer | None = None,
        patience: float = 30.0,
        parks: bool = False,
        timers: Timers | None = None,
        policy: str | Path | Policy | None = None,
        secrets: Vault | Mapping[str, str] | None = None,
        data_keys: str | Path | None = None,
        tracer: Tracer | None = None,
    ):
        """`patience` is for how many seconds a store that does not answer is asked again. `policy` is the policy of
        this process, or the file that it is in (and that is looked at again and again), else REFOLD_POLICY names it.
        `secrets` are those that steps may ask for, by name, or where they come from; else REFOLD_SECRETS says so.
        `data_keys` is the file of keys for sensitive data, else REFOLD_DATA_KEYS names it. `tracer` is told of runs and
        steps; without one, OpenTelemetry's environment variables say where traces go, if anywhere."""
        vault = secret_vault() if secrets is None else Vault.of(secrets)
        self._opened_here = store is None or isinstance(store, str)
        self.store = open_store(store) if store is None or isinstance(store, str) else store
        label = os.environ.get("REFOLD_BUILD")
        self.data_keys = data_keys_of(self.store, data_keys)
        sealer = Sealer(f"{BUILD} {label}" if label else BUILD, cipher=self.data_keys)
        owner = this_process(sealer.writer)
        self._own_tracer = open_tracer() if tracer is None else None
        tracer = tracer or self._own_tracer
        self._own_journal = (
            DirectJournal(self.store, sealer, owner)
            if isinstance(self.store, MemoryStore)
            else Journal(self.store, sealer, owner, patience=patience, tracer=tracer)
        )
        log = EventLog(self.store, owner, self.data_keys)
        super().__init__(
            log,
            self._own_journal,
            skills if skills is not None else SkillRegistry(),
            clock=clock,
            limits=limits,
            lease_seconds=lease_seconds,
            observer=observer,
            parks=parks,
            timers=timers,
            checkpoints=RunCheckpoints(self.store.tables),
            policies=_policies(policy),
            by=f"{socket.gethostname()}, process {os.getpid()}",
            vault=vault,
            keys=self.data_keys,
            tracer=tracer,
        )
        self.schedules = Schedules(self, log, self._streams_needing)

    @property
    def append_seconds(self) -> Histogram:
        """How long appends of this process took."""
        return self._own_journal.seconds

    def _streams_needing(self, needs: str) -> list[str]:
        return [row.stream for row in self.store.dispatch.rows() if row.needs == needs]

    async def close(self) -> None:
        """Drop what still runs, commit what is queued, close what was opened here."""
        await super().close()
        self._own_journal.close()
        if self._opened_here:
            self.store.close()
        if self._own_tracer is not None:
            await asyncio.to_thread(self._own_tracer.close)

    def trace_skills(self) -> None:
        """Have spans that skills begin by OpenTelemetry's own interface go where the engine's go, unless the process
        has said already where: for processes that do little else than run workflows."""
        if self._own_tracer is not None:
            self._own_tracer.serve_skills()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Fixed:
    """A policy that does not change while the process lives."""

    def __init__(self, policy: Policy):
        self._policy = policy

    def current(self) -> Policy:
        """See `PolicySource.current`."""
        return self._policy


def _policies(policy: str | Path | Policy | None) -> PolicySource | None:
    if isinstance(policy, Policy):
        return _Fixed(policy)
    named = policy or os.environ.get("REFOLD_POLICY")
    return PolicyFile(named) if named else None


def check_process_policy() -> None:
    """Raises CallError for a file named by REFOLD_POLICY by which nobody can go."""
    _policies(None)


class Worker:
    """A worker on the store at a database URL, or on a store given: works on runs that `start` has recorded.

    worker = Worker("postgresql://…", skills, queues=["default"], concurrency=100)
    await worker.run()      # until worker.drain() is called, from a signal handler for instance
    """

    def __init__(
        self,
        store: str | Store | None = None,
        skills: SkillRegistry | None = None,
        *,
        queues: Sequence[str] = (DEFAULT_QUEUE,),
        concurrency: int = 100,
        lease_seconds: float = LEASE_SECONDS,
        clock: Clock | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
        patience: float = 30.0,
        pins: Mapping[str, Collection[str]] | None = None,
        policy: str | Path | Policy | None = None,
        secrets: Vault | Mapping[str, str] | None = None,
    ):
        """`concurrency` is how many runs are worked on at a time; `lease_seconds` after how long without a sign of
        life another worker may take them over. Of the workflow types in `pins` it serves the versions given only.
        `policy` and `secrets` as of `WorkflowEngine`."""
        self._engine = WorkflowEngine(
            store,
            skills,
            clock=clock,
            limits=limits,
            lease_seconds=lease_seconds,
            observer=observer,
            patience=patience,
            parks=True,
            policy=policy,
            secrets=secrets,
        )
        self._loop = self._engine.work_loop([check_queue(queue) for queue in queues], concurrency, BUILD, pins)

    def trace_skills(self) -> None:
        """See `WorkflowEngine.trace_skills`."""
        self._engine.trace_skills()

    @property
    def append_seconds(self) -> Histogram:
        """How long appends of this process took."""
        return self._engine.append_seconds

    @property
    def running(self) -> int:
        """How many runs it holds in memory."""
        return self._loop.running

    @property
    def stops(self) -> Sequence[Stop]:
        """The emergency stops that it heeds."""
        return self._engine.emergency.watch.stops.all()

    def drain(self) -> None:
        """Stop with grace: running steps end and are recorded, the runs are left to others, and `run` returns."""
        self._loop.drain()

    async def run(self) -> None:
        """Work until drained, then close what was opened."""
        try:
            await self._loop.run()
        finally:
            await self._engine.close()
