"""The one protocol by which a client reaches runs, whether the store itself or a server stands behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from ...core.results import StepResult
from ...core.runtime.admission import DEFAULT_QUEUE
from ...core.runtime.functions.workflow import Workflow
from ...core.spec import WorkflowSpec
from .filters import Wanted

Startable = Workflow[..., Any] | WorkflowSpec | Mapping[str, Any] | str
"""What a client can start: a workflow function, a spec, or either by name."""

Verb = Literal["cancel", "pause", "resume"]
"""What a run can be told."""

ENDS = frozenset({"completed", "failed", "cancelled", "timed_out", "rejected"})
"""The statuses that stay."""


class Order(NamedTuple):
    """A run to be started."""

    what: Startable
    run_id: str
    inputs: Mapping[str, Any]
    seed: int = 0
    queue: str = DEFAULT_QUEUE
    priority: int = 0


class Origin(NamedTuple):
    """A run to be made of the run `run_id`: its fork, or (`retry`) another try of what failed. `new_id` None: one is
    made; `queue` None: that of the old run."""

    run_id: str
    retry: bool
    from_step: str | None
    changes: Mapping[str, Any]
    new_id: str | None
    queue: str | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it stands. `raw` is the whole of what is known, as the HTTP API answers it (docs/api.md)."""

    run_id: str
    workflow_type: str
    status: str
    output: Any
    error_code: str | None
    message: str | None
    continued_as: str | None
    attributes: Mapping[str, Any]
    steps: tuple[StepResult, ...]
    raw: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status in ENDS

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> RunInfo:
        """The run that a gateway tells of."""
        steps = tuple(StepResult(**step) for step in raw["steps"])
        names = ("run_id", "workflow_type", "status", "output", "error_code", "message", "continued_as", "attributes")
        return cls(**{name: raw[name] for name in names}, steps=steps, raw=raw)


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a list; times are ISO 8601 in UTC, None where they are not known."""

    run_id: str
    workflow_type: str | None
    workflow_version: str | None
    status: str
    agent_id: str | None
    queue: str | None
    error_code: str | None
    started_at: str | None
    ended_at: str | None
    events: int
    parent: str | None
    forked_from: str | None = None


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, latest started first; the list goes on at `next_cursor`, None at its end."""

    runs: tuple[ListedRun, ...]
    next_cursor: str | None


class Gateway(Protocol):
    """Starts runs and talks to them. What is told of a run is the JSON object of docs/api.md."""

    async def start(self, order: Order) -> Mapping[str, Any]:
        """Record the run; what is told is how it stands. The same order again is the same run."""
        ...

    async def look(self, run_id: str) -> Mapping[str, Any]:
        """The run as it stands. Raises RunNotFoundError."""
        ...

    async def wait(self, run_id: str, seconds: float) -> Mapping[str, Any]:
        """The run as it stands when it has ended, or after `seconds`, or some time before."""
        ...

    async def signal(self, run_id: str, name: str, payload: Any, key: str) -> None:
        """Send a signal; the same key again is the same signal."""
        ...

    async def tell(self, verb: Verb, run_id: str, key: str, reason: str = "", *, force: bool = False) -> None:
        """Send a message; `reason` goes with cancel and pause, `force` with cancel."""
        ...

    async def query(self, run_id: str, name: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        """What the run answers to a query, within `seconds`."""
        ...

    async def decide(self, run_id: str, act: Mapping[str, Any]) -> Mapping[str, Any]:
        """Decide on an approval: `action`, `by`, `step_id`, `comment`, `to`, `key`; what is told is how it stands."""
        ...

    async def approvals(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        """The approvals of a run."""
        ...

    async def page(self, wanted: Wanted, limit: int, cursor: str | None) -> RunList:
        """A page of the runs that are wanted."""
        ...

    async def counts(self, wanted: Wanted) -> Mapping[str, int]:
        """How many of the runs that are wanted have which status."""
        ...

    def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Mapping[str, Any]]:
        """The run's events after version `after`: those that there are, or as they come, to its end."""
        ...

    async def fork(self, origin: Origin) -> Mapping[str, Any]:
        """Record the new run; what is told is how it stands."""
        ...

    async def diff(self, a: str, b: str) -> Mapping[str, Any]:
        """In what two runs differ."""
        ...

    async def verify(self, run_id: str) -> Mapping[str, Any]:
        """The verdict on a run."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
