"""What the log says, counted for Prometheus: runs, steps, costs, refusals, and what proofs have found."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, cast

from ..core.events import (
    PLANNER,
    CheckpointRefused,
    Event,
    JobEnded,
    JobProgressed,
    RunEnd,
    RunParked,
    RunRejected,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from ..core.histogram import RUNS, STEPS, Counted, Histogram
from ..core.labels import Bounded, tenant_label
from ..core.policy_events import PolicyDecided
from ..core.sandbox.planner import PlannerSandbox
from ..eventstore.tables import COUNTING
from .checkpoints import CheckpointsProjection
from .model import CountingProjection, FollowedRun
from .step_times import StepTimes

LATEST = 100
"""The mean cost of a skill is that of so many attempts, the latest."""

TIMED_OUT = frozenset({"STEP_TIMEOUT", "HEARTBEAT_MISSED", "CALL_TIMEOUT", "SIGNAL_TIMEOUT", "CHILD_TIMEOUT"})
"""The failure codes of steps that had no more time."""

_SANDBOX = "SANDBOX_REJECTED"


class Family(NamedTuple):
    """A counter: what it says, and the names of its labels."""

    meaning: str
    labels: tuple[str, ...] = ()


COUNTERS: Mapping[str, Family] = {
    "workflow_runs": Family("Runs that have ended, by how.", ("status", "tenant")),
    "workflow_steps": Family(
        "Steps that have ended: completed, failed, or timed_out by a limit of their own.", ("skill_id", "outcome")
    ),
    "workflow_replay_failures": Family("Runs that a proof found otherwise, or that their code disagreed with."),
    "workflow_golden_mismatches": Family("Goldens that were found to be other than they were written."),
    "workflow_seed_drift": Family("Runs that a proof found with another seed."),
    "workflow_budget_exceeded": Family("Attempts refused because a budget had not enough left.", ("tenant",)),
    "workflow_checkpoint_failures": Family("Saves of checkpoints that failed, and checkpoints that were refused."),
    "workflow_sandbox_rejections": Family("Runs that the sandbox refused."),
    "workflow_plans": Family("Plans that the sandbox has judged, accepted or rejected.", ("verdict",)),
    "workflow_forbidden_skill_attempts": Family(
        "Attempts of a skill that a policy denies, and rejected plans that name a forbidden one.", ("skill_id",)
    ),
    "workflow_cost_cents": Family("What attempts have cost, in cents.", ("tenant",)),
}
"""The counters by name, without `refold_` and `_total`."""


class Count(NamedTuple):
    """So much more of a counter."""

    name: str
    labels: tuple[str, ...] = ()
    amount: float = 1


class Took(NamedTuple):
    """A step of the skill took so many seconds; a run, where there is no skill."""

    skill: str | None
    seconds: float


class Cost(NamedTuple):
    """An attempt of the skill cost so many cents."""

    skill: str
    cents: float


Noted = Count | Took | Cost
"""What an event adds to the counts."""


class LogCounts:
    """The counts of this process, with bounded labels. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted = {name: defaultdict[tuple[str, ...], float](float) for name in COUNTERS}
        self._labels = {"skill_id": Bounded(), "tenant": Bounded(), "status": Bounded(20), "outcome": Bounded(20)}
        self._labels["verdict"] = Bounded(20)
        self._runs = Histogram(RUNS)
        self._steps: dict[str, Histogram] = {}
        self._costs: dict[str, deque[float]] = {}

    def add(self, noted: Sequence[Noted]) -> None:
        """Count these."""
        with self._lock:
            for each in noted:
                if isinstance(each, Count):
                    names = COUNTERS[each.name].labels
                    pairs = zip(names, each.labels, strict=True)
                    self._counted[each.name][tuple([self._labels[k].of(value) for k, value in pairs])] += each.amount
                elif isinstance(each, Cost):
                    self._spent(self._labels["skill_id"].of(each.skill), each.cents)
                elif each.skill is None:
                    self._runs.observe(each.seconds)
                else:
                    skill = self._labels["skill_id"].of(each.skill)
                    self._steps.setdefault(skill, Histogram(STEPS)).observe(each.seconds)

    def _spent(self, skill: str, cents: float) -> None:
        known = self._costs.get(skill)
        if known is None:
            if not cents:
                return  # Of what never costs anything there is nothing to be told.
            known = self._costs[skill] = deque(maxlen=LATEST)
        known.append(cents)

    def counters(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Every counter by name, its values by labels; one without labels is there from the beginning."""
        with self._lock:
            found = {name: dict(counted) for name, counted in self._counted.items()}
        for name, family in COUNTERS.items():
            if not family.labels:
                found[name].setdefault((), 0)
        return found

    def durations(self) -> tuple[Counted, dict[str, Counted]]:
        """How long runs took, and steps by skill."""
        with self._lock:
            return self._runs.counted(), {skill: each.counted() for skill, each in self._steps.items()}

    def step_costs(self) -> dict[str, float]:
        """The mean cost in cents of the latest attempts, by skill."""
        with self._lock:
            return {skill: sum(costs) / len(costs) for skill, costs in self._costs.items()}


class MetricsProjection(CountingProjection):
    """Adds what the log says to `counts`."""

    name = COUNTING
    beside = frozenset({JobProgressed.topic, JobEnded.topic, CheckpointRefused.topic})

    def __init__(self, counts: LogCounts):
        self.counts = counts
        self._sandbox = PlannerSandbox()

    def noted(self, run: FollowedRun, event: Event) -> Sequence[Noted]:
        """See `CountingProjection.noted`."""
        times: StepTimes | None = run.notes.get(COUNTING)
        if times is None:
            times = run.notes[COUNTING] = StepTimes()
        found: Sequence[Noted] = ()
        match event:
            case StepCompleted() | StepFailed():
                found = _step_ended(run, times, event)
            case StepStarted():
                times.begun.setdefault(event.index, event.at)
            case StepAttemptFailed() | StepWaiting():
                times.begun.setdefault(event.index, times.began(run.state, event.index))
                found = _cost(run, event)
            case StepProgressed():
                times.begun.setdefault(event.index, times.began(run.state, event.index))
            case StepSkipped() | StepReused():
                times.end(event.index, event.at)
            case PolicyDecided():
                found = _refusal(run, event)
            case RunParked():
                found = [Count("workflow_replay_failures")] if event.error_code == "NONDETERMINISM" else ()
            case _:
                if run.state.end is not None:
                    found = self._run_ended(run, cast("RunEnd", event))
        if run.version == 2 and run.state.started.origin == PLANNER and not _is_judged(event):
            return [*found, Count("workflow_plans", ("accepted",))]
        return found

    def _run_ended(self, run: FollowedRun, event: RunEnd) -> Sequence[Noted]:
        seconds = (event.at - run.state.started.at) / 1_000_000
        found: list[Noted] = [Count("workflow_runs", (run.state.status, tenant_label(run.tenant))), Took(None, seconds)]
        if _is_judged(event):
            found += [Count("workflow_sandbox_rejections"), Count("workflow_plans", ("rejected",))]
            found += [Count("workflow_forbidden_skill_attempts", (skill,)) for skill in self._forbidden(run)]
        return found

    def _forbidden(self, run: FollowedRun) -> Sequence[str]:
        """The skills in a rejected plan that no plan may name."""
        spec = run.state.started.spec
        told: Any = None if spec is None else spec.value
        skills = [str(step.get("skill_id")) for step in told["steps"]] if told else []
        return [skill for skill in skills if self._sandbox.forbids(skill)]

    def noted_beside(self, event: Event) -> Sequence[Noted]:
        """See `CountingProjection.noted_beside`."""
        if isinstance(event, CheckpointRefused):
            return [Count("workflow_checkpoint_failures")]
        if isinstance(event, JobProgressed):
            return _findings(event.told.value)
        return _broken(event.result.value) if isinstance(event, JobEnded) else ()

    def count(self, noted: Sequence[Noted]) -> None:
        """See `CountingProjection.count`."""
        self.counts.add(noted)


class CheckpointWatch:
    """How long saving checkpoints takes, and how often it fails; fulfils `refold.projections.projector.Watch`."""

    def __init__(self, counts: LogCounts):
        self.saves = Histogram()
        self._counts = counts

    def wrote(self, name: str, seconds: float) -> None:
        """See `Watch.wrote`."""
        if name == CheckpointsProjection.name:
            self.saves.observe(seconds)

    def failed(self, name: str) -> None:
        """See `Watch.failed`."""
        if name == CheckpointsProjection.name:
            self._counts.add([Count("workflow_checkpoint_failures")])


def _step_ended(run: FollowedRun, times: StepTimes, event: StepCompleted | StepFailed) -> Sequence[Noted]:
    seconds = (event.at - times.began(run.state, event.index)) / 1_000_000
    times.begun.pop(event.index, None)
    times.end(event.index, event.at)
    outcome = "completed"
    if isinstance(event, StepFailed):
        outcome = "timed_out" if event.error_code in TIMED_OUT else "failed"
    ended = Count("workflow_steps", (event.skill_id, outcome))
    return [ended, Took(event.skill_id, seconds), *_cost(run, event)]


def _cost(run: FollowedRun, event: StepCompleted | StepFailed | StepAttemptFailed | StepWaiting) -> Sequence[Noted]:
    cents = event.cost_cents
    spent = [Count("workflow_cost_cents", (tenant_label(run.tenant),), cents)] if cents else []
    return [*spent, Cost(event.skill_id, cents)]


def _refusal(run: FollowedRun, event: PolicyDecided) -> Sequence[Noted]:
    if event.verdict != "refused":
        return ()
    if event.code == "BUDGET_EXCEEDED":
        return [Count("workflow_budget_exceeded", (tenant_label(run.tenant),))]
    return [Count("workflow_forbidden_skill_attempts", (event.skill_id,))] if event.code == "POLICY_REFUSED" else ()


def _is_judged(event: Event) -> bool:
    """Whether the sandbox has refused the whole plan; a skill may fail with that code too."""
    return isinstance(event, RunRejected) and event.error_code == _SANDBOX and event.step_id is None


def _findings(told: Any) -> Sequence[Noted]:
    """Of what a job has found since it last told: the runs that a proof found otherwise."""
    found: list[Noted] = []
    for each in _dicts(told, "findings"):
        if "proof" in each and each.get("code") in ("diverged", "broken"):
            found.append(Count("workflow_replay_failures"))
            if each.get("divergence") == "SEED_DRIFT":
                found.append(Count("workflow_seed_drift"))
    return found


def _broken(result: Any) -> Sequence[Noted]:
    """Of what a proof came to: the streams that belong to no run and are not as they were recorded."""
    bad = [each for each in _dicts(result, "control") if each.get("ok") is False]
    return [Count("workflow_replay_failures")] * len(bad)


def _dicts(told: Any, name: str) -> Sequence[Mapping[str, Any]]:
    listed = cast("Any", told).get(name) if isinstance(told, dict) else None
    each_of = cast("list[Any]", listed) if isinstance(listed, list) else []
    return [cast("dict[str, Any]", each) for each in each_of if isinstance(each, dict)]
