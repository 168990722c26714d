"""What is derived from a run over HTTP, and new runs out of others."""

from __future__ import annotations

from typing import Any

import pytest

from refold.core.state import fold
from refold.eventstore.log import EventLog
from refold.projections.golden_lines import golden_of
from refold.tests.api.client import ECHO, WAIT, Api, problem
from refold.tests.support.served import working

FAILS: dict[str, Any] = {
    "workflow_type": "fails",
    "steps": [
        {"step_id": "a", "skill_id": "echo", "inputs": {"text": "${inputs.text}"}},
        {"step_id": "b", "skill_id": "transform", "inputs": {"expression": "no such(", "data": "${a.output}"}},
    ],
}


def ended(api: Api, spec: Any = ECHO, run_id: str = "r", text: str = "hi") -> None:
    api.start(spec, run_id, inputs={"text": text})
    with working(api.store):
        assert api.get(f"/v1/runs/{run_id}/result", wait=60).status_code == 200


def test_a_run_that_has_not_changed_is_not_told_again(memory_api: Api) -> None:
    memory_api.start()
    first = memory_api.get("/v1/runs/r")
    tag = first.headers["etag"]
    for offered in (tag, f'"x", {tag}', "*"):
        same = memory_api.client.get("/v1/runs/r", headers={"if-none-match": offered})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    memory_api.post("/v1/runs/r/pause")
    changed = memory_api.client.get("/v1/runs/r", headers={"if-none-match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag
    problem(memory_api.client.get("/v1/runs/s", headers={"if-none-match": "*"}), 404, "RUN_NOT_FOUND")


def test_a_run_is_shown_as_it_stood(memory_api: Api) -> None:
    ended(memory_api)
    states = [memory_api.get("/v1/runs/r/state", at=number).json() for number in (1, 2, 3)]
    assert [(state["status"], state["event"], state["next"]["runs"]) for state in states] == [
        ("running", 1, ["a"]),
        ("running", 2, []),
        ("completed", 3, []),
    ]
    assert memory_api.get("/v1/runs/r/state").json()["event"] == 3
    for bad in ("0", "4", "x", "2026-01-01", "9" * 40):
        problem(memory_api.get("/v1/runs/r/state", at=bad), 422, "INPUT_INVALID")


def test_golden_timeline_and_checkpoint_are_those_of_the_log(memory_api: Api) -> None:
    memory_api.start(WAIT, "open")
    problem(memory_api.get("/v1/runs/open/golden"), 409, "RUN_OPEN")
    ended(memory_api)
    golden = memory_api.get("/v1/runs/r/golden").json()
    assert golden["data"].encode() == golden_of(fold(EventLog(memory_api.store, "").events("default/r"))).data
    spans = memory_api.get("/v1/runs/r/timeline").json()["spans"]
    assert [(span["kind"], span["step_id"]) for span in spans][-1] == ("step", "a")
    assert memory_api.get("/v1/runs/r/checkpoint").json() == {"checkpoint": None}


def test_a_failed_run_is_tried_again_as_another(memory_api: Api) -> None:
    ended(memory_api, FAILS)
    made = memory_api.post("/v1/runs/r/retry", {"run_id": "again"})
    assert (made.status_code, made.headers["location"]) == (201, "/v1/runs/again")
    assert [step["status"] for step in made.json()["steps"]] == ["completed", "pending"]
    assert memory_api.get("/v1/runs/again/relations").json()["forked_from"] == "r"
    memory_api.start(run_id="fine")
    problem(memory_api.post("/v1/runs/fine/retry"), 422, "INPUT_INVALID")


def test_a_fork_changes_what_it_is_told_to_and_the_difference_is_told(memory_api: Api) -> None:
    ended(memory_api)
    memory_api.post("/v1/runs/r/fork", {"run_id": "other", "changes": {"/inputs/text": "ho"}})
    with working(memory_api.store):
        assert memory_api.get("/v1/runs/other/result", wait=60).json()["output"] == {"a": {"text": "ho"}}
    told = memory_api.get("/v1/runs:diff", a="r", b="other").json()
    assert not told["equal"] and told["first"] == told["differences"][0]
    assert (told["first"]["event"], told["first"]["pointer"]) == ("run_start", "/inputs_hash")
    assert ("'hi'" in str(told["differences"])) and sum(told["kinds"].values()) == len(told["differences"])
    assert memory_api.get("/v1/runs:diff", a="r", b="r").json()["equal"]
    problem(memory_api.get("/v1/runs:diff", a="r", b="nobody"), 404, "RUN_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"run_id": "a/b", "from_step": "a"}, "/run_id"),
        ({"queue": "", "from_step": "a"}, "/queue"),
        ({"changes": {"inputs": 1}}, "/changes/inputs"),
        ({"changes": {"/else/x": 1}}, "/changes/~1else~1x"),
        ({"from_step": 3}, "/from_step"),
        ({"step": "a"}, "/step"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_by_its_place(memory_api: Api, body: Any, pointer: str) -> None:
    memory_api.start(inputs={"x": 0})
    document = problem(memory_api.post("/v1/runs/r/fork", body), 422, "INPUT_INVALID")
    assert pointer in [each["pointer"] for each in document["problems"]]


HOSTILE = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%zz",
    "a%2Fb",
    "a%252Fb",
    "%E2%80%AE",
    "x" * 10_000,
    "%F0%9F%92%A9",
    "...",
    "a;b",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_stands_in_a_path_is_no_fault_of_ours(memory_api: Api, name: str) -> None:
    gets = [
        "",
        "/events",
        "/result",
        "/verify",
        "/state",
        "/checkpoint",
        "/golden",
        "/timeline",
        "/relations",
        "/approvals",
    ]
    posts = ["/signal", "/cancel", "/pause", "/resume", "/query", "/retry", "/fork", "/approvals"]
    for rest in gets:
        assert memory_api.client.get(f"/v1/runs/{name}{rest}").status_code in (404, 422, 405), rest
    for rest in posts:
        for body in ({}, {"name": "go"}, {"action": "comment", "by": "ada"}, {"from_step": "a"}):
            answered = memory_api.post(f"/v1/runs/{name}{rest}", body, Idempotency_Key="k")
            assert answered.status_code in (404, 405, 422), (rest, answered.text)
    assert memory_api.store.last_position() == 0


def test_a_run_tells_which_were_forked_from_it(memory_api: Api) -> None:
    memory_api.start(inputs={"x": 0})
    assert memory_api.get("/v1/runs/r/forks").json()["runs"] == []
    for name in ("one", "two"):
        assert memory_api.post("/v1/runs/r/fork", {"changes": {"/inputs/x": 1}, "run_id": name}).status_code == 201
    page = memory_api.get("/v1/runs/r/forks", limit=1).json()
    rest = memory_api.get("/v1/runs/r/forks", cursor=page["next_cursor"]).json()
    assert [(run["run_id"], run["forked_from"]) for run in page["runs"] + rest["runs"]] == [("two", "r"), ("one", "r")]
    problem(memory_api.get("/v1/runs/nobody/forks"), 404, "RUN_NOT_FOUND")
