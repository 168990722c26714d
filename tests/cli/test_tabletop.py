"""The tabletop, held by a program: every step for real, and one that must fail."""

from __future__ import annotations

import json
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from refold.ops import tabletop
from refold.tests.cli.driver import Refold


@pytest.fixture
def prometheus() -> Generator[str]:
    """A Prometheus in which one alert of ours fires, one waits, and one of somebody else's fires."""

    def alert(name: str, state: str, page: str) -> dict[str, object]:
        link = {"runbook_url": f"https://example.org/{page}#{name.lower()}"} if page else {}
        return {"labels": {"alertname": name}, "annotations": link, "state": state}

    told = [
        alert("DiskFull", "firing", "runbook"),
        alert("WorkerDown", "pending", "runbook"),
        alert("CoffeeOut", "firing", ""),
    ]
    body = json.dumps({"status": "success", "data": {"alerts": told}}).encode()

    class Alerts(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/v1/alerts" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Alerts) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_nine_steps_pass_and_an_alert_that_fires_fails_the_tenth(
    refold: Refold, prometheus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is wrong with the store that is really kept has no part in it.
    monkeypatch.setenv("REFOLD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(tabletop, "KINDS", "abort")
    done = refold("tabletop", "--prometheus", prometheus, "--json")
    *checks, total = done.lines
    assert done.code == 1, done.err
    assert [each["name"] for each in checks if each["state"] != "failed"] == [
        *("health", "shadow", "sanity", "stop", "stopped", "go-on", "golden-diff", "checkpoints", "budgets")
    ], checks
    (alerts,) = (each for each in checks if each["state"] == "failed")
    assert (alerts["name"], alerts["detail"], alerts["value"]) == ("alerts", "DiskFull", 1)
    assert alerts["fix"] == "docs/ops/runbook.md#diskfull"
    assert (total["checks"], total["failed"]) == (10, 1)
