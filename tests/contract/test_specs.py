"""The registry of specs on every store: what is registered stays, the latest is never stale, tampering is found."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from refold import SpecConflictError, SpecError, SpecNotFoundError, WorkflowEngine
from refold.core.errors import CallError, IntegrityError
from refold.core.ids import specs_of
from refold.core.ports import EMPTY, Append, Unit
from refold.core.runtime.clock import SystemClock
from refold.eventstore.rebuild import Rebuild
from refold.eventstore.sealing import Sealer
from refold.replay.control import verify_specs
from refold.tests.contract.conftest import Place
from refold.tests.support.registering import register_elsewhere
from refold.tests.support.units import started
from refold.tests.support.workflows import soon, spec, step


def order(version: str | None = None, **inputs: Any) -> dict[str, Any]:
    """A spec of the type `order`."""
    return {**spec(step("a", **inputs)), "workflow_type": "order", **({"version": version} if version else {})}


@pytest.fixture
async def engine(place: Place) -> AsyncIterator[WorkflowEngine]:
    async with WorkflowEngine(place.open()) as opened:
        yield opened


async def test_what_was_registered_is_found_by_type_and_version(engine: WorkflowEngine, place: Place) -> None:
    first = await engine.specs.put(order(x=1), "Ada")
    assert (first.workflow_type, first.version, first.by, first.new, first.latest) == ("order", "1", "Ada", True, True)
    assert first.spec.sha256 == first.spec_hash and abs(first.at - SystemClock().now()) < 60_000_000
    second = await engine.specs.put(order("2", x=2))
    async with WorkflowEngine(place.open()) as other:
        latest, old = await other.specs.get("order"), await other.specs.get("order", "1")
        everything = await other.specs.list()
    assert (latest.version, latest.latest, latest.new, latest.by) == ("2", True, False, "")
    assert (old.version, old.latest, old.spec_hash, old.at) == ("1", False, first.spec_hash, first.at)
    assert latest.spec_hash == second.spec_hash != first.spec_hash
    assert [each.version for each in everything] == ["1", "2"]


async def test_the_same_content_again_changes_nothing(engine: WorkflowEngine) -> None:
    first = await engine.specs.put(order(x=1), "Ada")
    await engine.specs.put(order("2"))
    again = await engine.specs.put({**order("1", x=1), "inputs": {}}, "Eve")
    assert (again.new, again.by, again.at, again.latest) == (False, "Ada", first.at, False)
    assert engine.store.heads([specs_of("default")])[specs_of("default")].version == 2


async def test_another_content_under_a_taken_version_is_refused_with_pointers(engine: WorkflowEngine) -> None:
    await engine.specs.put(order(x=1, y={"z": [1, 2]}))
    with pytest.raises(SpecConflictError) as refused:
        await engine.specs.put(order(x=True, y={"z": [1]}))
    assert [problem.pointer for problem in refused.value.problems] == [
        "/version",
        "/steps/0/inputs/x",
        "/steps/0/inputs/y/z/1",
    ]
    assert refused.value.problems[2].reason == "2 is registered, nothing is given"
    assert (await engine.specs.get("order")).spec.steps[0].inputs["x"] == 1


async def test_what_cannot_run_is_not_registered(engine: WorkflowEngine) -> None:
    with pytest.raises(SpecError, match="unknown step 'b'"):
        await engine.specs.put(order(x="${b}"))
    with pytest.raises(CallError, match="by must be text"):
        await engine.specs.put(order(), "x" * 201)
    for tenant in ("control", "a/b"):
        with pytest.raises(CallError, match="tenant"):
            await engine.specs.put(order(), tenant=tenant)
    assert engine.store.last_position() == 0
    assert (await engine.specs.put(spec(step("a", "a_skill_of_the_workers")))).new


async def test_what_is_not_there_is_told_with_what_is(engine: WorkflowEngine) -> None:
    with pytest.raises(SpecNotFoundError, match=r"no workflow 'order' is registered .* register its spec first"):
        await engine.specs.get("order")
    for version in ("2", "1"):
        await engine.specs.put(order(version))
    with pytest.raises(SpecNotFoundError, match=r"did you mean 'order'\?"):
        await engine.specs.get("ordre")
    with pytest.raises(SpecNotFoundError, match="Fix: there are order"):
        await engine.specs.get("something else")
    with pytest.raises(SpecNotFoundError, match=r"'order' has no version '3'\. Fix: latest first, there are 1, 2"):
        await engine.specs.get("order", "3")


async def test_each_tenant_has_specs_of_its_own(engine: WorkflowEngine) -> None:
    tenants = ("a", "a0", "a-", "inbox", "specs", "default")
    for number, tenant in enumerate(tenants):
        await engine.specs.put(order(x=number), tenant=tenant)
    for number, tenant in enumerate(tenants):
        (only,) = await engine.specs.list(tenant)
        assert (only.tenant, only.spec.steps[0].inputs) == (tenant, {"x": number})
        assert await soon(engine.specs.get("order", tenant=tenant)) == only
        assert engine.store.streams(tenant) == [] and engine.store.runs(tenant, None, 10) == []
    rebuild = Rebuild(engine.store)
    rebuild.catch_up()
    assert rebuild.rows == {} and rebuild.unreadable == {}


async def test_the_latest_is_never_stale(engine: WorkflowEngine, place: Place) -> None:
    async with WorkflowEngine(place.open()) as other:
        for version in ("3", "1", "2"):
            await other.specs.put(order(version))
            assert (await engine.specs.get("order")).version == version
    many = await asyncio.gather(*(engine.specs.put(order(f"v{n}", x=n)) for n in range(20)))
    assert all(each.new for each in many)
    assert len(await engine.specs.list()) == 23
    assert sum(each.latest for each in await engine.specs.list()) == 1


async def test_a_run_is_started_by_name(engine: WorkflowEngine, place: Place) -> None:
    await engine.specs.put(order("1", x="old"))
    await engine.specs.put(order("2", x="new"))
    assert (await engine.run("order", "latest")).output == {"a": {"x": "new"}}
    assert (await engine.run("order#1", "first")).output == {"a": {"x": "old"}}
    assert (await engine.run("order#1", "first", replay=True)).success
    assert (await engine.start("order#1", "later")).status == "running"
    for version, run_id in (("2", "latest"), ("1", "first"), ("1", "later")):
        recorded = (await engine.state(run_id)).started
        assert recorded.workflow_version == version
        assert recorded.spec == (await engine.specs.get("order", version)).payload
    with pytest.raises(SpecNotFoundError):
        await engine.run("order", "elsewhere", tenant="another")
    for text in ("", "a b", "order#", "#1", "order#1#2", "workflow_type: order\n"):
        with pytest.raises(CallError, match="is no name of a workflow"):
            await engine.run(text, "never")


async def test_a_large_spec_is_kept_whole(engine: WorkflowEngine, place: Place) -> None:
    large = order(x="x" * 100_000)
    await engine.specs.put(large)
    async with WorkflowEngine(place.open()) as other:
        assert (await other.specs.get("order")).spec.to_json()["steps"] == large["steps"]
    proof = verify_specs(engine.store)
    assert proof is not None and proof.ok


async def test_what_does_not_belong_into_the_stream_is_not_served(engine: WorkflowEngine) -> None:
    await engine.specs.put(order())
    stream = specs_of("default")
    head = engine.store.heads([stream]).get(stream, EMPTY)
    unit = Unit((Append(stream, head, (started("stranger"),)),))
    assert engine.store.commit([Sealer("stranger").seal(unit)], "stranger") == [True]
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"run\.started cannot occur here"):
            await engine.specs.get("order")
    proof = verify_specs(engine.store)
    assert proof is not None and proof.chain == () and [each.number for each in proof.fold] == [2]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("same", [True, False])
def test_of_two_processes_that_register_a_version_at_the_same_time_one_wins(
    kind: str, same: bool, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    store = place.open()
    numbers = [0, 0] if same else [0, 1]
    versions = [str(version) for version in range(25)]
    with multiprocessing.get_context("forkserver").Manager() as manager:
        meeting = manager.Barrier(2)
        with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as pool:
            told = list(pool.map(register_elsewhere, [place.url] * 2, numbers, [versions] * 2, [meeting] * 2))
    for one, other in zip(*told, strict=True):
        assert sorted((one, other)) == ["registered", "unchanged" if same else "version '…' is taken"]
    assert store.heads([specs_of("default")])[specs_of("default")].version == len(versions)
    proof = verify_specs(store)
    assert proof is not None and proof.ok and proof.events == len(versions)
