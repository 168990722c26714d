"""What machines ask that look after servers: health, readiness, metrics; and how a server says that it stops."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from refold.api import readiness as readiness_module
from refold.api.app import ApiLimits, create_app
from refold.api.ports import Ports
from refold.api.readiness import Readiness, ReadyLimits
from refold.compose import BUILD, WorkflowEngine, open_store
from refold.tests.api.client import Api, problem


def test_metrics_have_bounded_labels_whatever_is_asked_for(memory_api: Api) -> None:
    memory_api.start()
    for path in ("/v1/runs/r", "/v1/runs/other", "/made-up", "/v1/runs/r/made-up"):
        memory_api.get(path)
    memory_api.client.request("BREW", "/health")
    answer = memory_api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    counted = {tuple(each.labels.values()): each.value for each in families["refold_http_requests"].samples}
    assert counted["GET", "/v1/runs/{run_id}", "2xx"] == counted["GET", "/v1/runs/{run_id}", "4xx"] == 1
    assert counted["POST", "/v1/runs", "2xx"] == 1 and counted["GET", "none", "4xx"] == 2
    assert {method for method, *_ in counted} <= {"GET", "POST", "OTHER"}
    took = families["refold_http_request_seconds"].samples
    assert [each.value for each in took if each.name.endswith("_count") and each.labels["route"] == "none"] == [2]
    assert [each.value for each in families["refold_http_requests_under_way"].samples] == [1]


def test_whoever_has_more_to_tell_is_asked_too(memory_api: Api) -> None:
    from prometheus_client.core import GaugeMetricFamily

    with closing(open_store("memory:")) as store:
        ports: Ports = create_app(WorkflowEngine(store), store, BUILD).state.ports
        ports.metrics.sources.append(lambda: iter([GaugeMetricFamily("mine", "Mine.", value=7)]))
        assert b"\nmine 7.0\n" in ports.metrics.text()[0]
        ports.end()


def test_ready_names_each_check_with_its_figure(api: Api) -> None:
    checks = {check["name"]: check for check in api.get("/ready").json()["checks"]}
    assert checks.keys() == {"store", "schema", "projections"}
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert checks["store"]["unit"] == "s" and checks["store"]["value"] < checks["store"]["limit"]


async def test_a_disk_that_is_full_and_a_schema_that_is_old_are_told(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'new.db'}", migrate=False)) as store:
        limits = ReadyLimits(free_bytes=2**62, folders={"store": tmp_path / "not" / "yet"})
        with closing(Readiness(store, limits)) as readiness:
            failed = {check.name: check.detail for check in await readiness.look() if check.failed}
    assert failed["disk:store"] == "little is free" and failed.keys() & {"store", "schema"}


async def test_a_store_that_hangs_makes_the_server_unready_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    asked = 0

    def hang() -> int:
        nonlocal asked
        asked += 1
        go.wait(30)
        return 0

    with closing(open_store("memory:")) as store:
        monkeypatch.setattr(store, "last_position", hang)
        monkeypatch.setattr(readiness_module, "KEPT_SECONDS", 60)
        with closing(Readiness(store, ReadyLimits(seconds=0.05))) as readiness:
            found = await asyncio.gather(*[readiness.look() for _ in range(20)])
            assert all([(check.name, check.state) for check in checks] == [("store", "failed")] for checks in found)
            assert asked == 1
            go.set()
            async with asyncio.timeout(20):
                while (await readiness.look())[0].failed:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.gather(*[readiness.look() for _ in range(20)])
            assert asked == 1


async def test_a_server_that_stops_says_so_before_it_refuses() -> None:
    with closing(open_store("memory:")) as store:
        app = create_app(WorkflowEngine(store), store, BUILD, limits=ApiLimits())
        ports: Ports = app.state.ports
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            ports.traffic.draining = True
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
            listed = await client.get("/v1/runs")
            assert (listed.status_code, listed.headers["connection"]) == (200, "close")
            ports.traffic.stopping = True
            refused = await client.get("/v1/runs")
            problem(refused, 503, "SERVER_BUSY")
            assert (refused.headers["connection"], refused.headers["retry-after"]) == ("close", "1")
            assert (await client.get("/health")).status_code == 200
        ports.end()
