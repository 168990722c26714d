"""The shapes of events are a promise: every topic, version and field is pinned, and old histories fold for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from refold.core.errors import IntegrityError
from refold.core.events import EVENTS, RunPaused
from refold.core.ports import EMPTY, Record
from refold.core.upcast import UPCASTERS, Upcaster, upcast
from refold.eventstore import codec
from refold.replay.chain import prove_chain
from refold.replay.folding import prove_fold
from refold.tests.support.histories import History, examples, histories

PINNED = {
    "approval.commented": (1, "at: int, message: int, index: int | str, step_id: str, by: str, comment: str"),
    "approval.delegated": (1, "at: int, message: int, index: int | str, step_id: str, by: str, to: str, comment: str"),
    "approval.escalated": (
        1,
        "at: int, message: int, index: int | str, step_id: str, number: int, to: Payload, note: str",
    ),
    "approval.expired": (1, "at: int, message: int, index: int | str, step_id: str"),
    "approval.granted": (1, "at: int, message: int, index: int | str, step_id: str, by: str, comment: str"),
    "approval.overdue": (1, "at: int, index: int | str, step_id: str"),
    "approval.rejected": (1, "at: int, message: int, index: int | str, step_id: str, by: str, comment: str"),
    "approval.reminded": (1, "at: int, message: int, index: int | str, step_id: str, number: int"),
    "approval.requested": (
        1,
        "at: int, index: int | str, step_id: str, reason: str, approvers: Payload, quorum: int, deadline: int | None, "
        "escalation: Payload, remind_every: int | None, details: Payload",
    ),
    "attributes.set": (1, "at: int, attributes: Payload"),
    "budget.topped_up": (1, "at: int, account: str, cents: float, reason: str, by: str"),
    "child.ended": (
        1,
        "at: int, message: int, child: str, status: str, output: Payload, error_code: str | None, reason: str",
    ),
    "checkpoint.refused": (1, "at: int, tenant: str, run_id: str, reason: str"),
    "data.erased": (1, "at: int, tenant: str, run_id: str, subject: str | None, reason: str, by: str"),
    "emergency.released": (1, "at: int, scope: str, name: str, reason: str, by: str"),
    "emergency.stopped": (1, "at: int, scope: str, name: str, running: str, reason: str, by: str"),
    "golden.archive_resigned": (
        1,
        "at: int, tenant: str, archive: str, replaced: str, runs: int, sha256: str, key_id: str, by: str",
    ),
    "golden.archived": (1, "at: int, tenant: str, archive: str, runs: int, sha256: str, by: str"),
    "golden.key_rotated": (1, "at: int, key_id: str, replaced: str | None, retired_at: int | None, by: str"),
    "golden.resigned": (1, "at: int, tenant: str, key_id: str, runs: int, by: str"),
    "golden.restored": (1, "at: int, tenant: str, archive: str, runs: int, sha256: str, by: str"),
    "golden.retention_set": (1, "at: int, tenant: str, seconds: float, by: str"),
    "job.asked": (1, "at: int, tenant: str, job_id: str, kind: str, what: Payload, until: int, by: str"),
    "job.ended": (1, "at: int, status: str, result: Payload, error_code: str | None, reason: str"),
    "job.progressed": (1, "at: int, done: int, total: int, failed: int, told: Payload"),
    "job.resumed": (1, "at: int, by: str"),
    "job.selected": (1, "at: int, total: int, items: Payload"),
    "job.stopped": (1, "at: int, by: str"),
    "job.stopping": (1, "at: int, reason: str, by: str"),
    "job.taken": (1, "at: int, by: str"),
    "key.created": (
        1,
        "at: int, key_id: str, name: str, tenant: str | None, scopes: Payload, expires_at: int | None, "
        "secret_sha256: str, by: str",
    ),
    "key.revoked": (1, "at: int, key_id: str, reason: str, by: str"),
    "key.rotated": (1, "at: int, key_id: str, secret_sha256: str, retired_at: int, by: str"),
    "message.refused": (1, "at: int, message: int, reason: str"),
    "message.sent": (2, "at: int, kind: str, key: str, reason: str, name: str, body: Payload"),
    "patch.applied": (1, "at: int, patch: str"),
    "policy.adopted": (1, "at: int, name: str, version: str, document: Payload, sha256: str, by: str"),
    "policy.decided": (
        1,
        "at: int, index: int | str, step_id: str, skill_id: str, attempt: int, verdict: str, rule: str, code: str, "
        "reason: str, policy: str, holds: Payload",
    ),
    "request.keyed": (1, "at: int, request: str, by: str"),
    "run.cancelled": (
        1,
        "at: int, message: int, reason: str, cut: Cut, error_code: str, workflow_hash: str, cost_cents: float",
    ),
    "run.cancelling": (1, "at: int, message: int, reason: str"),
    "run.completed": (1, "at: int, output: Payload, output_hash: str, workflow_hash: str, cost_cents: float"),
    "run.continued": (1, "at: int, successor: str, workflow_hash: str, cost_cents: float"),
    "run.failed": (
        1,
        "at: int, step_id: str | None, error_code: str, message: str, workflow_hash: str, cost_cents: float",
    ),
    "run.parked": (1, "at: int, error_code: str, message: str, details: Payload"),
    "run.paused": (1, "at: int, message: int, reason: str"),
    "run.rejected": (
        1,
        "at: int, step_id: str | None, error_code: str, message: str, workflow_hash: str, cost_cents: float",
    ),
    "run.resumed": (1, "at: int, message: int"),
    "run.started": (
        6,
        "at: int, run_id: str, tenant: str, workflow_type: str, workflow_version: str, spec: Payload | None, "
        "source: str | None, timeout_seconds: float | None, inputs: Payload, seed: int, agent_id: str | "
        "None, semantics: int, queue: str, priority: int, parent: str | None, awaited: str | None, "
        "continues: str | None, forked: Fork | None, origin: str, policy: Payload | None, "
        "trace: str | None",
    ),
    "run.timed_out": (1, "at: int, cut: Cut, error_code: str, workflow_hash: str, cost_cents: float"),
    "session.closed": (1, "at: int, session_id: str, by: str"),
    "session.opened": (
        1,
        "at: int, session_id: str, key_id: str | None, name: str, tenant: str | None, scopes: Payload, "
        "expires_at: int, secret_sha256: str",
    ),
    "signal.received": (1, "at: int, message: int, name: str, body: Payload"),
    "spec.registered": (
        1,
        "at: int, tenant: str, workflow_type: str, version: str, spec: Payload, spec_hash: str, by: str",
    ),
    "step.attempt_failed": (
        2,
        "at: int, index: int | str, step_id: str, skill_id: str, skill_version: str, attempt: int, "
        "error_code: str, message: str, cost_cents: float, retry_at: int",
    ),
    "step.completed": (
        2,
        "at: int, index: int | str, step_id: str, skill_id: str, skill_version: str, attempt: int, inputs: "
        "Payload | None, inputs_hash: str, output: Payload, output_hash: str, step_hash: str, cost_cents: "
        "float",
    ),
    "step.failed": (
        2,
        "at: int, index: int | str, step_id: str, skill_id: str, skill_version: str, attempt: int, inputs: "
        "Payload | None, inputs_hash: str | None, error_code: str, message: str, step_hash: str, cost_cents: "
        "float",
    ),
    "step.progressed": (
        1,
        "at: int, index: int | str, step_id: str, skill_id: str, attempt: int, details: Payload",
    ),
    "step.reused": (
        1,
        "at: int, index: int | str, step_id: str, skill_id: str, skill_version: str, attempt: int, inputs: "
        "Payload | None, inputs_hash: str | None, output: Payload, error_code: str | None, message: str, "
        "step_hash: str, version: int, ended_at: int, given: bool",
    ),
    "step.skipped": (1, "at: int, index: int, step_id: str, skill_id: str, because: str, step_hash: str"),
    "step.started": (2, "at: int, index: int | str, step_id: str, skill_id: str, attempt: int"),
    "step.waiting": (
        2,
        "at: int, index: int | str, step_id: str, skill_id: str, skill_version: str, attempt: int, inputs: "
        "Payload | None, inputs_hash: str, signal: str | None, child: str | None, until: int | None, fails: "
        "str | None, output: Payload, cost_cents: float",
    ),
    "store.archived": (1, "at: int, archive: str, sha256: str, runs: int, events: int, reason: str, by: str"),
    "store.brought_back": (1, "at: int, archive: str, runs: int, reason: str, by: str"),
    "webhook.changed": (
        1,
        "at: int, tenant: str, endpoint_id: str, url: str, patterns: Payload, description: str, by: str",
    ),
    "webhook.disabled": (1, "at: int, tenant: str, endpoint_id: str, reason: str, by: str"),
    "webhook.enabled": (1, "at: int, tenant: str, endpoint_id: str, by: str"),
    "webhook.removed": (1, "at: int, tenant: str, endpoint_id: str, by: str"),
    "webhook.secret_rotated": (
        1,
        "at: int, tenant: str, endpoint_id: str, key_id: str, replaced: str, retired_at: int, by: str",
    ),
    "webhook.subscribed": (
        1,
        "at: int, tenant: str, endpoint_id: str, url: str, patterns: Payload, description: str, key_id: str, by: str",
    ),
}
"""Never change a line: raise the version, write an upcaster, and record histories of the new version."""


def test_every_topic_version_and_field_is_as_it_was_promised() -> None:
    shapes = {
        topic: (cls.schema, ", ".join(f"{field.name}: {field.type}" for field in fields(cls)))
        for topic, cls in EVENTS.items()
    }
    assert shapes == PINNED


def test_events_cannot_be_changed() -> None:
    for record, event in examples():
        with pytest.raises(FrozenInstanceError):
            event.at = 0  # pyright: ignore[reportAttributeAccessIssue]
        assert not hasattr(event, "__dict__"), record.topic


def test_there_is_a_history_of_every_version_of_every_event() -> None:
    recorded = {
        (record.topic, codec.open_envelope(record).v) for history in histories() for record in history.all_records()
    }
    assert recorded == {(topic, version) for topic, (newest, _) in PINNED.items() for version in range(1, newest + 1)}


@pytest.mark.parametrize("history", histories(), ids=lambda history: history.name)
def test_an_old_history_still_proves_itself_and_folds_to_what_it_folded_to(history: History) -> None:
    for stream, records in history.records.items():
        assert prove_chain(stream, records, history.heads.get(stream, EMPTY), history.large) == []
    inbox = history.records.get(f"{history.stream}/inbox", [])
    state, findings = prove_fold(history.stream, history.records[history.stream], history.large, inbox)
    assert findings == []
    assert state is not None and state.end is not None
    assert (state.status, state.end.workflow_hash) == (history.status, history.workflow_hash)


@pytest.mark.parametrize("history", histories(), ids=lambda history: history.name)
def test_events_of_todays_shape_are_written_as_they_were(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for record in history.all_records():
        envelope = codec.open_envelope(record)
        # What was started in no trace is still written as before there were traces.
        if envelope.v == EVENTS[record.topic].schema or (record.topic, envelope.v) == ("run.started", 5):
            inline = 100 if history.large else codec.INLINE_BYTES
            monkeypatch.setattr(codec, "INLINE_BYTES", inline)
            event = codec.decode(record, history.large)
            again = codec.encode(event, envelope.prev, envelope.nonce, envelope.build, {})
            # What is encrypted is read, and so written, by its key alone.
            assert again == record.state or codec.sealed_fields(record)


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    return {"because": data.pop("why"), **data}


def split(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "reason": data["because"]}


STEPS: Mapping[tuple[str, int], Upcaster] = {("topic", 1): renamed, ("topic", 2): split}


def test_an_old_event_is_brought_to_todays_shape_one_version_at_a_time() -> None:
    assert upcast("topic", 1, {"why": "x"}, 3, STEPS) == {"because": "x", "reason": "x"}
    assert upcast("topic", 2, {"because": "x"}, 3, STEPS) == {"because": "x", "reason": "x"}
    assert upcast("topic", 3, {"because": "x"}, 3, STEPS) == {"because": "x"}


@pytest.mark.parametrize("version", [0, -1, 4])
def test_a_version_that_nobody_knows_is_refused(version: int) -> None:
    with pytest.raises(IntegrityError, match=f"topic has version {version}"):
        upcast("topic", version, {}, 3, STEPS)


def test_the_codec_reads_old_versions_through_the_upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    state = b'{"at":1,"build":"b","data":{"message":1,"why":"x"},"nonce":"n-1","prev":null,"v":1}'
    record = Record("default/run", 1, "run.paused", state)
    shapes: dict[str, Any] = codec._SHAPES  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setitem(shapes, "run.paused", shapes["run.paused"]._replace(version=2))
    monkeypatch.setitem(UPCASTERS, ("run.paused", 1), lambda data: {"message": data["message"], "reason": data["why"]})
    assert codec.decode(record, {}) == RunPaused(1, 1, "x")
