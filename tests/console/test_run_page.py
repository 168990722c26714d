"""The page of one run: how it stands, why, and that it is proved."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from refold import SkillRegistry, WorkflowEngine, gather, open_store, workflow
from refold.eventstore.master_keys import MasterKeys
from refold.eventstore.store import Store
from refold.tests.api.client import Api
from refold.tests.console.browser import elements, hidden_fields, submit
from refold.tests.support.sensitive_skills import skills as sensitive_skills
from refold.tests.support.served import served, working

FAILS = {
    "workflow_type": "fails",
    "steps": [
        {"step_id": "fine", "skill_id": "echo", "inputs": {"n": 1}},
        {"step_id": "bad", "skill_id": "transform", "inputs": {"expression": "((", "data": "${fine}"}},
        {"step_id": "after", "skill_id": "echo", "inputs": {"of": "${bad}"}},
    ],
}
FAN = {
    "workflow_type": "fan",
    "steps": [
        {"step_id": "root", "skill_id": "echo"},
        *({"step_id": f"part-{n}", "skill_id": "echo", "depends_on": ["root"]} for n in range(300)),
        {"step_id": "join", "skill_id": "echo", "depends_on": [f"part-{n}" for n in range(300)]},
    ],
}


def run(store: Store, spec: Any, run_id: str, skills: SkillRegistry | None = None, **how: Any) -> None:
    """Run it to its end here."""

    async def main() -> None:
        async with WorkflowEngine(store, skills or SkillRegistry()) as engine:
            await engine.run(spec, run_id, **how)

    asyncio.run(main())


def model_of(console: Api, run_id: str, **parameters: Any) -> dict[str, Any]:
    return console.get(f"/runs/{run_id}", format="json", **parameters).json()


def test_a_failed_run_says_why_and_what_to_do(console: Api) -> None:
    run(console.store, FAILS, "r", agent_id="crawler")
    page = console.get("/runs/r").text
    elements(page)
    model = model_of(console, "r")
    code = model["run"]["error_code"]
    assert model["failure"]["suggestion"] and code in page and "What to do" in page and "crawler" in page
    assert model["proof"]["ok"] and {tick["findings"] == [] for tick in model["strip"]} == {True}
    assert model["steps"]["counts"] == {"completed": 1, "failed": 1, "cancelled": 1}
    assert model["graph"]["edges"] == [[0, 1], [1, 2]]
    assert model["actions"] == ["retry", "fork"]


def test_a_waiting_run_says_what_it_waits_for_and_takes_its_signal(console: Api) -> None:
    console.start(run_id="r")
    answered = submit(console, "/runs/r", "/runs/r/signal", name="go", payload='{"ok": true}')
    assert (answered.status_code, answered.headers["location"]) == (303, "/runs/r?done=signal")
    assert "The signal is recorded" in console.get("/runs/r", done="signal").text
    assert submit(console, "/runs/r", "/runs/r/pause", reason="lunch").status_code == 303
    assert model_of(console, "r")["actions"] == ["signal", "resume", "cancel", "fork"]
    assert submit(console, "/runs/r", "/runs/r/resume").status_code == 303
    assert submit(console, "/runs/r", "/runs/r/cancel", reason="done", force="yes").status_code == 303
    assert model_of(console, "r")["run"]["status"] == "cancelled"


def test_what_is_refused_is_told_on_the_page(console: Api) -> None:
    console.start(run_id="r")
    answered = submit(console, "/runs/r", "/runs/r/signal", name="go", payload="{not json")
    assert answered.status_code in (400, 422) and 'class="notice n-refused"' in answered.text
    assert "Send the signal" in answered.text
    assert submit(console, "/runs/r", "/runs/r/fork", from_step="nowhere").status_code in (404, 409, 422)


def test_a_form_that_no_page_of_ours_made_is_refused(console: Api) -> None:
    console.start(run_id="r")
    for data in ({"key": "k"}, {"key": "k", "csrf": "guessed"}):
        assert console.client.post("/runs/r/cancel", data=data).status_code == 403
    assert console.post("/runs/r/cancel", {"key": "k"}).status_code == 415
    assert model_of(console, "r")["run"]["status"] == "queued"


def test_a_fork_form_sent_twice_makes_one_fork_which_can_be_compared(console: Api) -> None:
    run(console.store, FAILS, "r")
    hidden = hidden_fields(console.get("/runs/r").text, "/runs/r/fork")
    fields = {**hidden, "changes": '/steps/bad/output = {"n": 2}\n'}
    answers = [console.client.post("/runs/r/fork", data=fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(console.get("/runs", format="json").json()["runs"]) == 2
    fork = hidden["key"]
    assert answers[0].headers["location"] == f"/runs/{fork}?done=fork"
    assert model_of(console, fork)["run"]["forked"]["run_id"] == "r"
    assert console.get(f"/runs/r/diff/{fork}").headers["location"] == f"/diff?a=r&b={fork}"


def test_two_runs_are_compared_with_the_first_difference_open(console: Api) -> None:
    run(console.store, FAN, "a")
    run(console.store, FAN, "b")
    spec = {"workflow_type": "echo", "steps": [{"step_id": "a", "skill_id": "echo", "inputs": {"x": "${inputs.x}"}}]}
    run(console.store, spec, "c", inputs={"x": {"deep": [1, 2]}})
    run(console.store, spec, "d", inputs={"x": {"deep": [1, 3]}})
    assert "Both did the same" in console.get("/diff", a="a", b="b").text
    model = console.get("/diff", a="c", b="d", format="json").json()["compared"]
    assert model["first"]["what"] == "how they began" and model["kinds"] == {"EXTERNAL_VARIATION": model["total"]}
    page = console.get("/diff", a="c", b="d").text
    elements(page)
    assert '<div class="change">' in page and "1 more is equal" in page
    assert console.get("/diff", a="c", b="none").status_code == 404


def test_events_are_paged_and_each_has_a_link_that_lasts(console: Api) -> None:
    run(console.store, FAN, "r")
    first = model_of(console, "r")["events"]
    assert (len(first["shown"]), first["next"], first["total"]) == (100, 100, 304)
    link = console.get("/runs/r/events/201").headers["location"]
    assert link == "/runs/r?after=200#e201"
    page = console.client.get(link).text
    assert 'id="e201"' in page and 'id="e200"' not in page
    event = model_of(console, "r", after=200)["events"]["shown"][0]
    stored = console.get("/v1/runs/r/events", after=200, limit=1).json()["events"][0]
    assert stored.items() <= event.items() and stored["hash"] in page and stored["predecessor"] in page


def test_many_steps_are_folded_in_the_graph_and_paged_in_the_table(console: Api) -> None:
    run(console.store, FAN, "r")
    model = model_of(console, "r")
    assert [node["count"] for node in model["graph"]["nodes"]] == [1, 300, 1]
    assert model["graph"]["edges"] == [[0, 1], [1, 2]]
    assert (len(model["steps"]["shown"]), model["steps"]["total"], model["timeline"]["left_out"]) == (50, 302, 152)
    chain = [{"step_id": f"s{n}", "skill_id": "echo", "depends_on": [f"s{n - 1}"] if n else []} for n in range(200)]
    run(console.store, {"workflow_type": "chain", "steps": chain}, "chain")
    nodes = model_of(console, "chain")["graph"]["nodes"]
    assert len(nodes) <= 60 and sum(node["count"] for node in nodes) == 200
    elements(console.get("/runs/chain").text)


def test_the_graph_of_a_function_follows_its_branches(console: Api) -> None:
    skills = SkillRegistry()

    @skills.skill
    async def work(n: int) -> int:
        return n

    @workflow
    async def parts() -> int:
        await work(0)
        await gather(*(branch(n) for n in range(2)))
        return await work(9)

    async def branch(n: int) -> int:
        await work(n)
        return await work(n + 10)

    skills.add_workflow(parts)
    run(console.store, "parts", "r", skills)
    graph = model_of(console, "r")["graph"]
    labels = [node["label"] for node in graph["nodes"]]
    edges = {(labels[one], labels[other]) for one, other in graph["edges"]}
    assert edges == {
        ("work#0", "work#1.0.0"),
        ("work#0", "work#1.1.0"),
        ("work#1.0.0", "work#1.0.1"),
        ("work#1.1.0", "work#1.1.1"),
        ("work#1.0.1", "work#2"),
        ("work#1.1.1", "work#2"),
    }


HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script><!--stored-->\u202e{{7*7}}"


def test_nothing_that_a_run_says_becomes_part_of_the_page(console: Api) -> None:
    skills = SkillRegistry()

    @skills.skill
    async def hostile(text: str) -> dict[str, Any]:
        raise ValueError(text)

    steps = [
        {"step_id": "a", "skill_id": "echo", "inputs": {HOSTILE: HOSTILE, "list": [HOSTILE]}},
        {"step_id": "b", "skill_id": "hostile", "inputs": {"text": HOSTILE}, "depends_on": ["a"]},
    ]
    spec = {"workflow_type": "odd", "steps": steps, "metadata": {HOSTILE: HOSTILE}}
    run(console.store, spec, "r", skills, agent_id=HOSTILE, inputs={HOSTILE: HOSTILE})
    console.start(run_id="w", agent_id=HOSTILE)
    submit(console, "/runs/w", "/runs/w/cancel", reason=HOSTILE)
    paths = ["/runs", "/runs/r", "/runs/w", "/diff?a=r&b=w", "/runs/r/export", f"/runs?agent={HOSTILE}", f"/{HOSTILE}"]
    for path in paths:
        page = console.client.get(path).text
        found = elements(page)
        assert not [tag for tag, _ in found if tag == "img"], path
        assert not [name for _, attributes in found for name in attributes if name.startswith("on") or name == "style"]
        assert "<img" not in page and "alert(2)</script>" not in page and "<!--stored-->" not in page, path
    assert "&lt;img src=x" in console.get("/runs/r").text


def test_ids_that_no_run_can_have_are_as_unknown_as_others(console: Api) -> None:
    for path in ("nope", "%00", "..%00", "a%20b", "%F0%9F%92%A5", "x" * 300, "%0d%0aset-cookie:a=b"):
        response = console.client.get(f"/runs/{path}")
        assert response.status_code == console.get(f"/v1/runs/{path}").status_code in (404, 422), path
        assert response.headers["content-type"].startswith("text/html"), path
        assert console.client.get(f"/runs/{path}/events/1").status_code in (303, 404, 422)
    assert console.get("/runs/r/events/0").status_code == 422


@pytest.fixture
def tampered(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A console over a log of which one stored event was changed past the store, of the run `r`."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(open_store(url)) as store:
        run(store, FAN, "r")
    with closing(sqlite3.connect(tmp_path / "store.db")) as rows, rows:
        change = """replace(state, '"cost_cents":0', '"cost_cents":9')"""
        where = "originator_id = 'default/r' AND originator_version = 57"
        rows.execute(f"UPDATE stored_events SET state = {change} WHERE {where}")
        assert rows.execute("SELECT changes()").fetchone() == (1,)
    with closing(open_store(url)) as store, served(store) as base, httpx2.Client(base_url=base, timeout=60) as client:
        yield client


def test_an_altered_event_is_red_in_the_strip_and_named(tampered: httpx2.Client) -> None:
    model = tampered.get("/runs/r", params={"format": "json"}).json()
    assert not model["proof"]["ok"]
    assert next(tick["at"] for tick in model["strip"] if tick["findings"]) == 57
    page = tampered.get("/runs/r", headers={"accept": "text/html"}).text
    assert "What is stored is not what was recorded" in page and '<a href="/runs/r/events/57"><title>event 57' in page
    assert 'class="event bad" id="e57"' in page


def test_sensitive_values_stand_on_no_page(console: Api, tmp_path: Path) -> None:
    keys = tmp_path / "data-keys.json"
    MasterKeys.new().save(keys)
    steps = [
        {"step_id": "find", "skill_id": "lookup", "inputs": {"who": "${inputs.name}"}},
        {"step_id": "use", "skill_id": "use", "inputs": {"card": "${find.card}"}},
    ]
    spec = {"workflow_type": "pay", "steps": steps, "sensitive_inputs": ["name"], "output": "${use}"}

    async def main() -> None:
        async with WorkflowEngine(console.store, sensitive_skills(), data_keys=keys) as engine:
            for run_id, name in (("a", "Ada-canary"), ("b", "Bob-canary")):
                assert (await engine.run(spec, run_id, inputs={"name": name})).success

    asyncio.run(main())
    for path in ("/runs", "/runs/a", "/runs/a/export", "/diff?a=a&b=b", "/runs/a?format=json"):
        page = console.client.get(path)
        assert page.status_code == 200 and "canary" not in page.text, path
    assert "$sensitive" in console.get("/runs/a").text


def test_a_step_that_waits_is_said_to_wait_and_not_to_be_pending(console: Api) -> None:
    console.start(run_id="asks")
    with working(console.store):
        until = time.monotonic() + 30
        while (model := console.get("/runs/asks", format="json").json())["run"]["status"] != "waiting":
            assert time.monotonic() < until, "the worker does not take it up"
    assert [step["status"] for step in model["steps"]["shown"]] == ["waiting"]
    assert [node["status"] for node in model["graph"]["nodes"]] == ["waiting"]
    assert model["steps"]["counts"] == {"waiting": 1}
