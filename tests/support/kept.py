"""The index of runs, kept by the process that tests."""

from __future__ import annotations

from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.projections.runner import Runner, generation_for
from refold.projections.runs import RunsProjection


class Kept:
    """The index of a store, which this process keeps as a projector would."""

    def __init__(self, store: Store):
        of = generation_for(store, RunsProjection())
        assert of is not None
        self._runner = Runner(store, RunsProjection(), this_process("test"), of, lease_seconds=1000)
        self.follow()

    def follow(self) -> None:
        self._runner.claim()
        while self._runner.step():
            pass
