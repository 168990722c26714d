"""What an emergency stop does to one run in memory: nothing begins, and what runs ends or is dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..canonical import Payload
from ..decision import Decision, Execute
from ..emergency import Stop
from ..errors import EmergencyStopError
from ..events import PolicyDecided, RunStarted
from ..ports import held_at
from ..step_events import StepIndex
from .decider import Decider
from .emergency_watch import EmergencyWatch

RULE = "emergency-stop"
"""The rule that `policy.decided` names for a step that a stop holds back."""

_NOTHING_HELD = Payload.of([])


class Brake:
    """Asked by a run's actor before anything begins. Without a `watch` (in a replay) nothing is ever stopped.

    `stop` is the stop that the run stood under at the last `look`, and `withheld` what would begin but for it. `moved`
    says that the actor must look again.
    """

    def __init__(self, watch: EmergencyWatch | None, started: RunStarted):
        self._watch = watch
        self._started = started
        self._held: list[Execute] = []
        self.stop: Stop | None = None
        self.withheld: Sequence[Execute] = ()
        self.moved = False

    def look(self, running: Mapping[StepIndex, object], *, draining: bool) -> Sequence[StepIndex]:
        """See what is stopped now; returns those of the steps `running` that are to be dropped: attempts, not what is
        None and only keeps a place."""
        self.moved, self.withheld = False, ()
        self.stop = stop = None if self._watch is None else self._watch.covering(self._started)
        if draining and self._held:  # Nobody will be here at the release.
            held, self._held = self._held, []
            return [execute.index for execute in held]
        if stop is None or stop.running != "cancel":
            return ()
        return [index for index, attempt in running.items() if attempt is not None]

    def withhold(self, decision: Decision) -> Decision:
        """`decision` without what must not begin."""
        if self.stop is None:
            return decision
        self.withheld = decision.execute
        return decision._replace(execute=())

    def recorded(self, decider: Decider, begins: Sequence[Execute], at: int) -> Iterator[PolicyDecided]:
        """What is to be recorded, once for each attempt: that it is held back, which gives back what the ledger granted
        it, and of those that `begins`, that what held them back is over."""
        deferred = decider.state.deferred
        for execute in self.withheld:
            if deferred.get(execute.index) != execute.attempt:
                yield _decided(decider, execute, at, "deferred", RULE, EmergencyStopError.code, str(self.stop))
        for execute in begins if deferred else ():
            if deferred.get(execute.index) == execute.attempt:
                yield _decided(decider, execute, at, "allowed", "", "", "what held it back is over")

    def due(self, at: int, until: int) -> int:
        """When a run is due from which something was withheld at the time `at`, and that has a timer for `until`."""
        if self.stop is None or self._watch is None or self.stop.closes:
            return min(at, until)
        # Workers would claim it at once, only to put it back.
        return held_at(self._watch.stops.version)

    def permitted(
        self, wanted: Sequence[Execute], announced: Collection[StepIndex], running: dict[StepIndex, Any]
    ) -> Iterator[Execute]:
        """Those of what was put off and of what is `wanted` that may begin, asked at that very moment.

        What may not leaves `running`, and `moved` becomes true. But an at-most-once step whose start is recorded, which
        cannot be taken back, keeps its place until the release. What has left `running` by itself is forgotten.
        """
        if self._held:
            put_off, self._held = self._held, []
            wanted = (*put_off, *wanted)
        for execute in wanted:
            if execute.index not in running:
                continue
            if self._watch is None or self._watch.covering(self._started) is None:
                yield execute
            elif execute.index in announced:
                self._held.append(execute)
            else:
                del running[execute.index]
                self.moved = True


def _decided(
    decider: Decider, execute: Execute, at: int, verdict: str, rule: str, code: str, reason: str
) -> PolicyDecided:
    step = decider.step(execute.index)
    return PolicyDecided(
        at, step.index, step.step_id, step.skill_id, execute.attempt, verdict, rule, code, reason, "", _NOTHING_HELD
    )
