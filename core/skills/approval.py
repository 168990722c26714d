"""The skill that asks people. It runs nothing while they think: see `Wait`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..approval_requests import ApprovalRequest, Escalation, fault_of
from ..durations import MAX_SECONDS
from ..errors import Failure
from ..runtime.skill import skill
from ..runtime.wait import Wait


@skill(inline=True)
def approval(
    reason: str,
    approvers: list[str],
    quorum: int = 1,
    timeout_seconds: float | None = None,
    escalation: list[dict[str, Any]] | None = None,
    remind_every_seconds: float | None = None,
    details: Any = None,
) -> Wait:
    """Wait until `quorum` of `approvers` have granted it; output `{"approved": true, "by": […], "comments": […]}`.

    The first rejection fails the step with APPROVAL_REJECTED, the end of `timeout_seconds` with APPROVAL_EXPIRED. Each
    of `escalation`, an object `{"after_seconds", "to", "note"}`, adds approvers when nobody has decided by then.
    """
    asked = ApprovalRequest(reason, approvers, quorum, _escalations(escalation or ()), remind_every_seconds, details)
    fault = fault_of(asked, timeout_seconds)
    if timeout_seconds is not None and not 0 <= timeout_seconds <= MAX_SECONDS:
        fault = f"timeout_seconds: wanted 0 to {MAX_SECONDS}"
    if fault is not None:
        raise _refused(fault)
    return Wait(seconds=timeout_seconds, approval=asked)


def _escalations(given: Sequence[Mapping[str, Any]]) -> list[Escalation]:
    found: list[Escalation] = []
    for place, each in enumerate(given):
        unknown = sorted(set(each) - {"after_seconds", "to", "note"})
        if unknown or "after_seconds" not in each or "to" not in each:
            what = f"{unknown[0]!a} is unknown" if unknown else "it needs after_seconds and to"
            raise _refused(f"escalation/{place}: {what}")
        found.append(Escalation(each["after_seconds"], cast("list[str]", each["to"]), each.get("note", "")))
    return found


def _refused(fault: str) -> Failure:
    return Failure("SKILL_INPUT_INVALID", f"skill 'approval': input {fault}", retryable=False)
