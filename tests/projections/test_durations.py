"""How long recorded steps took: what a simulation is told of them, on every database."""

from __future__ import annotations

from refold import SkillRegistry, WorkflowEngine, simulate
from refold.eventstore.store import Store
from refold.projections.durations import recorded
from refold.projections.runs import RunsProjection
from refold.projections.timeline import TimelineProjection
from refold.tests.support.projected import caught_up
from refold.tests.support.workflows import spec, step

FLAKY = spec(step("a", "flaky", max_retries=1, retry={"initial_seconds": 0}), step("b", depends_on=["a"]))


async def filled(store: Store) -> None:
    """Three runs of one workflow, whose first attempts fail, one of another, and one that failed."""
    skills = SkillRegistry()

    @skills.skill
    def flaky() -> dict[str, int]:
        tried.append(1)
        if len(tried) % 2:
            raise OSError("not yet")
        return {}

    tried: list[int] = []
    async with WorkflowEngine(store, skills) as engine:
        for number in range(3):
            assert (await engine.run(FLAKY, f"r{number}")).success
        assert (await engine.run({**spec(step("c", "hash")), "workflow_type": "other"}, "o")).success
        assert not (await engine.run(spec(step("a", "flaky", max_retries=0)), "bad")).success
    caught_up(store, RunsProjection())
    caught_up(store, TimelineProjection())


async def test_durations_are_known_by_step_of_the_workflow_and_by_skill_of_all(shared: Store) -> None:
    await filled(shared)
    records = recorded(shared, "default", "test", {"flaky", "echo", "hash"})
    assert records.runs == 3, "the failed one tells nothing"
    assert {name: sample.size for name, sample in records.by_step.items()} == {"a": 3, "b": 3}
    assert {name: sample.size for name, sample in records.by_skill.items()} == {"flaky": 3, "echo": 3, "hash": 1}
    assert records.by_step["a"].attempts == 2
    assert all(0 < each.median <= each.slow for each in records.by_step.values())
    assert recorded(shared, "nobody", "test", {"echo"}).runs == 0


async def test_a_simulation_takes_durations_from_the_step_then_from_the_skill(shared: Store) -> None:
    await filled(shared)
    asked = spec(step("a", "flaky", estimated_cost_cents=3), step("new", "hash"), step("never", "elsewhere"))
    found = simulate(asked, store=shared)
    assert [(each.time_source, each.samples) for each in found.steps] == [("step", 3), ("skill", 1), ("unknown", 0)]
    assert found.recorded_runs == 3
    assert found.cost.expected_cents == 6, "on average it took two attempts"
    assert found.time.slow_seconds >= found.time.expected_seconds > 0
