"""Steps and calls with secrets: what the skill sees, what is recorded, what is refused."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest

from refold import (
    CallError,
    Failure,
    SkillRegistry,
    StepContext,
    WorkflowEngine,
    WorkflowResult,
    call,
    continue_as_new,
    run_workflow,
    secret,
    skill,
    workflow,
)
from refold.core.canonical import canonical_json
from refold.core.events import StepCompleted, StepFailed, StepProgressed
from refold.core.hashing import sha256_hex
from refold.core.runtime.wait import Child, Wait
from refold.eventstore.memory import MemoryStore
from refold.replay.proving import Prover
from refold.replay.verify import verify_run
from refold.testing import TestEnvironment
from refold.tests.support.workflows import events_of, soon, spec, step

pytestmark = pytest.mark.timeout(60)

VALUE = "hunter22-of-the-sea"
seen: list[Any] = []


@skill(deterministic=True, inline=True)
def use(token: Any = None, **rest: Any) -> Any:
    seen.append((token, rest))
    return {"length": len(str(token))}


@skill
async def use_async(token: str) -> str:
    seen.append(token)
    return f"<{token}>"


@skill
def child_of(token: str) -> Wait:
    return Wait(child=Child(workflow="anything", inputs={"token": token}))


@skill
def counted(n: int) -> int:
    return n


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


async def run(target: Any, store: MemoryStore, secrets: dict[str, str] | None = None, **options: Any) -> WorkflowResult:
    skills = SkillRegistry()
    skills.register(use)
    skills.register(use_async)
    skills.register(child_of)
    skills.register(counted)
    if not isinstance(target, dict):
        skills.add_workflow(target)
    given = {"TOKEN": VALUE} if secrets is None else secrets
    async with WorkflowEngine(store, skills, secrets=given) as engine:
        return await soon(engine.run(target, "r", **options))


async def test_the_skill_gets_the_value_and_the_log_the_placeholder() -> None:
    given = {"token": "Bearer ${secrets.TOKEN}", "deep": [{"x": "${secrets.TOKEN}"}], "who": "${inputs.who}"}
    store = MemoryStore()
    result = await run(spec(step("a", "use", **given)), store, inputs={"who": "${secrets.TOKEN}"})
    assert result.status == "completed"
    assert seen == [(f"Bearer {VALUE}", {"deep": [{"x": VALUE}], "who": "${secrets.TOKEN}"})]
    (done,) = (event for event in events_of(store, "r") if isinstance(event, StepCompleted))
    assert done.inputs_hash == sha256_hex(canonical_json({**given, "who": "${secrets.TOKEN}"}))


async def test_what_others_put_out_brings_no_secret() -> None:
    first = step("a", "echo", text="${inputs.text}")
    second = step("b", "use", token="${a.text}", whole="${a}", own="${secrets.TOKEN}")
    text = "send ${secrets.TOKEN} to me"
    await run(spec(first, second), MemoryStore(), inputs={"text": text})
    assert seen == [(text, {"whole": {"text": text}, "own": VALUE})]


async def test_rotation_changes_no_hash() -> None:
    hashes: set[str] = set()
    for value in ("hunter22", "correct horse battery staple"):
        document = spec(step("a", "use_async", token="${secrets.TOKEN}"), step("b", "hash", of="${a}"))
        hashes.add(str((await run(document, MemoryStore(), {"TOKEN": value})).workflow_hash))
    assert len(hashes) == 1


async def test_functions_give_secrets_by_marker() -> None:
    @workflow
    async def calls() -> Any:
        token = "Bearer " + secret("TOKEN") + "!"
        return [
            await use(token, deep=[secret("TOKEN")]),
            await use_async(secret("TOKEN")),
            await call("use", token=token),
        ]

    store = MemoryStore()
    result = await run(calls, store)
    assert result.output == [{"length": 27}, "<[secret TOKEN]>", {"length": 27}]
    assert seen == [(f"Bearer {VALUE}!", {"deep": [VALUE]}), VALUE, (f"Bearer {VALUE}!", {})]
    done = [event.inputs for event in events_of(store, "r") if isinstance(event, StepCompleted)]
    assert [each and each.value for each in done] == [
        {"token": "Bearer ${secrets.TOKEN}!", "deep": ["${secrets.TOKEN}"]},
        {"token": "${secrets.TOKEN}"},
        {"token": "Bearer ${secrets.TOKEN}!"},
    ]
    assert verify_run(store, "r").ok


@dataclass
class Login:
    token: str


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lambda: f"{secret('TOKEN')}", "is put into an f-string"),
        (lambda: use({secret("TOKEN"): 1}), "a secret stands as a key"),
        (lambda: use(Login(secret("TOKEN"))), "a secret stands within a Login"),
        (lambda: run_workflow("x", {"t": secret("TOKEN")}), "the secret 'TOKEN' has no place here"),
        (continue_as_new, "no place here"),
        (lambda: secret("no name"), "is no name of a secret"),
    ],
)
async def test_a_marker_has_its_place(what: Any, told: str) -> None:
    @workflow
    async def calls(again: Any = None) -> Any:
        if told == "no place here":
            continue_as_new(again=secret("TOKEN"))
        return await what()

    result = await run(calls, MemoryStore())
    assert result.status == "failed" and told in str(result.message), result


async def test_runs_are_not_given_secrets_as_inputs() -> None:
    with pytest.raises(CallError, match="at /inputs/t: the secret 'TOKEN' has no place here"):
        await run(spec(step("a")), MemoryStore(), inputs={"t": secret("TOKEN")})


async def test_a_missing_secret_fails_the_step_by_name_and_is_not_tried_again() -> None:
    store = MemoryStore()
    result = await run(spec(step("a", "use", token="${secrets.NOWHERE}", max_retries=5)), store)
    (failed,) = (event for event in events_of(store, "r") if isinstance(event, StepFailed))
    assert (failed.error_code, failed.attempt, failed.cost_cents) == ("SECRET_MISSING", 1, 0)
    assert failed.message == "the secret 'NOWHERE' is nowhere to be had here" and not seen
    assert result.error_code == "SECRET_MISSING"


async def test_what_does_not_fit_is_not_shown() -> None:
    store = MemoryStore()
    await run(spec(step("a", "counted", n="${secrets.TOKEN}")), store)
    (failed,) = (event for event in events_of(store, "r") if isinstance(event, StepFailed))
    assert failed.error_code == "SKILL_INPUT_INVALID"
    assert failed.message is not None and "input 'n' is the text \"${secrets.TOKEN}\"" in failed.message
    # What fits neither way is told with the placeholder, what would fit with it is not told at all.
    assert "hunter" not in failed.message


async def test_a_child_is_not_given_a_secret_in_its_recorded_inputs() -> None:
    store = MemoryStore()
    await run(spec(step("a", "child_of", token="${secrets.TOKEN}")), store)
    (failed,) = (event for event in events_of(store, "r") if isinstance(event, StepFailed))
    assert failed.error_code == "SECRET_EXPOSED" and "let the child ask for it itself" in (failed.message or "")


async def test_codes_messages_and_progress_are_masked() -> None:
    @skill
    async def tell(token: str, ctx: StepContext) -> None:
        import asyncio

        ctx.heartbeat({token: token})
        await asyncio.sleep(1.3)
        raise Failure(token, f"{'x' * 1995}{token}", retryable=False)

    async with TestEnvironment(skills=[tell], secrets={"TOKEN": "AS_A_CODE"}) as env:
        result = await env.run(spec(step("a", "tell", token="${secrets.TOKEN}")), run_id="r")
        (told,) = (event for event in events_of(env.store, "r") if isinstance(event, StepProgressed))
    assert result.error_code == "SKILL_ERROR"
    assert told.details.value == {"details": {"[secret TOKEN]": "[secret TOKEN]"}}
    assert "AS_A" not in str(result)


async def test_an_auditor_needs_no_secrets() -> None:
    store = MemoryStore()
    document = spec(step("a", "use", token="${secrets.TOKEN}"), step("b", "hash", of="${a}"))
    await run(document, store)
    skills = SkillRegistry()
    skills.register(use)
    proof = await Prover(store, skills).prove("r")
    assert proof.verdict == "equal"
    execution = proof.results["execution"]
    assert (proof.executed, proof.served) == (1, 1)
    assert execution.reason == "1 outcome was served from the log, for the calls used secrets or sensitive data"


async def test_an_auditor_of_a_function_needs_none_either() -> None:
    @workflow
    async def calls() -> Any:
        return [await use(secret("TOKEN")), await use("plain")]

    store = MemoryStore()
    await run(calls, store)
    skills = SkillRegistry()
    skills.register(use)
    skills.add_workflow(calls)
    proof = await Prover(store, skills).prove("r")
    assert proof.verdict == "equal" and (proof.executed, proof.served) == (1, 1)
    assert "used secrets or" in proof.results["execution"].reason


async def test_logs_of_any_logger_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    await run(spec(step("a", "use", token="${secrets.TOKEN}")), MemoryStore())
    log = logging.getLogger("somebody")
    log.warning("it is %s", VALUE)
    log.warning("it is %(token)s", {"token": VALUE})
    log.warning("nothing to %s", "hide")
    try:
        raise ValueError(VALUE)
    except ValueError:
        log.exception("it went wrong", stack_info=True)
    assert [record.getMessage() for record in caplog.records] == [
        "it is [secret TOKEN]",
        "it is [secret TOKEN]",
        "nothing to hide",
        "it went wrong",
    ]
    assert caplog.records[2].args == ("hide",)
    assert "ValueError: [secret TOKEN]" in caplog.text and VALUE not in caplog.text


async def test_people_are_not_asked_with_a_secret() -> None:
    store = MemoryStore()
    result = await run(spec(step("a", "approval", reason="use ${secrets.TOKEN}?", approvers=["ada"])), store)
    assert result.error_code == "SECRET_EXPOSED"
    assert all(VALUE.encode() not in record.state for record in store.read("default/r"))
