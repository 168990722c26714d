"""What receivers are told, in which order, how often, and when it is given up; time is turned by hand."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from refold import SkillRegistry, WorkflowEngine
from refold.core.addresses import Allowed
from refold.core.emergency import Scope
from refold.core.errors import AddressRefusedError, CallError, Failure
from refold.core.events import RunStarted
from refold.core.hashing import sha256_hex
from refold.core.ids import webhooks_of
from refold.core.runtime.skill import skill
from refold.core.traces import run_trace
from refold.eventstore.log import EventLog
from refold.eventstore.outbox import Lookup
from refold.ops.opentelemetry_tracer import OpenTelemetryTracer
from refold.ops.webhooks.sender import DAY_SECONDS, DELAYS_SECONDS
from refold.projections.webhook_body import MAX_BODY_BYTES
from refold.replay.webhook_control import verify_webhooks
from refold.tests.support.sink import Answer
from refold.tests.support.workflows import events_of, soon, spec, step, until
from refold.tests.webhooks.conftest import World

FULL = [("run.started", "a"), ("run.completed", "a")]


async def test_a_receiver_is_told_in_the_order_of_the_log_what_it_asked_for(world: World) -> None:
    await world.subscribe("run.*")
    await world.subscribe("run.failed", path="/failed")
    await world.run("a", "b")
    assert await world.sender.once() == 1
    assert world.told() == [*FULL, ("run.started", "b"), ("run.completed", "b")]
    assert world.told("/failed") == []
    assert await world.sender.once() == 0


async def test_the_message_says_what_happened_and_its_hash_is_kept(world: World) -> None:
    await world.subscribe()
    await world.run("a")
    await world.sender.once()
    ended = world.sink.taken[1]
    assert ended.json["type"] == "run.completed"
    data = ended.json["data"]
    assert (data["tenant"], data["run_id"], data["workflow_type"], data["version"]) == ("default", "a", "test", 3)
    assert (data["status"], data["output"]) == ("completed", {"a": {"text": "hello"}})
    assert data["hash"] == world.store.heads(["default/a"])["default/a"].hash
    assert ended.json["timestamp"] == "2026-11-18T11:06:40.000000Z"
    assert world.deliveries()[1].body_hash == sha256_hex(ended.body)
    assert "inputs" not in world.sink.taken[0].json["data"] and "spec" not in world.sink.taken[0].json["data"]


async def test_what_happened_before_the_subscription_is_not_sent(world: World) -> None:
    await world.run("old")
    await world.subscribe()
    await world.run("a")
    await world.sender.once()
    assert world.told() == FULL


async def test_tenants_hear_of_their_own_runs_alone(world: World) -> None:
    await world.subscribe(tenant="acme", path="/acme")
    await world.subscribe()
    await world.run("a")
    await world.run("b", tenant="acme")
    await world.sender.once()
    assert world.told("/acme") == [("run.started", "b"), ("run.completed", "b")]
    assert world.told() == FULL


async def test_while_one_is_retried_the_later_ones_wait_and_other_endpoints_do_not(world: World) -> None:
    await world.subscribe(path="/first")
    world.sink.answer(500, 204)
    await world.run("a")
    await world.sender.once()
    await world.subscribe(path="/other")
    await world.run("b")
    await world.sender.once()
    assert world.told("/first") == [("run.started", "a")], "it was not taken, so the next one waits"
    assert world.told("/other") == [("run.started", "b"), ("run.completed", "b")]
    world.clock.turn(4)
    await world.sender.once()
    assert len(world.told("/first")) == 1
    world.clock.turn(2)
    await world.sender.once()
    runs = [("run.started", "a"), *FULL, ("run.started", "b"), ("run.completed", "b")]
    assert world.told("/first") == runs, "the failed one came again, and then all others in order"
    ids = [each.id for each in world.sink.taken if each.path == "/first"]
    assert ids[0] == ids[1] and len(set(ids)) == 4


async def test_after_the_last_retry_a_message_is_dead_and_the_next_one_follows(world: World) -> None:
    await world.subscribe("run.started")
    world.sink.answer(503)
    await world.run("a")
    waits: list[float] = []
    await world.sender.once()
    while world.deliveries("waiting"):
        (waiting,) = world.deliveries("waiting")
        waits.append((waiting.due - world.clock.at) / 1_000_000)
        assert await world.sender.once() == 0, "not before it is due"
        world.clock.at = waiting.due
        assert await world.sender.once() == 1
    assert len(world.sink.taken) == 11 and len({each.id for each in world.sink.taken}) == 1
    for waited, planned in zip(waits, DELAYS_SECONDS, strict=True):
        assert 0.9 * planned <= waited <= 1.1 * planned
    (dead,) = world.deliveries("dead")
    assert (dead.attempts, dead.code, dead.error) == (11, 503, "WEBHOOK_NOT_TAKEN: HTTP 503")
    world.sink.answer(204)
    await world.run("b")
    await world.sender.once()
    assert world.told()[-1] == ("run.started", "b")


async def test_what_has_waited_a_day_behind_others_is_tried_once(world: World) -> None:
    await world.subscribe("run.started")
    world.sink.answer(500)
    await world.run("a", "b")
    await world.sender.once()
    world.clock.turn(DAY_SECONDS)
    await world.sender.once()
    assert [each.attempts for each in world.deliveries("dead")] == [2, 1]
    await world.run("c")
    await world.sender.once()
    assert [each.attempts for each in world.deliveries("waiting")] == [1], "a new one has its own day"


async def test_what_is_dead_is_replayed_under_the_same_id(world: World) -> None:
    endpoint = await world.subscribe("run.started")
    world.sink.answer(500)
    await world.run("a")
    await world.sender.once()
    world.clock.turn(DAY_SECONDS)
    await world.sender.once()
    (dead,) = world.deliveries("dead")
    world.sink.answer(204)
    await world.sender.once()
    assert len(world.sink.taken) == 2
    assert world.store.outbox.replay(Lookup("default", message_id=dead.message_id), world.clock.at) == 1
    await world.sender.once()
    assert {each.id for each in world.sink.taken} == {dead.message_id} and len(world.sink.taken) == 3
    (done,) = world.deliveries("delivered")
    assert (done.attempts, done.endpoint_id, done.error) == (1, endpoint.endpoint_id, "")


async def test_a_receiver_that_asks_for_time_is_given_it(world: World) -> None:
    await world.subscribe("run.started")
    world.sink.answer(Answer(429, {"retry-after": "600"}), 204)
    await world.run("a")
    await world.sender.once()
    world.clock.turn(599)
    assert await world.sender.once() == 0
    world.clock.turn(1)
    assert await world.sender.once() == 1
    assert [each.status for each in world.deliveries()] == ["delivered"]


async def test_a_receiver_that_is_gone_is_disabled_and_called_no_more(world: World) -> None:
    endpoint = await world.subscribe()
    world.sink.answer(410)
    await world.run("a", "b")
    await world.sender.once()
    assert len(world.sink.taken) == 1
    assert [each.code for each in world.deliveries("dead")] == [410, None, None, None]
    found = await world.engine.webhooks.get(endpoint.endpoint_id)
    assert not found.enabled and "410 Gone" in found.why
    await world.run("while-away")
    await world.engine.webhooks.enable(endpoint.endpoint_id, by="ada")
    world.sink.answer(204)
    await world.run("c")
    await world.sender.once()
    assert world.told()[1:] == [("run.started", "c"), ("run.completed", "c")]
    topics = [event.topic for event in EventLog(world.store, "").events(webhooks_of("default"))]
    assert topics == ["webhook.subscribed", "webhook.disabled", "webhook.enabled"]


async def test_for_a_day_both_secrets_verify_and_then_the_new_one_alone(world: World) -> None:
    endpoint = await world.subscribe("run.started")
    await world.run("a")
    await world.sender.once()
    await world.engine.webhooks.rotate(endpoint.endpoint_id, world.new_key())
    await world.run("b")
    await world.sender.once()
    world.clock.turn(DAY_SECONDS)
    await world.run("c")
    await world.sender.once()
    old, new = (world.secret(key_id) for key_id in world.keys)
    signed = [(each.is_signed_with(old), each.is_signed_with(new)) for each in world.sink.taken]
    assert signed == [(True, False), (True, True), (False, True)]


async def test_the_standards_own_library_verifies_what_arrives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = await world.subscribe()
    await world.run("a")
    await world.sender.once()
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", _timestamp_of)
    for each in world.sink.taken:
        assert Webhook(world.secret(endpoint.key_id)).verify(each.body, each.headers) == each.json
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"n" * 32).decode()).verify(each.body, each.headers)


def _timestamp_of(_: Webhook, header: str) -> object:
    return datetime.fromtimestamp(float(header), tz=UTC)


async def test_a_missing_key_costs_no_attempt_and_is_tried_again(world: World) -> None:
    endpoint = await world.subscribe("run.started")
    secret = world.keys.pop(endpoint.key_id)
    await world.run("a")
    await world.sender.once()
    (waiting,) = world.deliveries("waiting")
    assert waiting.attempts == 0 and waiting.error.startswith("WEBHOOK_KEY_MISSING")
    assert world.sink.taken == []
    world.keys[endpoint.key_id] = secret
    world.clock.turn(60)
    await world.sender.once()
    assert world.told() == [("run.started", "a")]


async def test_a_change_counts_from_its_place_in_the_log(world: World) -> None:
    endpoint = await world.subscribe("run.started")
    await world.run("a")
    await world.engine.webhooks.change(endpoint.endpoint_id, patterns=["run.completed"])
    await world.run("b")
    await world.engine.webhooks.remove(endpoint.endpoint_id)
    await world.run("c")
    await world.sender.once()
    assert world.told() == [] and world.deliveries() == [], "what is removed is told of nothing more"
    assert await world.engine.webhooks.list() == []


async def test_patterns_change_with_the_log_and_not_when_the_outbox_reads_it(world: World) -> None:
    endpoint = await world.subscribe("run.started")
    await world.run("a")
    await world.engine.webhooks.change(endpoint.endpoint_id, patterns=["run.completed"])
    await world.run("b")
    await world.sender.once()
    assert world.told() == [("run.started", "a"), ("run.completed", "b")]


async def test_what_is_too_large_is_replaced_by_its_hash(world: World) -> None:
    await world.subscribe("run.completed")
    text = "x" * 100_000
    await world.engine.run(spec(step("a", text=text)), run_id="large")
    await world.engine.run(spec(step("a", text=text[:40_000])), run_id="small")
    await world.sender.once()
    large, small = (each.json["data"] for each in world.sink.taken)
    assert "output" not in large and large["output_omitted"]["sha256"] == large["output_hash"]
    assert large["output_omitted"]["bytes"] > 100_000
    assert small["output"] == {"a": {"text": text[:40_000]}}
    assert all(len(each.body) <= MAX_BODY_BYTES for each in world.sink.taken)


async def test_secrets_in_messages_are_masked(world: World) -> None:
    @skill
    def leaking() -> None:
        raise Failure(
            "HTTP_CLIENT_ERROR", "cannot reach https://ada:hunter2@example.com with token=abc123", retryable=False
        )

    registry = SkillRegistry()
    registry.register(leaking)
    await world.subscribe("step.failed", "run.failed")
    async with WorkflowEngine(world.store, registry, clock=world.clock) as engine:
        await engine.run(spec(step("a", "leaking")), run_id="leak")
    await world.sender.once()
    assert [each.json["type"] for each in world.sink.taken] == ["step.failed", "run.failed"]
    for each in world.sink.taken:
        assert each.json["data"]["error_code"] == "HTTP_CLIENT_ERROR"
        assert b"hunter2" not in each.body and b"abc123" not in each.body


async def test_approvals_are_told_as_they_are_asked_for_and_granted(world: World) -> None:
    await world.subscribe("approval.*")
    asked = spec(step("ship", "approval", reason="ship build 7", approvers=["ada"]))
    running = asyncio.create_task(world.engine.run(asked, run_id="deploy"))
    await until(lambda: "approval.requested" in [event.topic for event in events_of(world.store, "deploy")])
    await world.sender.once()
    assert world.told() == [("approval.requested", "deploy")]
    data = world.sink.taken[0].json["data"]
    assert (data["step_id"], data["reason"], data["approvers"]) == ("ship", "ship build 7", ["ada"])
    await world.engine.approvals.decide("deploy", None, "grant", "ada", "looks good")
    await soon(running)
    await world.sender.once()
    assert world.told()[1:] == [("approval.granted", "deploy")]
    assert world.sink.taken[1].json["data"]["by"] == "ada"


async def test_emergency_stops_are_told_to_those_whom_they_concern(world: World) -> None:
    for tenant in ("default", "acme"):
        await world.subscribe("emergency.*", tenant=tenant, path=f"/{tenant}")
    emergency = world.engine.emergency
    await emergency.enable(Scope("tenant", "acme"), reason="too expensive")
    await emergency.enable(reason="all of it")
    await world.sender.once()
    assert [each.json["data"]["reason"] for each in world.sink.taken if each.path == "/default"] == ["all of it"]
    told = [each.json["data"] for each in world.sink.taken if each.path == "/acme"]
    assert [each["reason"] for each in told] == ["too expensive", "all of it"]
    assert {(each["tenant"], each["run_id"]) for each in told} == {("acme", None)}


async def test_a_receiver_inside_is_refused_and_retried_like_any_failure(world: World) -> None:
    key_id = world.new_key()
    await world.engine.webhooks.subscribe("https://10.9.8.7/", ["run.started"], key_id, allowed=_everything())
    await world.run("a")
    await world.sender.once()
    (waiting,) = world.deliveries("waiting")
    assert waiting.attempts == 1 and waiting.error.startswith("WEBHOOK_ADDRESS_REFUSED: https://10.9.8.7 leads to")


def _everything() -> Allowed:
    return Allowed.parse(["0.0.0.0/0"], http=True)


async def test_subscriptions_are_checked_before_they_are_recorded(world: World) -> None:
    control = world.engine.webhooks
    with pytest.raises(AddressRefusedError, match="loopback"):
        await control.subscribe("https://127.0.0.1/", ["run.*"], "k")
    with pytest.raises(AddressRefusedError, match="not encrypted"):
        await control.subscribe("http://example.com/", ["run.*"], "k")
    with pytest.raises(CallError, match="no pattern"):
        await control.subscribe("https://example.com/", ["secrets.*"], "k")
    for unknown in (control.get("ep_x"), control.remove("ep_x"), control.rotate("ep_x", "k")):
        with pytest.raises(CallError, match="no endpoint 'ep_x'"):
            await unknown
    assert world.store.heads([webhooks_of("default")]) == {}
    assert verify_webhooks(world.store) is None


async def test_what_was_decided_is_proved_and_no_secret_is_in_the_log(world: World) -> None:
    endpoint = await world.subscribe()
    await world.engine.webhooks.rotate(endpoint.endpoint_id, world.new_key(), by="ada")
    await world.engine.webhooks.disable(endpoint.endpoint_id, "holidays", by="ada")
    proof = verify_webhooks(world.store)
    assert proof is not None and proof.ok and proof.events == 3
    stored = b"".join(record.state for record in world.store.read(webhooks_of("default")))
    for key_id, secret in world.keys.items():
        assert key_id.encode() in stored
        assert base64.b64encode(secret) not in stored


async def test_a_sender_runs_until_it_is_drained(world: World) -> None:
    await world.subscribe()
    running = asyncio.create_task(world.sender.run())
    await world.run("a")
    async with asyncio.timeout(20):
        while world.told() != FULL:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    world.sender.drain()
    await soon(running)
    assert world.sender.delivered == 2


async def test_an_attempt_has_a_span_in_the_trace_of_its_run_and_says_so_to_the_receiver(world: World) -> None:
    memory = InMemorySpanExporter()
    tracer = OpenTelemetryTracer(memory)
    world.sender._tracer = tracer  # pyright: ignore[reportPrivateUsage]
    await world.subscribe("run.completed")
    await world.run("a")
    await world.sender.once()
    tracer.close()
    (span,) = memory.get_finished_spans()
    started = events_of(world.store, "a")[0]
    assert isinstance(started, RunStarted) and span.context is not None and span.parent is not None
    of_run = run_trace("default/a", started)
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (of_run.trace_id, of_run.span_id)
    assert world.sink.taken[0].headers["traceparent"] == f"00-{of_run.trace_id}-{span.context.span_id:016x}-01"
    about = dict(span.attributes or {})
    assert about["http.response.status_code"] == 204 and "127.0.0.1" not in str(about)
