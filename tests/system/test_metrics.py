"""Metrics of real processes, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from refold import open_store
from refold.eventstore.store import Store
from refold.tests.support.projected import fill

ROOT = Path(__file__).parents[2]
EXTERNAL = ("process_", "refold_http_", "python_")


@contextmanager
def process(url: str, *command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that tells metrics, and where."""
    given = [sys.executable, "-P", "-m", "refold", *command, "--metrics", "0", "--database", url]
    started = subprocess.Popen(given, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stderr is not None
        hello = started.stderr.readline()
        found = re.search(r"metrics: (http://\S+)", hello)
        assert found, hello
        yield started, found[1]
    finally:
        started.kill()
        started.communicate()


def text(address: str) -> str:
    with urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def names(told: str) -> set[str]:
    """As the page writes them."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(told)
        if not family.name.startswith(EXTERNAL)
    }


def value(told: str, name: str) -> float:
    return sum(
        sample.value for each in text_string_to_metric_families(told) for sample in each.samples if sample.name == name
    )


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def followed(store: Store) -> bool:
    of = store.tables.generations("metrics")
    return bool(of) and bool(of[0].position_at) and of[0].position == store.last_position()


def test_totals_and_gauges_outlive_the_process_that_told_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'refold.db'}"
    keys = tmp_path / "keys.json"
    subprocess.run(
        [sys.executable, "-P", "-m", "refold", "golden", "rotate-key", "--keys", str(keys), "--database", url],
        check=True,
        capture_output=True,
    )
    places = ["--keys", str(keys), "--goldens", str(tmp_path / "goldens")]
    with closing(open_store(url)) as store, ExitStack() as stack:
        one, first = stack.enter_context(process(url, "projector", *places))
        _, second = stack.enter_context(process(url, "worker"))
        soon(lambda: followed(store))
        asyncio.run(fill(store, 10, 1))
        soon(lambda: followed(store))
        soon(lambda: "refold_workers" in names(text(first)))
        told, beside = text(first), text(second)
        assert value(told, "refold_workflow_runs_total") == ended(store)
        assert "refold_workers" not in names(beside) and value(beside, "refold_store_up") == 1

        page = set(re.findall(r"^\| `(refold_\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
        assert names(told) | names(beside) == page
        for each in (told, beside):
            checked = subprocess.run(["promtool", "check", "metrics"], input=each, capture_output=True, text=True)
            assert checked.returncode == 0 and not checked.stderr, checked.stderr

        before = value(told, "refold_workflow_runs_total")
        one.kill()
        one.wait()
        soon(lambda: "refold_workers" in names(text(second)))
        asyncio.run(fill(store, 5, 2, prefix="later"))
        _, third = stack.enter_context(process(url, "projector", *places))
        soon(lambda: followed(store))
        soon(lambda: value(text(third), "refold_workflow_runs_total") + before == ended(store))


def ended(store: Store) -> int:
    tops = ("run.completed", "run.failed", "run.rejected", "run.cancelled", "run.timed_out", "run.continued")
    return sum(each.record.topic in tops for each in store.follow(0, 10**6))
