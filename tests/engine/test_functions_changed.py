"""Code that has changed under runs that rest: such a run is parked, told why, and goes on with mended code."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from refold import Workflow, call, gather, patched, set_attribute, wait_signal, workflow
from refold.core.events import PatchApplied, RunParked
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(30)

Code = Callable[[], Coroutine[Any, Any, Any]]


@functools.cache
def version(function: Code) -> Workflow[[], Any]:
    """A version of the one workflow that all of this is about."""
    return workflow("changing")(function)


async def old() -> Any:
    first = await call("note", x="first")
    await gather(call("note", x="left"), call("note", x="right"))
    went = await wait_signal("go")
    return [first, went, await call("note", x="last")]


async def added_before() -> Any:
    await call("hash", x="new")
    return await old()


async def added_between() -> Any:
    first = await call("note", x="first")
    await call("hash", x="new")
    await gather(call("note", x="left"), call("note", x="right"))
    return [first, await wait_signal("go")]


async def removed() -> Any:
    first = await call("note", x="first")
    return [first, await wait_signal("go")]


async def reordered() -> Any:
    await gather(call("note", x="left"), call("note", x="right"))
    await call("note", x="first")
    return await wait_signal("go")


async def other_inputs() -> Any:
    await call("note", x="FIRST")
    await gather(call("note", x="left"), call("note", x="right"))
    return await wait_signal("go")


async def other_skill() -> Any:
    await call("echo", x="first")
    await gather(call("note", x="left"), call("note", x="right"))
    return await wait_signal("go")


async def fewer_branches() -> Any:
    await call("note", x="first")
    await gather(call("note", x="left"))
    return await wait_signal("go")


async def more_branches() -> Any:
    await call("note", x="first")
    await gather(call("note", x="left"), call("note", x="right"), call("note", x="middle"))
    return await wait_signal("go")


async def returns_earlier() -> Any:
    return await call("note", x="first")


async def raises_earlier() -> Any:
    await call("note", x="first")
    raise ValueError("gone")


async def by_environment() -> Any:
    await call("note", x="first")
    if os.environ.get("REFOLD_TEST_NOT_SET") is None:
        return await wait_signal("go")
    return await old()


CHANGES: list[tuple[Code, int, str, str, str]] = [
    (added_before, 2, "0", "note", "hash at path 0"),
    (added_between, 3, "1.0.0", "note", "hash at path 1"),
    (removed, 3, "1.0.0", "note", "wait_signal at path 1"),
    (reordered, 2, "0", "note", "note at path 0.0.0"),
    (other_inputs, 2, "0", "note", "note at path 0 with other inputs"),
    (other_skill, 2, "0", "note", "echo at path 0"),
    (fewer_branches, 4, "1.1.0", "note", "wait_signal at path 2"),
    (more_branches, 5, "2", "wait_signal", "note at path 1.2.0"),
    (returns_earlier, 3, "1.0.0", "note", "nothing: it returned"),
    (raises_earlier, 3, "1.0.0", "note", "nothing: it raised"),
    (by_environment, 3, "1.0.0", "note", "wait_signal at path 1"),
]


@pytest.mark.parametrize(
    ("new", "event", "path", "recorded", "requested"), CHANGES, ids=[getattr(c[0], "__name__", "") for c in CHANGES]
)
async def test_a_change_parks_the_run_and_the_old_code_goes_on_with_it(
    new: Code, event: int, path: str, recorded: str, requested: str
) -> None:
    stage = Stage(version(old))
    await stage.left_waiting(version(old))
    async with stage.engine(version(new)) as engine:
        result = await soon(engine.resume("r"))
        assert (result.status, result.error_code) == ("parked", "NONDETERMINISM")
        parked = stage.events()[-1]
        assert isinstance(parked, RunParked)
        details: Any = parked.details.value
        assert (details["event"], details["path"]) == (event, path), parked.message
        assert details["recorded"]["skill_id"] == recorded
        assert requested in details["requested"]
        assert details["cause"] and "patched(" in details["fix"]
        for told in (f"event {event} recorded {recorded} at path {path}", requested, "Likely cause", "What to do"):
            assert told in parked.message
        if "nothing" not in requested:
            assert "engine/test_functions_changed.py:" in parked.message
        assert (await soon(engine.resume("r"))).status == "parked", "the same code still does not fit"
        # Another run of the new code is not disturbed.
        other = asyncio.create_task(engine.run("changing", "other"))
        if "nothing" not in requested:
            await until(lambda: "step.waiting" in stage.topics("other"))
            await soon(engine.signal("other", "go"))
        assert (await soon(other)).status == ("failed" if new is raises_earlier else "completed")
    async with stage.engine(version(old)) as engine:
        resumed = asyncio.create_task(engine.resume("r"))
        await soon(engine.signal("r", "go", 1))
        assert (await soon(resumed)).output == ["first", 1, "last"]
        await soon(engine.replay("r"))
    assert stage.proved()


async def test_changed_inputs_are_shown_as_a_difference_with_pointers() -> None:
    stage = Stage(version(old))
    await stage.left_waiting(version(old))
    async with stage.engine(version(other_inputs)) as engine:
        await soon(engine.resume("r"))
    parked = stage.events()[-1]
    assert isinstance(parked, RunParked)
    details: Any = parked.details.value
    assert details["differences"] == [{"pointer": "/x", "recorded": "'first'", "requested": "'FIRST'"}]
    assert "at /x recorded 'first', now 'FIRST'" in parked.message
    assert "environment" in details["cause"] and details["place"].startswith("engine/test_functions_changed.py:")


async def test_a_step_added_after_all_that_is_recorded_changes_nothing() -> None:
    async def longer() -> Any:
        return [await old(), await call("note", x="new")]

    stage = Stage(version(old))
    await stage.left_waiting(version(old))
    async with stage.engine(version(longer)) as engine:
        resumed = asyncio.create_task(engine.resume("r"))
        await soon(engine.signal("r", "go", 1))
        assert (await soon(resumed)).output == [["first", 1, "last"], "new"]


async def test_a_parked_run_can_be_cancelled_and_queries_say_why_they_cannot_be_answered() -> None:
    stage = Stage(version(old))
    await stage.left_waiting(version(old))
    async with stage.engine(version(removed)) as engine:
        await soon(engine.resume("r"))
        with pytest.raises(ValueError, match="event 3 recorded note"):
            await soon(engine.query("r", "any"))
        assert (await soon(engine.cancel("r"))).status == "cancelled"
    assert stage.proved()


async def test_a_patch_lets_old_runs_go_the_old_way_and_new_ones_the_new() -> None:
    async def patching() -> Any:
        if patched("hash first"):
            await call("hash", x="new")
        return await old()

    stage = Stage(version(patching))
    await Stage.left_waiting(stage_of := Stage(version(old), store=stage.store), version(old), run_id="old")
    assert stage_of.topics("old").count("patch.applied") == 0
    async with stage.engine() as engine:
        for run_id, applied in (("old", 0), ("new", 1)):
            run = asyncio.create_task(engine.run("changing", run_id))
            await until(lambda run_id=run_id: "step.waiting" in stage.topics(run_id))
            await soon(engine.signal(run_id, "go", 1))
            assert (await soon(run)).output == ["first", 1, "last"]
            assert stage.topics(run_id).count("patch.applied") == applied
            await soon(engine.replay(run_id))
            assert stage.proved(run_id)


async def test_a_patch_in_a_loop_is_the_same_in_all_its_rounds_also_after_another_restart() -> None:
    async def rounds() -> Any:
        return [await wait_signal("go") for _ in range(4)]

    async def patching() -> Any:
        got: list[Any] = []
        for _ in range(4):
            if patched("note"):
                got.append(await call("note", x="new"))
            got.append(await wait_signal("go"))
        return got

    stage = Stage(version(rounds))
    await stage.left_waiting(version(rounds))
    for n in range(4):
        async with stage.engine(version(patching)) as engine:
            await soon(engine.signal("r", "go", n))
            resumed = asyncio.create_task(engine.resume("r"))
            await until(lambda n=n: stage.topics().count("step.completed") == n + 1)
            await until(lambda n=n: n == 3 or stage.topics().count("step.waiting") == n + 2)
            if n == 3:
                assert (await soon(resumed)).output == [0, 1, 2, 3]
        if n < 3:
            with pytest.raises(ValueError, match="closed"):
                await resumed
    assert stage.called == [] and stage.proved()


async def test_a_patch_is_new_to_a_run_that_was_only_sent_messages() -> None:
    async def patching() -> Any:
        return patched("new")

    stage = Stage(version(patching))
    async with stage.engine() as engine:
        await soon(engine.start("changing", "r"))
        await soon(engine.pause("r"))
        assert (await soon(engine.resume("r"))).output is True


async def test_a_patch_can_be_removed_when_no_run_needs_the_old_way() -> None:
    async def patching() -> Any:
        if patched("hash"):
            await call("hash", x=1)
        set_attribute("seen", True)
        return await wait_signal("go")

    async def afterwards() -> Any:
        await call("hash", x=1)
        return await wait_signal("go")

    stage = Stage(version(patching))
    await stage.left_waiting(version(patching))
    assert any(isinstance(event, PatchApplied) for event in stage.events())
    async with stage.engine(version(afterwards)) as engine:
        resumed = asyncio.create_task(engine.resume("r"))
        await soon(engine.signal("r", "go", 1))
        assert (await soon(resumed)).output == 1
    assert stage.proved()


async def test_patches_in_branches_are_applied_once() -> None:
    async def branch(n: int) -> Any:
        return await call("note", x=n) if patched("both") else None

    async def patching() -> Any:
        return await gather(branch(1), branch(2))

    stage = Stage(version(patching))
    assert (await stage.run(stage.skills.workflows()[0])).output == [1, 2]
    assert stage.topics().count("patch.applied") == 1


async def test_a_workflow_that_is_gone_parks_nothing_but_says_so() -> None:
    stage = Stage(version(old))
    await stage.left_waiting(version(old))
    empty = Stage(store=stage.store)
    async with empty.engine() as engine:
        with pytest.raises(ValueError, match="not registered here"):
            await soon(engine.resume("r"))
    assert stage.topics()[-1] == "step.waiting"


@pytest.mark.parametrize(
    ("name", "awaits"),
    [
        ("sleep", lambda: asyncio.sleep(0.001)),
        ("bare", lambda: asyncio.sleep(0)),
        ("future", lambda: asyncio.get_running_loop().create_future()),
        ("to_thread", lambda: asyncio.to_thread(int)),
        ("gather", lambda: asyncio.gather(asyncio.sleep(0))),
    ],
)
async def test_awaiting_anything_else_parks_the_run_and_says_where(name: str, awaits: Callable[[], Any]) -> None:
    async def foreign() -> None:
        await call("note", x="before")
        await awaits()

    stage = Stage(version(foreign))
    async with stage.engine() as engine:
        result = await soon(engine.run("changing", "r"))
    assert (result.status, result.error_code) == ("parked", "FOREIGN_AWAIT")
    assert result.message is not None and "engine/test_functions_changed.py:" in result.message
    assert "move the rest into a skill" in result.message and stage.proved()


async def test_a_lock_that_nobody_holds_is_no_await_and_one_that_is_held_parks() -> None:
    async def locking() -> Any:
        lock = asyncio.Lock()
        async with lock:
            await call("note", x="free")
        async with lock, lock:
            await call("note", x="never")

    stage = Stage(version(locking))
    async with stage.engine() as engine:
        result = await soon(engine.run("changing", "r"))
    assert (result.error_code, stage.called) == ("FOREIGN_AWAIT", ["free"])
