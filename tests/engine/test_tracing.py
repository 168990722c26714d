"""Spans of runs and steps: what they are called, where they hang, and that nobody waits for whoever takes them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from refold import Failure, SkillRegistry, StepContext, WorkflowEngine
from refold.core.events import RunStarted
from refold.core.labels import tenant_label
from refold.core.runtime.tracing import Work, at_work, current_traceparent, working_on
from refold.core.runtime.wait import Child, Wait
from refold.core.traces import parse_traceparent, run_trace, step_span_id
from refold.eventstore.memory import MemoryStore
from refold.ops.opentelemetry_tracer import OpenTelemetryTracer
from refold.ops.span_queue import SpanQueue
from refold.ops.tracing import wanted_exporters
from refold.tests.support.collector import collected
from refold.tests.support.served import served
from refold.tests.support.sink import sink
from refold.tests.support.workflows import events_of, spec, step, until

CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OFF = CLIENT[:-1] + "0"


class Seen:
    """A tracer, and what it told of."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self.tracer = OpenTelemetryTracer(self._memory)

    def spans(self) -> dict[str, ReadableSpan]:
        """All spans by name; none may come twice."""
        self.tracer.close()
        found = self._memory.get_finished_spans()
        assert len({each.name for each in found}) == len(found), [each.name for each in found]
        return {each.name: each for each in found}


@pytest.fixture
def seen() -> Seen:
    return Seen()


def skills() -> SkillRegistry:
    registry = SkillRegistry()
    tries: list[int] = []

    @registry.skill("where")
    async def where(ctx: StepContext) -> list[str | None]:
        work = working_on()
        return [ctx.traceparent, work and work.step_id]

    @registry.skill("second_time")
    def second_time() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise Failure("HTTP_UNREACHABLE", "not yet, token-1234567890")
        return len(tries)

    @registry.skill("begins")
    def begins() -> object:
        return Wait(child=Child(spec=spec(step("c", "where"), workflow_type="below")))

    return registry


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """Trace, span and parent."""
    context = span.context
    assert context is not None
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


async def test_spans_have_the_ids_that_follow_from_the_log(seen: Seen) -> None:
    store = MemoryStore()
    async with WorkflowEngine(store, skills(), tracer=seen.tracer) as engine:
        made = await engine.run(spec(step("a", "where"), step("b", value="${a}")), "r", tenant="acme")
    spans, started = seen.spans(), events_of(store, "r", "acme")[0]
    assert isinstance(started, RunStarted)
    trace = run_trace("acme/r", started)
    assert spans.keys() == {"run test", "step where", "step echo"}
    assert ids(spans["run test"]) == (trace.trace_id, trace.span_id, None)
    first = (trace.trace_id, step_span_id("acme/r", 0, 1), trace.span_id)
    assert ids(spans["step where"]) == first
    assert made.output["b"]["value"] == [f"00-{first[0]}-{first[1]}-01", "a"]
    assert spans["run test"].start_time == started.at * 1000
    told = dict(spans["step where"].attributes or {})
    assert told["refold.tenant"] == tenant_label("acme") and "acme" not in str(told)
    assert (told["refold.run_id"], told["refold.attempt"], told["refold.status"]) == ("r", 1, "completed")


async def test_each_attempt_has_a_span_and_a_failure_says_no_more_than_its_code() -> None:
    memory = InMemorySpanExporter()
    tracer = OpenTelemetryTracer(memory)
    async with WorkflowEngine(MemoryStore(), skills(), tracer=tracer) as engine:
        await engine.run(spec(step("a", "second_time", max_retries=1, retry={"initial_seconds": 0.01})), "r")
    tracer.close()
    tried = [each for each in memory.get_finished_spans() if each.name == "step second_time"]
    assert [(each.attributes or {})["refold.attempt"] for each in tried] == [1, 2]
    assert [each.status.description for each in tried] == ["HTTP_UNREACHABLE", None]
    assert "token-1234567890" not in "".join(each.to_json() for each in tried)


async def test_a_child_hangs_below_the_step_that_began_it(seen: Seen) -> None:
    async with WorkflowEngine(MemoryStore(), skills(), tracer=seen.tracer) as engine:
        with at_work(Work("x/y", trace=CLIENT)):
            await engine.run(spec(step("a", "begins")), "r")
    spans = seen.spans()
    trace, above, _ = ids(spans["step begins"])
    assert ids(spans["run test"])[::2] == (CLIENT.split("-")[1], CLIENT.split("-")[2])
    assert ids(spans["run below"])[::2] == (trace, above) and trace == CLIENT.split("-")[1]
    assert ids(spans["step where"])[2] == ids(spans["run below"])[1]
    assert (spans["wait begins"].attributes or {})["refold.wait"] == "child"


async def test_what_the_caller_does_not_want_recorded_is_not(seen: Seen) -> None:
    async with WorkflowEngine(MemoryStore(), skills(), tracer=seen.tracer) as engine:
        with at_work(Work("x/y", trace=OFF)):
            made = await engine.run(spec(step("a", "where")), "r")
    assert seen.spans() == {}
    assert made.output["a"][0].startswith(OFF[:36]) and made.output["a"][0].endswith("-00"), "it is handed on as such"


async def test_a_run_in_no_trace_is_stored_as_before_there_were_traces(seen: Seen) -> None:
    store = MemoryStore()
    async with WorkflowEngine(store, tracer=seen.tracer) as engine:
        await engine.run(spec(step("a")), "r")
        assert current_traceparent() is None
    state = store.read("default/r", 0, 1)[0].state
    assert b'"trace"' not in state and state.endswith(b'"v":5}')


async def test_a_cancelled_run_that_nobody_executes_is_told_of_too(seen: Seen) -> None:
    async with WorkflowEngine(MemoryStore(), tracer=seen.tracer) as engine:
        await engine.start(spec(step("a")), "r")
        await engine.cancel("r")
    assert (seen.spans()["run test"].attributes or {})["refold.status"] == "cancelled"


async def test_a_replay_is_not_told_of(seen: Seen) -> None:
    async with WorkflowEngine(MemoryStore(), tracer=seen.tracer) as engine:
        await engine.run(spec(step("a")), "r")
        await engine.replay("r")
    assert seen.spans().keys() == {"run test", "step echo"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        CLIENT.upper(),
        CLIENT + "-more",
        CLIENT[:-1],
        "ff" + CLIENT[2:],
        CLIENT.replace("00f067aa0ba902b7", "0" * 16),
        CLIENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        CLIENT + "\n",
        " " + CLIENT,
        CLIENT.replace("4", "\u0664"),
    ],
)
def test_what_is_no_traceparent_counts_for_nothing(text: str | None) -> None:
    assert parse_traceparent(text) is None


def test_a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = parse_traceparent("01" + CLIENT[2:-2] + "ff-more")
    assert found is not None and found.header() == CLIENT


class Away(SpanExporter):
    """An exporter that fails, or waits until it is let go."""

    def __init__(self, hang: bool):
        self.asked = 0
        self.let_go = threading.Event()
        self._hang = hang

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += 1
        if self._hang:
            self.let_go.wait(60)
        raise ConnectionError("nobody is there")

    def shutdown(self) -> None:
        self.let_go.set()


@pytest.mark.parametrize("hang", [False, True])
async def test_an_exporter_that_is_away_or_hangs_costs_spans_and_one_warning(
    hang: bool, caplog: pytest.LogCaptureFixture
) -> None:
    away = Away(hang)
    tracer = OpenTelemetryTracer(away)
    async with WorkflowEngine(MemoryStore(), tracer=tracer) as engine:
        for number in range(5):
            assert (await engine.run(spec(step("a")), f"r{number}")).success
            if not number:
                await until(lambda: away.asked)
        began = time.monotonic()
        await asyncio.to_thread(tracer.close, 0.3)
        assert time.monotonic() - began < 10, "whoever ends does not wait for ever"
    assert [record.message for record in caplog.records] == [
        "traces cannot be sent as they should; spans are dropped until they can"
    ]
    away.let_go.set()


def test_the_queue_is_bounded() -> None:
    away = Away(hang=True)
    queue = SpanQueue(away, most=3, batch=1, delay=0.01)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    for _ in range(10):
        provider.get_tracer("x").start_span("x").end()
    assert queue.dropped >= 6
    queue.close(0.01)


async def test_a_request_has_a_span_and_the_run_that_it_starts_hangs_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    with sink() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
        with served(store) as url:
            async with httpx2.AsyncClient(base_url=url) as client:
                body = {"spec": spec(step("a")), "run_id": "r"}
                await client.post("/v1/runs", json=body, headers={"traceparent": CLIENT})
                await client.get("/health")
                await client.get(
                    "/v1/runs/nowhere?secret=1", headers=[("traceparent", CLIENT), ("traceparent", CLIENT)]
                )
    posted, looked = collected(collector)
    assert (posted.name, looked.name) == ("POST /v1/runs", "GET /v1/runs/{run_id}")
    assert (posted.trace, posted.parent) == (CLIENT.split("-")[1], CLIENT.split("-")[2])
    assert posted.attributes["http.response.status_code"] == 201
    assert looked.trace != posted.trace and looked.parent == "", "of two headers none counts"
    started = events_of(store, "r")[0]
    assert isinstance(started, RunStarted) and started.trace == f"00-{posted.trace}-{posted.span}-01"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "True"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, ()),
    ],
)
def test_the_environment_says_where_traces_go(environment: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert wanted_exporters(environment) == wanted


def test_an_engine_without_traces_loads_nothing_of_opentelemetry() -> None:
    program = (
        "import asyncio, sys, refold\n"
        "async def main():\n"
        "    async with refold.WorkflowEngine('memory:') as engine:\n"
        "        await engine.run({'workflow_type': 't', 'steps': [{'step_id': 'a', 'skill_id': 'echo'}]})\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
