"""What speaks against a plan, and how the accounts stand that it would draw on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..errors import Problem
from ..sandbox.report import SandboxReport

Outlook = Literal["refused", "possible", "delayed"]
"""Of an attempt: it would be refused, it could be (if retries are needed, or by inputs not known yet), or it comes
later."""
Status = Literal["allowed", "refused", "invalid"]
"""Of a plan: it could run to its end, something of it would be refused, or it is no plan that could be started."""


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """One thing that a policy, a ceiling, a budget or a limit has against a plan.

    `code` is of the failure catalog. `rule` is that of the policy, "" for what is built in. `step_id` and `pointer`
    name the step, "" where it is about several.
    """

    outlook: Outlook
    code: str
    reason: str
    step_id: str = ""
    pointer: str = ""
    rule: str = ""

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON value."""
        return {
            "outlook": self.outlook,
            "code": self.code,
            "reason": self.reason,
            "step_id": self.step_id,
            "pointer": self.pointer,
            "rule": self.rule,
        }


@dataclass(frozen=True, slots=True)
class AccountOutlook:
    """An account of the ledger that a plan draws on.

    Amounts are cents of a budget, attempts of a rate, places of a concurrency limit. `left` is what there is now,
    `needed` what the plan takes if no attempt fails, `worst` if every retry is needed. `seconds` is how long a rate
    makes the plan take at least. `known` says whether the ledger was looked at; else all of it counts as left.
    """

    account: str
    kind: str
    rule: str
    capacity: float
    left: float
    needed: float
    worst: float
    waits: bool
    known: bool
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The account as a JSON value."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class PlanEvaluation:
    """Whether a plan would be allowed, and why not.

    `problems` say why it is no plan that could be started (status invalid). `sandbox` is what the sandbox says of it,
    and `sandboxed` whether it must pass. `policies` names those that were asked. `unknown_skills` are not known here,
    `missing_inputs` must still be given.
    """

    status: Status
    problems: tuple[Problem, ...]
    findings: tuple[PlanFinding, ...]
    accounts: tuple[AccountOutlook, ...]
    sandbox: SandboxReport
    sandboxed: bool
    policies: tuple[str, ...]
    unknown_skills: tuple[str, ...] = ()
    missing_inputs: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether nothing of it would be refused."""
        return self.status == "allowed"

    def to_json(self) -> dict[str, Any]:
        """The evaluation as a JSON value."""
        return {
            "status": self.status,
            "allowed": self.allowed,
            "problems": [each._asdict() for each in self.problems],
            "findings": [each.to_json() for each in self.findings],
            "accounts": [each.to_json() for each in self.accounts],
            "sandbox": {"enforced": self.sandboxed, **self.sandbox.to_json()},
            "policies": list(self.policies),
            "unknown_skills": list(self.unknown_skills),
            "missing_inputs": list(self.missing_inputs),
        }
