"""What policies decided: see `refold.core.events`, which has these classes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class PolicyDecided:
    """What was decided of an attempt that was about to begin, where that is of interest.

    `verdict` is "allowed" where something is held for the attempt from now on, or where what deferred it is over,
    "refused" (the step's failure follows), or "deferred": it comes later, which is recorded once for each attempt.
    `rule` names the rule of the policy,
    `policy` the policy in force, as `name#version@hash`, "" for none; `code` is the failure code, "" when allowed.
    `holds` lists what is held, or what there was not enough of: `account`, `kind`, `amount` and `capacity` of each
    (`refold.core.ledger.Limit`).
    """

    topic: ClassVar = "policy.decided"
    schema: ClassVar = 1

    at: int
    index: int | str
    step_id: str
    skill_id: str
    attempt: int
    verdict: str
    rule: str
    code: str
    reason: str
    policy: str
    holds: Payload


@dataclass(frozen=True, slots=True)
class PolicyAdopted:
    """In the stream `control/policies`: a process begins to go by a policy that nobody has gone by before.

    `document` is the whole policy and `sha256` the hash of its canonical JSON. Name and version stand for it for ever.
    """

    topic: ClassVar = "policy.adopted"
    schema: ClassVar = 1

    at: int
    name: str
    version: str
    document: Payload
    sha256: str
    by: str


VERDICTS = ("allowed", "refused", "deferred")
"""What can be decided of an attempt."""

PolicyEvent = PolicyDecided | PolicyAdopted
"""Anything that policies bring about."""
