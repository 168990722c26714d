"""The engine as a state machine: Hypothesis picks what happens next, and shrinks to the shortest history that breaks.

Engines start, crash at an append, lose answers and go on as zombies; steps end in any order; messages come, some twice;
time passes. Whatever happens, the log stays a possible history, and the run ends as the oracle's serial run does.

REFOLD_STATE_MACHINE_EXAMPLES says how many histories are tried. To see a failure again, put the printed
`@reproduce_failure(...)` above `class EngineMachine`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from refold import OwnershipLostError, RunEndedError, RunNotFoundError, RunOwnedError, WorkflowResult
from refold.core.canonical import Payload
from refold.core.events import Event, MessageSent, RunCancelled, RunResumed, StepCompleted, StepFailed, StepSkipped
from refold.core.ids import inbox_of
from refold.core.ports import Append, Head, Schedule, Unit, Unschedule
from refold.core.results import result_of
from refold.core.run_state import RunState
from refold.core.state import fold
from refold.eventstore.chain import event_hash
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import Sealer
from refold.replay.verify import verify_run
from refold.tests.support.oracle import serial_run
from refold.tests.support.random_specs import behave, random_spec
from refold.tests.support.states import check_expected, slots_of
from refold.tests.support.stepped import EPOCH_SECONDS, LEASE_SECONDS, Fate, SteppedLife, SteppedLoop, tail
from refold.tests.support.workflows import events_of, send

EXAMPLES = int(os.environ.get("REFOLD_STATE_MACHINE_EXAMPLES", "500"))
STREAM = "default/r"
INBOX = inbox_of(STREAM)
FORMS = ("async_work", "guess_work", "async_work", "inline_work")
"""No threads: how fast they are nobody could decide. Mostly skills that wait for the machine to let them end."""

MOST_LIVING = 3
ENOUGH_ROUNDS = 200

RANDOMS = st.randoms(use_true_random=False)
# Those of the first kind shrink, those of the second are the more varied.
SPECS = st.one_of(RANDOMS, st.integers(0, 2**32).map(Random)).map(lambda random: random_spec(random, FORMS, most=8))
PARALLEL = st.sampled_from((64, 1, 2))
WHO = st.integers(0, MOST_LIVING - 1)
FATES = st.one_of(st.just(Fate.STORED), st.sampled_from(Fate))


class EngineMachine(RuleBasedStateMachine):
    """One run, and all that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SteppedLoop()
        self.database_seconds = float(EPOCH_SECONDS)
        self.store = MemoryStore(seconds=lambda: self.database_seconds)
        self.lives: list[SteppedLife] = []
        self.seen: list[Event] = []
        self.spec: dict[str, Any] = {}
        self.seed = 0

    @initialize(spec=SPECS, seed=st.integers(0, 2**53 - 1), parallel=PARALLEL, fate=FATES)
    def start(self, spec: dict[str, Any], seed: int, parallel: int, fate: Fate) -> None:
        """A run of a random spec starts, or its process dies over it."""
        self.spec, self.seed = spec, seed
        life = self._new_life(parallel, fate)
        life.ask(life.engine.run(self.spec, "r", self.seed))
        self._settle()

    @rule(who=WHO, random=RANDOMS, count=st.integers(1, 3))
    def release_steps(self, who: int, random: Random, count: int) -> None:
        """Steps that an engine, perhaps a zombie, is running end together and share an append."""
        life = self._life(who)
        for _ in range(count):
            life.gates.release_one(random)
        self._settle()

    @rule(who=WHO, random=RANDOMS, fate=FATES)
    def release_a_step_into_trouble(self, who: int, random: Random, fate: Fate) -> None:
        """A step ends, and something may happen to the append that follows."""
        life = self._life(who)
        life.journal.fate = fate
        life.gates.release_one(random)
        self._settle()

    @rule(random=RANDOMS)
    def release_a_step_everywhere(self, random: Random) -> None:
        """In every engine that believes to own the run, a step ends at the same time."""
        self._life(0)
        for life in self.living:
            life.gates.release_one(random)
        self._settle()

    @rule(who=WHO)
    def find_a_lost_answer(self, who: int) -> None:
        """The store can be reached again, by which time others may have written."""
        waiting = [life for life in self.living if life.journal.unanswered] or [self._life(who)]
        waiting[who % len(waiting)].journal.find_answers()
        self._settle()

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        """A process dies between two appends, if any is alive."""
        if self.living:
            self._life(who).crash()
            self._settle()

    @rule(parallel=PARALLEL, fate=FATES, by_resume=st.booleans(), expired=st.booleans(), works=st.booleans())
    def take_over(self, parallel: int, fate: Fate, by_resume: bool, expired: bool, works: bool) -> None:
        """Another engine wants the run, while the others may go on working.

        If the lease has expired, the former owner lives on as a zombie.
        """
        if len(self.living) == MOST_LIVING:
            self.living[0].crash()
        if expired:
            self.database_seconds += 2 * LEASE_SECONDS
        life = self._new_life(parallel, fate)
        life.ask(life.engine.resume("r") if by_resume else life.engine.run(self.spec, "r", self.seed))
        for other in self.living if works else ():
            other.gates.release_one(Random(0))
        self._settle()

    @rule(who=WHO)
    def resume_again(self, who: int) -> None:
        """An engine that knows the run, and may be running it, is told to resume."""
        life = self._life(who)
        life.ask(life.engine.resume("r"))
        self._settle()

    @rule(
        who=WHO,
        kind=st.sampled_from(("pause", "resume")),
        number=st.integers(1, 2),
        twice=st.booleans(),
    )
    def send_a_message(self, who: int, kind: str, number: int, twice: bool) -> None:
        """Pause or resume, perhaps twice with one key; from a process of its own where none is alive."""
        self._tell(who, kind, f"{kind} {number}", twice)

    @rule(who=WHO, twice=st.booleans(), progress=st.integers(0, 20))
    def cancel(self, who: int, twice: bool, progress: int) -> None:
        """The run is to be cancelled, if it has got so far: else few would get anywhere."""
        if len(self.events) >= progress:
            self._tell(who, "cancel", "cancel", twice)

    @rule(seconds=st.sampled_from((0.001, 0.003, 0.25, LEASE_SECONDS / 3)))
    def let_time_pass(self, seconds: float) -> None:
        """Pauses before retries end, inboxes are looked at, leases are renewed."""
        self.loop.seconds += seconds
        self.database_seconds += seconds
        self._settle()

    @rule(data=st.data())
    def append_as_a_zombie(self, data: st.DataObject) -> None:
        """Somebody who knows an earlier head, or only the version of this one, appends: anything at all."""
        records = self.store.read(STREAM)
        if not records:
            return
        heads = [Head(version, event_hash(*records[version - 1])) for version in range(1, len(records))]
        heads += [Head(0, None), Head(len(records), "0" * 64), Head(len(records) + 1, "0" * 64)]
        head = data.draw(st.sampled_from(heads), "head")
        copies = data.draw(st.lists(st.sampled_from(self.events), min_size=1, max_size=2), "events")
        stale = Append(STREAM, head, [*copies, RunResumed(0, 1)])
        fresh = Append(INBOX, tail(self.store, INBOX), (MessageSent(0, "cancel", "forged", "", "", Payload.of(None)),))
        appends = data.draw(st.sampled_from(([stale], [stale, fresh], [fresh, stale])), "appends")
        change = data.draw(st.sampled_from((Unschedule(STREAM), Schedule(STREAM, 0.0))), "dispatch")
        before = self._stored()
        assert self.store.commit([Sealer("zombie", "zombie").seal(Unit(appends, (change,)))], "zombie") == [False]
        assert self._stored() == before, "a refused append left something behind"

    @invariant()
    def the_log_only_grows(self) -> None:
        """What was stored stays."""
        assert self.events[: len(self.seen)] == self.seen
        self.seen = self.events

    @invariant()
    def the_log_is_a_possible_history(self) -> None:
        """Its fold works, no step has two outcomes, and both proofs hold."""
        events = self.events
        if not events:
            return
        fold(events)
        outcomes = Counter(e.index for e in events if isinstance(e, StepCompleted | StepFailed | StepSkipped))
        assert max(outcomes.values(), default=1) == 1, outcomes
        verification = verify_run(self.store, "r")
        assert verification.ok, [str(finding) for finding in verification.chain + verification.fold]

    @invariant()
    def a_key_is_one_message(self) -> None:
        """However often it was sent."""
        keys = Counter(event.key for event in self.inbox)
        assert max(keys.values(), default=1) == 1, keys

    @invariant()
    def what_was_told_is_in_the_log(self) -> None:
        """Observers hear of durable events only."""
        events = self.events
        for life in self.lives:
            for stream, version, event in life.told:
                assert stream == STREAM
                assert version <= len(events), f"{life.name} told of event {version}, which nobody has stored"
                assert events[version - 1] == event, f"{life.name} told of another event {version}"

    @invariant()
    def live_states_are_folds_of_the_log(self) -> None:
        """What an engine holds is the log, as far as it knows it, and what it has under way."""
        for life in self.living:
            actor = life.engine._host.actor(STREAM)  # pyright: ignore[reportPrivateUsage]
            if actor is None:
                continue
            known = self.events[: actor.head.version]
            under_way = [
                event
                for unit, _, _ in life.journal.unanswered
                for append in unit.appends
                if append.stream == STREAM
                for event in append.events
            ]
            assert slots_of(actor.state) == slots_of(fold([*known, *under_way])), life.name

    @invariant()
    def calls_end_as_the_log_says(self) -> None:
        """No call ends with an error that nothing here explains, nor with a result that is not the log's."""
        assert not self.loop.faults, self.loop.faults
        for life in self.lives:
            for answer in life.answers():
                if isinstance(answer, WorkflowResult):
                    self._check_answer(answer)
                else:
                    allowed = isinstance(answer, OwnershipLostError | RunOwnedError)
                    allowed |= isinstance(answer, RunEndedError) and self.ended
                    allowed |= isinstance(answer, RunNotFoundError)
                    assert allowed, f"{life.name}: {answer!r}"

    def teardown(self) -> None:
        """Let everybody work to the end, then a last engine, and compare what came out with the oracle."""
        try:
            if self.spec:
                self._finish()
            for life in self.lives:
                life.crash()
            self.loop.settle()
            # Keepers of engines that are gone look for runs a last time.
            self.loop.seconds += LEASE_SECONDS
            self.loop.settle()
        finally:
            self.loop.close()

    @property
    def living(self) -> list[SteppedLife]:
        """Engines that have not crashed."""
        return [life for life in self.lives if not life.journal.dead]

    @property
    def events(self) -> list[Event]:
        """The run's log."""
        return events_of(self.store, "r")

    @property
    def inbox(self) -> list[MessageSent]:
        """The messages that were sent."""
        return [event for event in events_of(self.store, "r/inbox") if isinstance(event, MessageSent)]

    @property
    def ended(self) -> bool:
        """Whether the log holds the end of the run."""
        events = self.events
        return bool(events) and fold(events).end is not None

    def _life(self, who: int) -> SteppedLife:
        """One of the living; where nobody lives, a new engine finds the lease expired."""
        if not self.living:
            self.take_over(64, Fate.STORED, by_resume=False, expired=True, works=False)
        return self.living[who % len(self.living)]

    def _new_life(self, parallel: int, fate: Fate) -> SteppedLife:
        life = SteppedLife(self.store, self.loop, f"life-{len(self.lives)}", parallel)
        life.journal.fate = fate
        self.lives.append(life)
        return life

    def _settle(self) -> None:
        """Let everybody work as far as they can at this time; who died over it is dead for good."""
        self.loop.settle()
        while crashed := [life for life in self.lives if life.journal.dead and life.busy]:
            for life in crashed:
                life.crash()
            self.loop.settle()

    def _tell(self, who: int, kind: str, key: str, twice: bool) -> None:
        life = self.living[who % len(self.living)] if self.living else self._new_life(1, Fate.STORED)
        for _ in range(1 + twice):
            if kind == "resume" and self.events:
                send(self.store, "r", "resume")
            elif kind == "pause":
                life.ask(life.engine.pause("r", key=key))
            elif kind == "cancel":
                life.ask(life.engine.cancel("r", key=key))
        self._settle()

    def _check_answer(self, answer: WorkflowResult) -> None:
        events = self.events
        assert any(result_of(fold(events[:n])).to_json() == answer.to_json() for n in range(len(events), 0, -1))

    def _stored(self) -> tuple[object, ...]:
        log = self.store.follow(0, self.store.last_position())
        dispatch = self.store.dispatch
        return log, self.store.heads([STREAM, INBOX]), dispatch.rows(), dispatch.lease(STREAM)

    def _finish(self) -> None:
        for life in self.living:
            life.gates.open()
        for _ in range(ENOUGH_ROUNDS):
            for life in self.living:
                life.journal.find_answers()
            self.let_time_pass(0.25)
            if not any(life.busy for life in self.living):
                break
        else:
            raise AssertionError("the engines never come to an end")
        self.check()
        for life in self.living:
            life.crash()
        self.database_seconds += 2 * LEASE_SECONDS
        result = self._last_result()
        self.check()
        check_result(result, fold(self.events), self.spec, self.seed, self.inbox)

    def _last_result(self) -> WorkflowResult:
        """What an engine says that finds nobody else."""
        last = self._new_life(64, Fate.STORED)
        last.gates.open()
        last.ask(last.engine.run(self.spec, "r", self.seed))
        for _ in range(ENOUGH_ROUNDS):
            self.let_time_pass(0.25)
            for answer in last.answers():
                assert isinstance(answer, WorkflowResult), repr(answer)
                if answer.status != "paused":
                    return answer
                last.ask(last.engine.resume("r"))
        raise AssertionError("the last engine does not bring the run to its end")

    def check(self) -> None:
        """All invariants, once more."""
        self.the_log_only_grows()
        self.the_log_is_a_possible_history()
        self.a_key_is_one_message()
        self.what_was_told_is_in_the_log()
        self.live_states_are_folds_of_the_log()
        self.calls_end_as_the_log_says()


def check_result(
    result: WorkflowResult, state: RunState, spec: dict[str, Any], seed: int, inbox: Sequence[MessageSent]
) -> None:
    """The result is the log's, and the oracle's; of a run that was cancelled, as far as it came."""
    assert result.to_json() == result_of(state).to_json()
    expected = serial_run(spec, "r", seed, None, behave)
    pairs = zip(result.step_hashes, expected.step_hashes, strict=False)
    assert all(found in (None, wanted) for found, wanted in pairs)
    if isinstance(state.end, RunCancelled):
        assert inbox[state.end.message - 1].kind == "cancel"
        return
    check_expected(result, expected)


EngineMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# Hypothesis shrinks for up to 300 seconds, and prints nothing if it is stopped before.
@pytest.mark.timeout(0 if EXAMPLES > 2_000 else 600)
class TestEngine(EngineMachine.TestCase):
    """The machine, as a test."""
