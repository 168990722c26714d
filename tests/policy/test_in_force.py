"""Which policy is in force: files that change, files that break, and what was ever adopted."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refold import CallError, SkillRegistry, WorkflowEngine, open_store
from refold.core.errors import IntegrityError
from refold.core.events import PolicyAdopted
from refold.core.ids import POLICIES
from refold.core.policy.document import Policy
from refold.core.runtime import policy_file
from refold.eventstore.log import EventLog
from refold.eventstore.store import Store
from refold.replay.policy_control import verify_policies
from refold.tests.support.policed import decisions, policy, proved
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import soon, spec, step, until

ALLOWS = {"policy": "p", "version": "1", "budgets": [{"scope": "tenant", "cents": 100}]}
DENIES = {"policy": "p", "version": "2", "rules": [{"rule": "no", "match": {"step": "b"}, "deny": "not any more"}]}
TWO = spec(step("a", "gated"), step("b", "gated", depends_on=["a"]))


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at whenever a process asks."""
    monkeypatch.setattr(policy_file, "LOOK_SECONDS", 0.0)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store("memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'force.db'}")
    yield opened
    opened.close()


class Site:
    """A policy file, an engine that goes by it, and a skill that waits."""

    def __init__(self, store: Store, folder: Path):
        self.file = folder / "policy.json"
        self.write(ALLOWS)
        self.gates = Gates()
        self.called: list[str] = []
        self.skills = SkillRegistry()

        @self.skills.skill("gated", cost_cents=1)
        async def gated() -> None:
            self.called.append("gated")
            await self.gates()

        self.engine = WorkflowEngine(store, self.skills, policy=self.file)

    def write(self, document: Any) -> None:
        """Put another file in the place of the one that is there, as editors do."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(document if isinstance(document, str) else json.dumps(document))
        fresh.replace(self.file)


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> Any:
    made = Site(store, tmp_path)
    yield made
    await made.engine.close()


def adopted(store: Store) -> list[str]:
    """Names and versions of what was ever adopted, in order."""
    events = EventLog(store, "test").events(POLICIES)
    return [f"{event.name}#{event.version}" for event in events if isinstance(event, PolicyAdopted)]


async def test_a_file_that_changes_is_in_force_for_the_steps_that_begin_later(store: Store, site: Site) -> None:
    run = asyncio.create_task(site.engine.run(TWO, "r"))
    await until(lambda: site.called)
    site.write(DENIES)
    await until(lambda: adopted(store) == ["p#1", "p#2"])
    site.gates.open()
    result = await soon(run)
    assert (result.status, result.error_code) == ("rejected", "POLICY_REFUSED") and len(site.called) == 1
    labels = [(each.step_id, each.verdict, each.policy) for each in decisions(store)]
    first, second = Policy.parse(ALLOWS).label, Policy.parse(DENIES).label
    assert labels == [("a", "allowed", first), ("b", "refused", second)]
    assert await proved(store, site.skills, "r")


@pytest.mark.parametrize("broken", ["{", '{"policy": "p", "version": "2", "rulez": []}', ""])
async def test_a_file_that_breaks_leaves_what_is_in_force(
    store: Store, site: Site, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.gates.open()
    assert (await soon(site.engine.run(TWO, "before"))).success
    site.write(broken)
    with caplog.at_level(logging.ERROR):
        assert (await soon(site.engine.run(TWO, "r"))).success
    assert [each.policy for each in decisions(store)] == [Policy.parse(ALLOWS).label] * 2
    assert any("stays in force" in record.message for record in caplog.records)
    site.file.unlink()
    assert (await soon(site.engine.run(TWO, "gone"))).success
    site.write(DENIES)
    assert (await soon(site.engine.run(TWO, "mended"))).error_code == "POLICY_REFUSED"
    assert adopted(store) == ["p#1", "p#2"]


async def test_another_content_under_the_same_version_is_refused_and_said(
    store: Store, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.gates.open()
    assert (await soon(site.engine.run(TWO, "before"))).success
    site.write({**DENIES, "version": "1"})
    with caplog.at_level(logging.ERROR):
        assert (await soon(site.engine.run(TWO, "r"))).success
    assert [each.policy for each in decisions(store)] == [Policy.parse(ALLOWS).label] * 2
    said = [record.message for record in caplog.records if "stays in force" in record.message]
    assert len(said) == 1 and "another content" in said[0]
    assert adopted(store) == ["p#1"]


async def test_a_process_cannot_begin_with_another_content_under_a_known_version(store: Store) -> None:
    async with WorkflowEngine(store, policy=policy(budgets=[{"scope": "tenant", "cents": 1}])) as engine:
        assert (await engine.run(spec(step("a")), "r")).success
    async with WorkflowEngine(store, policy=policy(budgets=[{"scope": "tenant", "cents": 2}])) as engine:
        with pytest.raises(CallError, match="another content"):
            await engine.run(spec(step("a")), "s")
    assert store.heads(["default/s"]) == {}, "nothing was begun that would then go unguarded"


async def test_the_same_policy_is_adopted_once_whoever_goes_by_it(store: Store) -> None:
    careful = policy(rules=[{"rule": "r", "max_run_cents": 5}])
    engines = [WorkflowEngine(store, policy=policy(rules=[{"rule": "r", "max_run_cents": 5}])) for _ in range(5)]
    runs = [each.run(spec(step("a")), f"r{number}") for number, each in enumerate(engines)]
    assert all(result.success for result in await asyncio.gather(*runs))
    for each in engines:
        await each.close()
    (event,) = EventLog(store, "test").events(POLICIES)
    assert isinstance(event, PolicyAdopted) and event.document.data == careful.canonical
    assert (event.name, event.version, event.sha256) == ("careful", "1", careful.sha256) and event.by
    proof = verify_policies(store)
    assert proof is not None and proof.ok


async def test_a_control_stream_that_cannot_be_read_leaves_what_is_in_force(
    store: Store, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asyncio.create_task(site.engine.run(TWO, "r"))
    await until(lambda: site.called)
    asked = 0

    async def altered(policy: Policy, by: str) -> None:
        nonlocal asked
        asked += 1
        raise IntegrityError("altered")

    monkeypatch.setattr(site.engine.policies, "adopt", altered)
    site.write(DENIES)
    await until(lambda: asked)
    await site.engine.pause("r")  # Whoever keeps the runs still looks at their inboxes.
    site.gates.open()
    assert (await soon(run)).status == "paused"
    assert (await soon(site.engine.resume("r"))).success and asked == 1
