"""What an emergency stop does to one run in memory: nothing begins, and what runs ends or is dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..decision import Decision, Execute
from ..emergency import Stop
from ..events import RunStarted
from ..ports import held_at
from ..step_events import StepIndex
from .emergency_watch import EmergencyWatch


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

    def look(self, running: Collection[StepIndex], *, draining: bool) -> Sequence[StepIndex]:
        """See what is stopped now; returns those of the steps `running` that are to be dropped."""
        self.moved, self.withheld = False, ()
        self.stop = stop = None if self._watch is None else self._watch.covering(self._started)
        held = [execute.index for execute in self._held]
        if draining:
            self._held.clear()  # Nobody will be here at the release.
            return held
        return [] if stop is None or stop.running != "cancel" else [index for index in running if index not in held]

    def withhold(self, decision: Decision) -> Decision:
        """`decision` without what must not begin."""
        if self.stop is None or not decision.execute:
            return decision
        self.withheld = decision.execute
        return decision._replace(execute=())

    def due(self, at: int, until: int) -> int:
        """When a run is due from which something was withheld at the time `at`, and that has a timer for `until`."""
        if self.stop is None or self._watch is None or self.stop.closes:
            return min(at, until)
        # Workers would claim it at once, only to put it back.
        return held_at(self._watch.stops.version)

    def permitted(self, wanted: Sequence[Execute], announced: Collection[StepIndex]) -> Iterator[tuple[Execute, bool]]:
        """What was put off and what is `wanted`, each with whether it may begin, asked at that very moment.

        An at-most-once step whose start is recorded keeps its place until the release, for that cannot be taken back;
        it does not occur. With everything else that must not begin, `moved` becomes true.
        """
        put_off, self._held = self._held, []
        for execute in (*put_off, *wanted):
            if self._watch is None or self._watch.covering(self._started) is None:
                yield execute, True
            elif execute.index in announced:
                self._held.append(execute)
            else:
                self.moved = True
                yield execute, False
