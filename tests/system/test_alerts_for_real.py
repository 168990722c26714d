"""Real faults in real processes: each is told to the receiver of alerts, and so is its end after the cure.

One installation, on a PostgreSQL of its own, stands for all tests; each leaves it as it was.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from refold.ops.grafana.panels import ROWS
from refold.tests.browser.processes import eventually, service
from refold.tests.support.postgres import PostgresServer, fresh_database, temporary_server
from refold.tests.system.monitoring import Monitoring, Watched, monitoring

_SMALL_DISK = 300 * 2**20


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be stopped."""
    with temporary_server() as server:
        yield server


@pytest.fixture(scope="module")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on a small disk of its own, which mounting needs root for."""
    folder = tmp_path_factory.mktemp("service") / "goldens"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "none", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.fail(f"a small disk is filled here, and cannot be mounted (run this as root): {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def installed(postgres: PostgresServer, goldens: Path) -> Iterator[tuple[Watched, Monitoring]]:
    """A server, a worker and a projector with some runs behind them, under watch."""
    folder = goldens.parent
    with (
        fresh_database(postgres.url) as database,
        service(folder, database) as begun,
        pytest.MonkeyPatch.context() as at,
    ):
        at.setenv("REFOLD_GOLDEN_KEYS", str(folder / "keys.json"))
        at.setenv("REFOLD_GOLDENS", str(goldens))
        begun.run("migrate")
        begun.run("golden", "rotate-key")
        watched = Watched(begun)
        watched.begin("worker")
        watched.begin("projector")
        server = begun.serve().removeprefix("http://")
        targets = [f"server={server}", *(f"{kind}={address}" for kind, address in watched.at.items())]
        with monitoring(folder / "monitoring", targets) as prometheus:
            up = 'up{job=~"refold-(server|worker|projector)"} == 1'
            prometheus.eventually(lambda: len(prometheus.ask(up)) == 3, lambda: f"three processes: {begun.errors()}")
            yield watched, prometheus


@pytest.fixture
def watched(installed: tuple[Watched, Monitoring]) -> Watched:
    """The service, in good order."""
    return installed[0]


@pytest.fixture
def prometheus(installed: tuple[Watched, Monitoring]) -> Generator[Monitoring]:
    """Who watches it, with nothing to tell yet."""
    installed[1].calm()
    yield installed[1]


def test_a_paused_projection_is_told_until_it_goes_on(watched: Watched, prometheus: Monitoring) -> None:
    watched.service.run("projections", "pause", "runs")
    with prometheus.fires("ProjectionStalled", projection="runs") as alert:
        assert "paused" in alert["annotations"]["description"]
        watched.service.run("projections", "resume", "runs")


def test_a_killed_projector_is_told_as_gone_and_by_what_it_leaves_undone(
    watched: Watched, prometheus: Monitoring
) -> None:
    watched.end("projector")
    watched.run("undone", echo("it"))
    with prometheus.fires("WorkerDown", job="refold-projector"), prometheus.fires("ProjectionStalled") as alert:
        assert "behind the log" in alert["annotations"]["description"]
        watched.begin("projector")


def test_a_killed_worker_is_told_until_another_has_taken_its_place(watched: Watched, prometheus: Monitoring) -> None:
    watched.end("worker")
    with prometheus.fires("WorkerDown", state="lost"), prometheus.fires("WorkerDown", job="refold-worker"):
        watched.begin("worker")


def test_an_altered_golden_is_told_until_it_is_written_again(
    watched: Watched, prometheus: Monitoring, goldens: Path
) -> None:
    watched.run("pure", echo("gold"))
    file = goldens / "default/pure.steps.jsonl"
    eventually(file.with_suffix(".jsonl.sig").exists, f"the golden: {list(goldens.rglob('*'))} {watched.errors()}")
    file.write_text(file.read_text().replace("gold", "lead"))
    with prometheus.fires("GoldenMismatch", severity="critical") as alert:
        assert alert["annotations"]["description"].startswith("1 goldens")
        watched.service.run("golden", "write", "pure")


def test_a_blown_budget_is_told_though_nothing_was_counted_before(watched: Watched, prometheus: Monitoring) -> None:
    policy = {"policy": "careful", "version": "1"}
    budget = {"scope": "workflow", "name": "*", "cents": 10, "period": "total"}
    (watched.service.folder / "policy.json").write_text(json.dumps({**policy, "budgets": [budget]}))
    think = {**echo("think"), "estimated_cost_cents": 6}
    watched.run("first", think, words=("--policy", "policy.json"))
    watched.run("second", think, words=("--policy", "policy.json"), code=6)
    with prometheus.fires("BudgetExceeded") as alert:
        assert "37a8eec1ce19" in alert["annotations"]["description"], "the tenant `default`, as a hash"
        watched.service.run("budgets", "top-up", "budget/workflow/watched/total", "100", "--reason", "a test")


def test_a_full_disk_is_told_until_there_is_space_again(
    watched: Watched, prometheus: Monitoring, goldens: Path
) -> None:
    filler = goldens / "filler"
    filler.write_bytes(bytes(60 * 2**20))
    with prometheus.fires("DiskFull", folder="goldens", job="refold-projector"):
        filler.unlink()


def test_a_store_that_is_away_is_told_and_what_follows_from_it_is_not(
    watched: Watched, prometheus: Monitoring, postgres: PostgresServer
) -> None:
    postgres.stop()
    with ExitStack() as back:
        back.callback(postgres.start)
        with prometheus.fires("StoreUnreachable"):
            watched.end("worker")
            prometheus.await_silenced("WorkerDown", by="StoreUnreachable", job="refold-worker")
            assert not prometheus.messages("firing", "WorkerDown", job="refold-worker")
            back.close()
            watched.begin("worker")
            watched.begin_if_gone("projector")


def test_every_panel_of_the_dashboard_has_something_to_show(watched: Watched, prometheus: Monitoring) -> None:
    steps = [{**echo(f"step {at}"), "estimated_cost_cents": 1.5} for at in range(3)]
    for name in ("paid-1", "paid-2"):
        watched.run(name, *steps)

    def empty() -> list[str]:
        queries = [expression for row in ROWS for panel in row.panels for expression, _ in panel.queries]
        shown = [each.replace("$__rate_interval", "1m").replace("$tenant", ".*") for each in queries]
        return [each for each in shown if not prometheus.ask(each)]

    prometheus.eventually(lambda: not empty(), lambda: f"data of {empty()}")


def echo(text: str) -> dict[str, object]:
    """A step."""
    return {"step_id": text.replace(" ", "_"), "skill_id": "echo", "inputs": {"text": text}}
