"""Sensitive data: encrypted in the log, the same hashes everywhere, gone when erased."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from refold import WorkflowEngine, WorkflowResult, call, open_store, workflow
from refold.core.canonical import canonical_json
from refold.core.errors import DataKeyError
from refold.core.events import RunParked, RunStarted, StepCompleted, StepFailed
from refold.core.hashing import sha256_hex
from refold.eventstore.master_keys import MasterKeys
from refold.eventstore.store import Store
from refold.replay.proving import Prover
from refold.replay.verify import verify_run
from refold.tests.support.sensitive_skills import SECRET, lookup, seen, skills
from refold.tests.support.workflows import events_of, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> Path:
    seen.clear()
    path = tmp_path / "data-keys.json"
    MasterKeys.new().save(path)
    return path


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'log.db'}"
    with closing(open_store(url)) as opened:
        yield opened


@pytest.fixture
def memory() -> Store:
    return open_store("memory:")


DOCUMENT = spec(
    step("find", "lookup", who="${inputs.name}"),
    step("plain", "use", a="${inputs.city}"),
    step("pay", "use", card="${find.card}", text="of ${find.name}: ${find}", whole="${inputs}"),
    step("deep", "peeks", value="${pay.list[0].card}"),
    inputs={"city": "Paris"},
    sensitive_inputs=["name"],
    output={"card": "${deep}", "city": "${plain.got.a}"},
)


WAITS = spec(
    step("find", "lookup", who="Ada"),
    step("w", "wait_signal", name="go", depends_on=["find"]),
    step("use", "use", card="${find.card}", depends_on=["w"]),
)


async def run(target: Any, store: Store, keys: Path | None, *workflows: Any, **options: Any) -> WorkflowResult:
    if target is DOCUMENT:
        options.setdefault("inputs", {"name": "Ada"})
    async with WorkflowEngine(store, skills(*workflows), data_keys=keys) as engine:
        return await soon(engine.run(target, options.pop("run_id", "r"), **options))


async def begin_and_stop(store: Store, keys: Path) -> None:
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        task = asyncio.create_task(engine.run(WAITS, "r"))
        await until(lambda: any(record.topic == "step.waiting" for record in store.read("default/r")))
        await engine.close()
        await asyncio.gather(task, return_exceptions=True)


def stored(store: Store, run_id: str = "r") -> bytes:
    records = store.read(f"default/{run_id}")
    return b"\n".join(record.state for record in records)


async def test_the_log_holds_placeholders_and_skills_get_values(store: Store, keys: Path) -> None:
    result = await run(DOCUMENT, store, keys)
    assert result.status == "completed", result
    assert result.output == {"card": SECRET, "city": "Paris"}
    assert seen[0] == {"a": "Paris"}
    found = '{"card":"4711-canary-of-the-sea","name":"Ada"}'
    assert seen[1] == {"card": SECRET, "text": f"of Ada: {found}", "whole": {"name": "Ada", "city": "Paris"}}
    assert seen[2]["pay"]["got"]["card"] == SECRET
    raw = stored(store)
    assert b"canary" not in raw and b"Ada" not in raw and b"Paris" in raw
    started, *events = events_of(store, "r")
    assert isinstance(started, RunStarted)
    assert started.inputs.value == {"name": {"$sensitive": "inputs.name"}, "city": "Paris"}
    done = {event.step_id: event for event in events if isinstance(event, StepCompleted)}
    assert done["plain"].output.value["got"] == {"a": "Paris"}
    assert done["pay"].output.value == {"$sensitive": "pay"}
    assert done["pay"].inputs_hash == sha256_hex(
        canonical_json(
            {
                "card": {"$sensitive": "find.card"},
                "text": 'of {"$sensitive":"find.name"}: {"$sensitive":"find"}',
                "whole": {"name": {"$sensitive": "inputs.name"}, "city": "Paris"},
            }
        )
    )
    assert verify_run(store, "r").ok
    proof = await Prover(store, skills()).prove("r")
    assert proof.verdict == "equal" and proof.executed == 1 and "sensitive" in proof.results["execution"].reason


async def test_hashes_are_the_same_with_other_data_keys_and_stores(store: Store, memory: Store, keys: Path) -> None:
    one = await run(DOCUMENT, store, keys, inputs={"name": "Ada"})
    MasterKeys.new().save(keys)
    other = await run(DOCUMENT, memory, keys, inputs={"name": "Grace"})
    assert one.workflow_hash == other.workflow_hash


async def test_a_run_goes_on_from_the_log(store: Store, keys: Path) -> None:
    async with WorkflowEngine(store, skills(), data_keys=keys, parks=True) as engine:
        await soon(engine.start(WAITS, "r"))
        await soon(engine.signal("r", "go"))
    result = await run(WAITS, store, keys)
    assert result.status == "completed" and seen == [{"card": SECRET}]


async def test_nothing_is_written_without_a_key(memory: Store, tmp_path: Path) -> None:
    with pytest.raises(DataKeyError, match="refold data-keys rotate"):
        await run(DOCUMENT, memory, None)
    with pytest.raises(DataKeyError, match="cannot be read"):
        await run(DOCUMENT, memory, tmp_path / "none.json")
    assert memory.last_position() == 0
    assert (await run(spec(step("a", "use", x=1)), memory, None)).status == "completed"


async def test_failures_of_sensitive_steps_tell_their_codes_only(memory: Store, keys: Path) -> None:
    result = await run(
        spec(step("f", "fails", value="${inputs.name}"), sensitive_inputs=["name"]),
        memory,
        keys,
        inputs={"name": SECRET},
    )
    assert (result.status, result.error_code) == ("failed", "SKILL_ERROR")
    assert b"canary" not in stored(memory) and "not recorded" in str(result.message)


async def test_the_same_run_is_told_from_another_by_what_is_hidden(memory: Store, keys: Path) -> None:
    from refold import RunConflictError

    await run(DOCUMENT, memory, keys, inputs={"name": "Ada"})
    assert (await run(DOCUMENT, memory, keys, inputs={"name": "Ada"})).status == "completed"
    with pytest.raises(RunConflictError, match="another inputs"):
        await run(DOCUMENT, memory, keys, inputs={"name": "Eve"})


async def test_large_data_lie_beside_the_event(store: Store, keys: Path) -> None:
    document = spec(step("a", "use", x="${inputs.x}"), sensitive_inputs=["x"])
    result = await run(document, store, keys, inputs={"x": "canary" * 30_000})
    assert result.output["a"]["got"]["x"].startswith("canarycanary")
    assert b"canary" not in stored(store) and verify_run(store, "r").ok
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        again = await soon(engine.resume("r"))
    assert again.output == result.output


async def test_ciphertexts_cannot_be_moved(memory: Store, keys: Path) -> None:
    from refold.compose import data_keys_of
    from refold.eventstore.codec import decode

    await run(DOCUMENT, memory, keys)
    cipher = data_keys_of(memory, keys)
    record = next(
        each for each in memory.read("default/r") if b'"output_hash"' in each.state and b'"find"' in each.state
    )
    here: Any = decode(record, {}, None, cipher)
    assert here.output.revealed().value == {"name": "Ada", "card": SECRET}
    moved: Any = decode(record._replace(version=record.version + 1), {}, None, cipher)
    assert moved.output.hidden.plain is None and moved.output.value == {"$sensitive": "find"}


async def test_functions_are_sensitive_as_a_whole(store: Store, keys: Path) -> None:
    @workflow(sensitive=True)
    async def paying(name: str) -> Any:
        found = await lookup(name)
        return [await call("use", card=found["card"]), name]

    result = await run(paying, store, keys, paying, inputs={"name": "Ada"})
    assert result.status == "completed" and result.output[1] == "Ada" and seen == [{"card": SECRET}]
    raw = stored(store)
    assert b"canary" not in raw and b"Ada" not in raw
    assert verify_run(store, "r").ok
    async with WorkflowEngine(store, skills(paying), data_keys=keys) as engine:
        replayed = await soon(engine.replay("r"))
        assert replayed.sealed == 2
        await soon(engine.erasures.run("r"))
    async with WorkflowEngine(store, skills(paying), data_keys=keys) as engine:
        from refold.core.errors import DataErasedError

        with pytest.raises(DataErasedError):
            await soon(engine.replay("r"))
    assert verify_run(store, "r").ok


async def test_a_sensitive_skill_needs_a_sensitive_function(memory: Store, keys: Path) -> None:
    @workflow
    async def open_one() -> Any:
        return await lookup("Ada")

    result = await run(open_one, memory, keys, open_one)
    assert result.error_code == "SENSITIVE_UNDECLARED" and "@workflow(sensitive=True)" in str(result.message)


async def test_erased_data_are_gone_and_everything_still_proves(store: Store, keys: Path) -> None:
    await run(DOCUMENT, store, keys)
    before = [record.state for record in store.read("default/r")]
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        assert await engine.erasures.run("r", reason="asked for", by="Ada") == ["r"]
        assert await engine.erasures.run("r") == ["r"]
        log = await engine.erasures.read()
        assert [(event.reason, event.by) for event in log.erased.values()] == [("asked for", "Ada")]
    assert [record.state for record in store.read("default/r")] == before
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        result = await soon(engine.resume("r"))
        await soon(engine.replay("r"))
    assert result.status == "completed" and result.output == {"card": {"$sensitive": "deep"}, "city": "Paris"}
    assert verify_run(store, "r").ok
    assert (await Prover(store, skills()).prove("r")).verdict == "equal"


async def test_an_unfinished_run_whose_data_are_erased_fails(store: Store, keys: Path) -> None:
    await begin_and_stop(store, keys)
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        await engine.erasures.run("r")
        await soon(engine.signal("r", "go"))
    result = await run(WAITS, store, keys)
    assert (result.status, result.error_code) == ("failed", "DATA_ERASED") and not seen
    (failed,) = (event for event in events_of(store, "r") if isinstance(event, StepFailed))
    assert failed.step_id == "use" and verify_run(store, "r").ok


async def test_erased_data_are_gone_from_memory(store: Store, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refold.eventstore.data_keys.KEPT_SECONDS", 0.0)
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        task = asyncio.create_task(engine.run(WAITS, "r"))
        await until(lambda: any(record.topic == "step.waiting" for record in store.read("default/r")))
        async with WorkflowEngine(store, skills(), data_keys=keys) as other:
            await other.erasures.run("r")
            await soon(other.signal("r", "go"))
        result = await soon(task)
    assert (result.status, result.error_code) == ("failed", "DATA_ERASED") and not seen
    assert verify_run(store, "r").ok


@pytest.mark.parametrize("there", [None, "another"])
async def test_who_has_no_key_leaves_a_run_to_others(store: Store, keys: Path, there: str | None) -> None:
    await begin_and_stop(store, keys)
    path = None if there is None else keys.with_name(there)
    if path is not None:
        MasterKeys.new().save(path)
    async with WorkflowEngine(store, skills(), data_keys=path) as engine:
        with pytest.raises(DataKeyError):
            await soon(engine.resume("r"))
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        await soon(engine.signal("r", "go"))
        assert (await soon(engine.run(WAITS, "r"))).status == "completed"


async def test_an_unfinished_function_whose_data_are_erased_is_parked(memory: Store, keys: Path) -> None:
    from refold import wait_signal

    @workflow(sensitive=True)
    async def waiting(name: str) -> Any:
        await lookup(name)
        return await wait_signal("go")

    async with WorkflowEngine(memory, skills(waiting), data_keys=keys) as engine:
        task = asyncio.create_task(engine.run(waiting, "r", inputs={"name": "Ada"}))
        await until(lambda: any(record.topic == "step.waiting" for record in memory.read("default/r")))
        await engine.close()
        await asyncio.gather(task, return_exceptions=True)
    async with WorkflowEngine(memory, skills(waiting), data_keys=keys) as engine:
        await engine.erasures.run("r")
    async with WorkflowEngine(memory, skills(waiting), data_keys=keys) as engine:
        result = await soon(engine.resume("r"))
    assert result.status == "parked" and result.error_code == "DATA_ERASED"
    assert any(isinstance(event, RunParked) for event in events_of(memory, "r"))


async def test_subjects_are_erased_with_their_forks(store: Store, keys: Path) -> None:
    for run_id, subject in (("a", "ada@example.com"), ("b", "ada@example.com"), ("c", "eve@example.com")):
        await run(DOCUMENT, store, keys, run_id=run_id, subject=subject)
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        fork = await soon(engine.fork("a", from_step="deep", new_id="f", here=True))
        assert fork.output == {"card": SECRET, "city": "Paris"}
        assert sorted(await engine.erasures.subject("ada@example.com")) == ["a", "b", "f"]
    outputs: dict[str, Any] = {}
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        for run_id in ("a", "b", "c", "f"):
            outputs[run_id] = (await soon(engine.resume(run_id))).output["card"]
            assert verify_run(store, run_id).ok
        late = await soon(engine.fork("a", from_step="deep", new_id="late", here=True))
    hidden = {"$sensitive": "deep"}
    assert outputs == {"a": hidden, "b": hidden, "c": SECRET, "f": hidden}
    assert (late.status, late.error_code) == ("failed", "DATA_ERASED") and verify_run(store, "late").ok
    rows = store.data_keys.rows("", 10)
    assert "ada" not in str(rows) and {row.stream for row in rows if row.wrapped is None} >= {"default/a", "default/f"}


def _crash(stream: str) -> bool:
    raise ZeroDivisionError(stream)


async def test_a_crash_between_record_and_erasure_is_made_good(
    store: Store, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(DOCUMENT, store, keys)
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(engine.data_keys, "destroy", _crash)
            with pytest.raises(ZeroDivisionError):
                await engine.erasures.run("r")
        assert (await soon(engine.resume("r"))).output["card"] == SECRET
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        assert await engine.erasures.finish() == ["default/r"]
        assert await engine.erasures.finish() == []
        assert (await soon(engine.resume("r"))).output["card"] == {"$sensitive": "deep"}


async def test_master_keys_rotate_with_overlap(store: Store, keys: Path) -> None:
    await run(DOCUMENT, store, keys, run_id="old")
    MasterKeys.load(keys).rotated().save(keys)
    await run(DOCUMENT, store, keys, run_id="new")
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        assert engine.data_keys.rewrap() == 1 and engine.data_keys.rewrap() == 0
    MasterKeys.load(keys).without("d1").save(keys)
    async with WorkflowEngine(store, skills(), data_keys=keys) as engine:
        assert (await soon(engine.resume("old"))).output["card"] == SECRET
    assert {row.key_id for row in store.data_keys.rows("", 10)} == {"d2"}


async def test_sensitive_data_go_into_no_approval_and_no_open_child(memory: Store, keys: Path) -> None:
    asks = step("a", "approval", reason="pay for ${inputs.name}?", approvers=["ada"])
    child = step("c", "run_workflow", inputs={"spec": spec(step("x", "echo")), "inputs": {"who": "${inputs.name}"}})
    for run_id, each in (("asks", asks), ("child", child)):
        document = spec(each, sensitive_inputs=["name"])
        result = await run(document, memory, keys, run_id=run_id, inputs={"name": SECRET})
        assert result.status == "failed" and result.error_code == "SENSITIVE_UNDECLARED", result
        assert b"canary" not in stored(memory, run_id)
    assert memory.streams("default") == ["default/asks", "default/child"]


async def test_a_child_that_declares_its_inputs_sensitive_gets_them(memory: Store, keys: Path) -> None:
    inner = spec(step("x", "use", who="$${inputs.who}"), sensitive_inputs=["who"])
    child = step("c", "run_workflow", inputs={"spec": inner, "inputs": {"who": "${inputs.name}"}, "run_id": "inner"})
    result = await run(spec(child, sensitive_inputs=["name"]), memory, keys, inputs={"name": SECRET})
    assert result.status == "completed" and seen == [{"who": SECRET}], result
    assert b"canary" not in stored(memory) + stored(memory, "inner")
    async with WorkflowEngine(memory, skills(), data_keys=keys) as engine:
        assert sorted(await engine.erasures.run("r")) == ["inner", "r"]
