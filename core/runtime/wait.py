"""What a skill returns to have its step wait durably: for a time, for a signal, for a run, or for time to be up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..approval_requests import ApprovalRequest


@dataclass(frozen=True, slots=True)
class Child:
    """A run to start: of the workflow or registered spec `workflow`, or of `spec`. See `Engine.start`."""

    workflow: str | None = None
    version: str | None = None
    spec: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    run_id: str | None = None
    queue: str | None = None
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """The step waits without occupying anything; its run may leave memory and come back in another process.

    With `signal` it ends with that signal's payload as output, or fails with SIGNAL_TIMEOUT after `seconds` (None: it
    waits for ever). With `child` that run is started, and its output is the step's, or the step fails with
    CHILD_FAILED, after `seconds` with CHILD_TIMEOUT; a detached one is not waited for. With `approval` it ends when
    people have granted that, or fails with APPROVAL_REJECTED, after `seconds` with APPROVAL_EXPIRED. With none of them
    it ends after `seconds` with `output`.
    """

    seconds: float | None = None
    signal: str | None = None
    output: Any = None
    child: Child | None = None
    approval: ApprovalRequest | None = None
