"""One trace over real processes: from the client's header over HTTP, through a worker that is killed, to another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from refold import open_store
from refold.core.traces import step_span_id
from refold.tests.support.collector import Told, collected
from refold.tests.support.served import served
from refold.tests.support.sink import sink
from refold.tests.support.workflows import spec, step, until

pytestmark = pytest.mark.timeout(120)

CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MODULE = "refold.tests.support.traced_skills"


@contextmanager
def worker(url: str, collector: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that tells of traces."""
    environment = {**os.environ, "REFOLD_DATABASE_URL": url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    command = [sys.executable, "-P", "-m", "refold", "worker", "--skills", MODULE]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


async def test_a_run_keeps_one_trace_though_its_worker_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    work = spec(step("first", "inside"), step("second", "held", depends_on=["first"], folder=str(tmp_path)))
    with sink() as collector, closing(open_store(url)) as store, served(store) as here:
        async with httpx2.AsyncClient(base_url=here) as client:
            body = {"spec": work, "run_id": "r"}
            assert (await client.post("/v1/runs", json=body, headers={"traceparent": CLIENT})).status_code == 201
            with worker(url, collector.url("")) as one:
                await until((tmp_path / f"at-{one.pid}").exists)
                await until(lambda: named(collected(collector), "step inside") is not None)
                one.send_signal(signal.SIGKILL)
                one.wait(30)
            with worker(url, collector.url("")) as two:
                await until((tmp_path / f"at-{two.pid}").exists)
                (tmp_path / "go").touch()
                ended = await client.get("/v1/runs/r/result?wait=40", timeout=60)
                assert ended.json()["status"] == "completed"
                await until(lambda: named(collected(collector), "run test") is not None)
    spans = [each for each in collected(collector) if each.name != "append"]
    run, first, second, own = (named(spans, each) for each in ("run test", "step inside", "step held", "my own work"))
    assert run and first and second and own and len(spans) == 4, [each.name for each in spans]
    assert {each.trace for each in spans} == {CLIENT.split("-")[1]}
    assert run.parent == CLIENT.split("-")[2]
    assert first.parent == second.parent == run.span and own.parent == first.span
    assert first.span == step_span_id("default/r", 0, 1)
    assert first.process != second.process == run.process
    assert run.seconds > second.seconds, "it began where the log says, not where it was taken up again"


def named(spans: list[Told], name: str) -> Told | None:
    """The one span of this name."""
    found = [each for each in spans if each.name == name]
    assert len(found) < 2, f"{name} is told of twice"
    return found[0] if found else None
