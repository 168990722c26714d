"""Lists of runs and their numbers over HTTP, from the log and from the index."""

from __future__ import annotations

from typing import Any

import pytest

from refold.tests.api.client import ECHO, WAIT, Api, problem
from refold.tests.support.kept import Kept
from refold.tests.support.served import working


def some_runs(api: Api) -> None:
    """Four that wait, one of them cancelled, and one that has completed."""
    api.start(ECHO, "done-1", inputs={"text": "x"}, agent_id="ada")
    with working(api.store):
        api.get("/v1/runs/done-1/result", wait=60)
    for number in range(4):
        api.start(run_id=f"ask-{number}", queue="slow" if number == 2 else "default")
    api.post("/v1/runs/ask-1/cancel")


def ids(api: Api, **parameters: Any) -> list[str]:
    answered = api.get("/v1/runs", **parameters)
    assert answered.status_code == 200, answered.text
    return [run["run_id"] for run in answered.json()["runs"]]


@pytest.mark.parametrize("kept", [False, True], ids=["log", "index"])
def test_each_filter_takes_its_runs_newest_first(api: Api, kept: bool) -> None:
    some_runs(api)
    if kept:
        Kept(api.store)
    everything = ["ask-3", "ask-2", "ask-1", "ask-0", "done-1"]
    assert ids(api) == everything
    assert ids(api, status=["completed", "cancelled"]) == ["ask-1", "done-1"]
    assert ids(api, status="queued", queue="default") == ["ask-3", "ask-0"]
    assert ids(api, workflow_type="hello", version="1") == ids(api, agent_id="ada") == ["done-1"]
    assert ids(api, error_code="RUN_CANCELLED") == ["ask-1"]
    assert ids(api, prefix="ask") == everything[:4] and ids(api, prefix="ask-2") == ["ask-2"]
    assert ids(api, parent="done-1") == ids(api, agent_id="\0") == []
    started = api.get("/v1/runs/ask-2").json()["started_at"]
    assert ids(api, started_after=started) == ["ask-3", "ask-2"]
    assert ids(api, started_before=started) == ["ask-1", "ask-0", "done-1"]
    index = api.get("/v1/runs", limit=1).json()["index"]
    assert index == ({"position": api.store.last_position(), "lag_events": 0, "lag_seconds": 0.0} if kept else None)


@pytest.mark.parametrize("kept", [False, True], ids=["log", "index"])
def test_counts_are_those_of_the_list(memory_api: Api, kept: bool) -> None:
    some_runs(memory_api)
    if kept:
        Kept(memory_api.store)
    told = memory_api.get("/v1/runs:counts").json()
    assert told["counts"] == {"cancelled": 1, "completed": 1, "queued": 3} and told["total"] == 5
    assert (told["index"] is not None) is kept
    few = memory_api.get("/v1/runs:counts", status=["queued", "failed"], prefix="ask").json()
    assert (few["counts"], few["total"]) == ({"queued": 3}, 3)


@pytest.mark.parametrize(
    "bad",
    [
        "status=done",
        "version=1",
        "started_after=2026-13-01T00:00:00Z",
        "started_after=0000-01-01T00:00:00Z",
        "started_before=2026-01-01T00:00:00",
        "prefix=a/b",
        "parent=%00",
        "attribute=x",
        "attribute=x=%00",
        "cursor=0",
        "limit=201",
        "colour=red",
        f"queue={'q' * 201}",
    ],
)
def test_a_parameter_that_cannot_be_is_refused(memory_api: Api, bad: str) -> None:
    document = problem(memory_api.client.get(f"/v1/runs?{bad}"), 422, "INPUT_INVALID")
    assert bad.partition("=")[0] in document["detail"]


def test_what_a_parameter_holds_makes_no_difference_to_how_it_is_read(api: Api) -> None:
    api.start(WAIT)
    for odd in ("%00", "%ED%A0%80", "%F0%9F%92%A9", "';--", "%25"):
        for name in ("workflow_type", "queue", "agent_id", "error_code"):
            assert api.client.get(f"/v1/runs?{name}={odd}").json()["runs"] == []
