"""Which emergency stops are in force: folded from their control stream, and asked before every attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

from .emergency_events import EmergencyReleased, EmergencyStopped
from .errors import IntegrityError
from .events import Event

Kind = Literal["global", "tenant", "workflow", "queue"]
"""What a stop can be of."""

Running = Literal["finish", "cancel"]
"""What becomes of attempts that are under way: they end and are recorded, or are dropped without an outcome."""

KINDS: Final[tuple[Kind, ...]] = ("global", "tenant", "workflow", "queue")
"""All of them, the widest first."""


class Scope(NamedTuple):
    """What is stopped: everything (with the name ""), or what belongs to this tenant, workflow type or queue."""

    kind: Kind = "global"
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


EVERYTHING: Final = Scope()
"""The global scope."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in force: since `at` (microseconds since the epoch), `by` whom ("" when nobody said), and why.

    `source` is `log`, for all workers; or `environment` (this process) or `file` (this host), which are always global.
    """

    scope: Scope
    running: Running
    reason: str
    by: str
    at: int
    source: Literal["log", "environment", "file"] = "log"

    @property
    def closes(self) -> bool:
        """Whether workers claim nothing of what it covers. Else they find out what they have claimed, and put it back:
        of a run's dispatch row only the queue says what it belongs to."""
        return self.scope.kind in ("global", "queue")

    def to_json(self) -> dict[str, Any]:
        """The stop as a JSON object."""
        told = asdict(self)
        del told["scope"]
        return {"scope": self.scope.kind, "name": self.scope.name, **told}

    def __str__(self) -> str:
        who = f" by {self.by}" if self.by else ""
        return f"emergency stop ({self.scope}){who}" + (f": {self.reason}" if self.reason else "")


class Stops:
    """All stops in force after event `version` of the control stream; a value, never changed.

    `released` is the version of the last release, 0 when there was none: a run that was held back by an older look at
    the stream may be free. True when there is `any` stop.
    """

    __slots__ = ("_found", "any", "local", "released", "version")

    def __init__(
        self, found: Mapping[Scope, Stop] | None = None, version: int = 0, released: int = 0, local: Sequence[Stop] = ()
    ):
        self._found = dict(found or {})
        self.version = version
        self.released = released
        self.local = tuple(local)
        self.any = bool(self._found or self.local)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Stops:
        """The stops after all `events` of the control stream. Raises IntegrityError for one that cannot follow."""
        stops = cls()
        for event in events:
            stops = stops.after(event)
        return stops

    def after(self, event: Event) -> Stops:
        """The stops after the next event. Raises IntegrityError for one that cannot follow."""
        if not isinstance(event, EmergencyStopped | EmergencyReleased):
            raise IntegrityError(f"{event.topic} cannot occur here")
        scope, found, version = _scope_of(event), dict(self._found), self.version + 1
        if isinstance(event, EmergencyReleased):
            if found.pop(scope, None) is None:
                raise IntegrityError(f"{event.topic}: there was no stop ({scope})")
            return Stops(found, version, version, self.local)
        if event.running not in ("finish", "cancel"):
            raise IntegrityError(f"{event.topic}: running steps can finish or be cancelled, not {event.running!r}")
        found[scope] = Stop(scope, event.running, event.reason, event.by, event.at)
        return Stops(found, version, self.released, self.local)

    def beside(self, local: Sequence[Stop]) -> Stops:
        """The same with those of this process and host."""
        return Stops(self._found, self.version, self.released, local)

    def find(self, scope: Scope) -> Stop | None:
        """The recorded stop of exactly this scope."""
        return self._found.get(scope)

    def recorded(self) -> list[Stop]:
        """Those of the log, the widest scopes first, then by name."""
        return sorted(self._found.values(), key=lambda stop: (KINDS.index(stop.scope.kind), stop.scope.name))

    def all(self) -> list[Stop]:
        """The recorded ones and the local ones."""
        return [*self.recorded(), *self.local]

    def covers(self, tenant: str, workflow_type: str, queue: str) -> Stop | None:
        """The stop under which such a run stands, None if there is none. Of several, one that cancels comes first, then
        the widest."""
        scopes = (EVERYTHING, Scope("tenant", tenant), Scope("workflow", workflow_type), Scope("queue", queue))
        found = [stop for scope in scopes if (stop := self._found.get(scope)) is not None]
        found.extend(self.local)
        return next((stop for stop in found if stop.running == "cancel"), found[0] if found else None)

    def closes(self, queue: str) -> bool:
        """Whether nothing of this queue is to be claimed."""
        return bool(self.local) or EVERYTHING in self._found or Scope("queue", queue) in self._found

    def __bool__(self) -> bool:
        return self.any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stops):
            return NotImplemented
        mine = (self._found, self.version, self.released, self.local)
        return mine == (other._found, other.version, other.released, other.local)

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # It holds a dict.


NO_STOPS: Final = Stops()
"""Nothing is stopped, and never was."""


def _scope_of(event: EmergencyStopped | EmergencyReleased) -> Scope:
    if event.scope not in KINDS or (event.scope == "global") != (event.name == ""):
        raise IntegrityError(f"{event.topic}: {event.scope!r} {event.name!r} is no scope")
    return Scope(event.scope, event.name)
