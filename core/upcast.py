"""Turning events stored by earlier versions into today's shape, one version at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import IntegrityError

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {
    # Runs knew no queues and inboxes no signals.
    ("run.started", 1): lambda data: {**data, "queue": "default", "priority": 0},
    ("message.sent", 1): lambda data: {**data, "name": "", "body": None},
    # Every workflow was a spec, and no run had a parent.
    ("run.started", 2): lambda data: {
        **data,
        "source": None,
        "timeout_seconds": None,
        "parent": None,
        "awaited": None,
        "continues": None,
    },
    # No run was forked from another.
    ("run.started", 3): lambda data: {**data, "forked": None},
    # No run said where its plan came from, or brought a policy.
    ("run.started", 4): lambda data: {**data, "origin": "", "policy": None},
    # No run knew of traces.
    ("run.started", 5): lambda data: {**data, "trace": None},
    # Every index was a position in a plan, and the inputs followed from it.
    ("step.started", 1): lambda data: {**data, "skill_id": ""},
    ("step.attempt_failed", 1): lambda data: data,
    ("step.waiting", 1): lambda data: {**data, "inputs": None, "child": None},
    ("step.completed", 1): lambda data: {**data, "inputs": None},
    ("step.failed", 1): lambda data: {**data, "inputs": None},
}
"""(topic, version) to the function that gives version + 1."""


def upcast(
    topic: str,
    version: int,
    data: dict[str, Any],
    target: int,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> dict[str, Any]:
    """`data` of `topic` at `version`, brought to version `target`.

    Raises IntegrityError for a version from the future, or one that no upcaster knows.
    """
    if version > target:
        raise IntegrityError(f"event {topic} has version {version}, newer than this program's {target}: upgrade Refold")
    while version < target:
        step = upcasters.get((topic, version))
        if step is None:
            raise IntegrityError(f"event {topic} has version {version}, which this program cannot read")
        data = step(data)
        version += 1
    return data
