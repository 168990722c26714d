"""Runs driven in memory without an event loop: the engine's rules, so the engine's hashes."""

from __future__ import annotations

from random import Random

import pytest

from refold import CallError, IntegrityError, WorkflowEngine, WorkflowSpec
from refold.core.limits import Limits
from refold.core.plan import plan_of
from refold.core.results import WorkflowResult, result_of
from refold.core.runtime.admission import first_event
from refold.replay.determinism import FIVE_STEPS, digests, in_order, mismatches, order_of
from refold.replay.lean import check_inline, run_lean
from refold.tests.support.random_specs import random_spec, work_skills


@pytest.mark.parametrize("parallel", [1, 3, 64])
async def test_random_specs_end_as_the_engine_ends_them(parallel: int) -> None:
    skills, limits = work_skills(lambda: None), Limits(parallel_steps=parallel)
    statuses: set[str] = set()
    async with WorkflowEngine("memory:", skills, limits=limits) as engine:
        for number in range(150):
            random = Random(f"lean {parallel} {number}")
            spec = WorkflowSpec.parse(random_spec(random, ("inline_work",)))
            expected = await engine.run(spec, f"run-{number}", number)
            started = first_event(
                spec, f"run-{number}", number, None, None, "default", skills=skills, limits=limits, at=0
            )
            found = result_of(run_lean(started, skills, limits))
            assert _told(found) == _told(expected), f"number {number}"
            statuses.add(found.status)
    assert statuses == {"completed", "failed"}


def test_every_worker_order_holds_each_seed_once_and_gives_the_same() -> None:
    orders = [order_of(worker, 40) for worker in range(3)]
    assert all(sorted(order) == list(range(40)) for order in orders) and len({tuple(order) for order in orders}) == 3
    found = [in_order(digests(order)) for order in orders]
    assert mismatches(found, 40) == []
    assert len({found[0][at : at + 32] for at in range(0, 40 * 32, 32)}) == 40, "seeds do not matter"


async def test_an_iteration_has_the_hash_of_the_engine() -> None:
    async with WorkflowEngine("memory:") as engine:
        result = await engine.run(FIVE_STEPS, "run-7", 7)
    assert digests([7])[7].hex() == result.workflow_hash


def test_a_seed_on_which_workers_do_not_agree_is_named() -> None:
    good = in_order(digests(range(3)))
    bad = good[:32] + bytes(32) + good[64:]
    (found,) = mismatches([good, bad, good], 3)
    assert (found.seed, found.hashes) == (1, (good[32:64].hex(), "00" * 32, good[32:64].hex()))
    with pytest.raises(IntegrityError, match="not done all"):
        mismatches([good, good[:-1]], 3)


def test_skills_that_do_not_run_at_once_are_refused() -> None:
    plan = plan_of(WorkflowSpec.parse({"workflow_type": "a", "steps": [_step("async_work")]}).canonical)
    with pytest.raises(CallError, match="not inline"):
        check_inline(plan, work_skills(lambda: None))


def test_a_run_that_waits_for_a_signal_is_given_up() -> None:
    spec = {"workflow_type": "a", "steps": [_step("wait_signal", name="go")]}
    skills = work_skills(lambda: None)
    started = first_event(spec, "run", 1, None, None, "default", skills=skills, limits=Limits(), at=0)
    with pytest.raises(IntegrityError, match="nobody will send"):
        run_lean(started, skills, Limits())


def _step(skill_id: str, **inputs: object) -> dict[str, object]:
    return {"step_id": "a", "skill_id": skill_id, "inputs": inputs}


def _told(result: WorkflowResult) -> tuple[object, ...]:
    # How far steps beyond the one that aborted had come is a matter of time, and no part of any hash.
    counted = result.steps[: len(result.step_hashes)]
    steps = [(step.step_id, step.status, step.error_code, step.attempts) for step in counted]
    return result.status, result.error_code, result.output, result.workflow_hash, result.step_hashes, steps
