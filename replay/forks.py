"""What a fork took over, compared with what its parent has recorded.

The fold proves a fork by itself; only the parent can prove that the outcomes are its own. Where it is not in the
store, that is said, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.errors import IntegrityError
from ..core.events import Fork, RunStarted, StepCompleted, StepFailed, StepReused
from ..core.ids import stream_of
from ..core.ports import Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .findings import Finding
from .reading import large_of


def prove_reused(
    store: Store, stream: str, tenant: str, own: Sequence[Record], payloads: Mapping[str, bytes]
) -> tuple[list[Finding], list[str]]:
    """What of the fork of `stream`, whose own records fold, is not as its parent recorded it (the first fault), and
    what could not be verified. Neither for a run that is no fork."""
    started = decode(own[0], payloads) if own else None
    if not isinstance(started, RunStarted) or started.forked is None:
        return [], []
    reused = [(record.version, decode(record, payloads)) for record in own if record.topic == StepReused.topic]
    forked = started.forked
    records = store.read(stream_of(tenant, forked.run_id), 0, forked.version)
    if not records:
        return [], [f"not verifiable: the parent is not here: {len(reused)} outcomes are of {forked.run_id}"]
    known = {record.version: record for record in records}
    if forked.version not in known or _hash(known[forked.version]) != forked.hash:
        reason = f"event {forked.version} of its parent {forked.run_id} has not the hash that the fork names"
        return [Finding(stream, 1, "identity", reason)], []
    large = large_of(store, records)
    faults = [
        Finding(stream, number, "hash", reason)
        for number, event in reused
        if isinstance(event, StepReused) and (reason := _differs(event, forked, known, large)) is not None
    ]
    return faults[:1], []


def _hash(record: Record) -> str:
    return event_hash(record.stream, record.version, record.topic, record.state)


def _differs(event: StepReused, forked: Fork, known: Mapping[int, Record], large: Mapping[str, bytes]) -> str | None:
    """What is wrong with an outcome, compared with the event of the parent that it names."""
    place = f"event {event.version} of {forked.run_id}"
    try:
        recorded = decode(known[event.version], large)
    except (IntegrityError, KeyError) as error:
        return f"{place} cannot be read: {error}"
    if not isinstance(recorded, StepCompleted | StepFailed | StepReused) or recorded.index != event.index:
        return f"{place} is no outcome of step {event.step_id!r}"
    # A step hash covers the output, the error and the inputs; one that was given replaces them, and says so.
    if not event.given and recorded.step_hash != event.step_hash:
        return f"step_hash is {event.step_hash[:16]}… here and {recorded.step_hash[:16]}… in {place}"
    if event.skill_id != recorded.skill_id or event.skill_version != recorded.skill_version:
        return f"{place} is of another skill, or of another version of it"
    return None
