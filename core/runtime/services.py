"""What the actors of one engine share, and the protocol by which runs are connected with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..events import Event, RunEnd, RunStarted, StepCompleted, StepFailed
from ..limits import Limits
from ..ports import Ack, Append, Clock, DataKeyring, Journal, Timers, Unit
from ..run_state import RunState
from ..step_events import StepIndex
from .attempt import Result
from .clock import LoopTimers
from .emergency_watch import EmergencyWatch
from .gate import Gate
from .registry import SkillRegistry
from .relations import Handover, Letter
from .revealing import NO_SECRETS
from .run_spans import RunSpans, run_ended
from .secret_sources import Vault
from .threads import ThreadPool
from .tracing import Tracer

Observer = Callable[[str, int, Event], None]
"""Told of every event once it is durable: stream, version, event."""


class Family(Protocol):
    """What connects runs with each other."""

    async def admit(self, parent: RunState, step: Any, result: Result) -> Result:
        """`result` with the first event of the child it asks for, or with the failure that there can be none."""
        ...

    def append(
        self, unit: Unit, letters: Sequence[Letter], legacy: Handover | None, done: Callable[[Ack], None]
    ) -> None:
        """Commit `unit` together with messages to other runs, and with what a run leaves to its successor."""
        ...

    def began(self, stream: str) -> None:
        """A run has been begun, durably."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all actors of an engine share.

    With `parks`, runs with nothing to do for a while leave memory. `family` connects runs with each other. `recorded`
    holds outcomes to serve instead of executing (for a replay). Attempts go through the `gate`, if there is one, and
    under no stop of `emergency` do they begin. From `vault` calls get the secrets that they ask for. By `keys` is known
    whether sensitive data were erased while a run was in memory. `tracer` is told of runs and steps.
    """

    journal: Journal
    skills: SkillRegistry
    clock: Clock
    limits: Limits
    pool: ThreadPool
    lease_seconds: float
    observer: Observer | None = None
    parks: bool = False
    family: Family | None = None
    recorded: Mapping[StepIndex, StepCompleted | StepFailed] = field(
        default_factory=dict[StepIndex, StepCompleted | StepFailed]
    )
    timers: Timers = field(default_factory=LoopTimers)
    gate: Gate | None = None
    vault: Vault = NO_SECRETS
    emergency: EmergencyWatch | None = None
    keys: DataKeyring | None = None
    tracer: Tracer | None = None

    def stored(self, appends: Sequence[Append], spans: RunSpans | None = None) -> None:
        """Tell whoever wants to know that a run's append is durable, and those of the runs that it begins; `spans` are
        the run's."""
        if spans is not None:
            spans.stored(appends[0].events)
        if self.observer is not None:
            for append in appends:
                for number, event in enumerate(append.events, append.expected.version + 1):
                    self.observer(append.stream, number, event)
        if self.family is not None:
            for append in appends[1:]:
                self.family.began(append.stream)

    def ended(self, stream: str, started: RunStarted, events: Sequence[Event]) -> None:
        """The same of a run that nobody executes here: should one of these events be its end, its span is told of."""
        end = events[-1] if events else None
        if self.tracer is not None and isinstance(end, RunEnd):
            run_ended(self.tracer, stream, started, end)
