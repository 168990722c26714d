"""What the sandbox found in a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["violation", "warning"]
"""A violation refuses the plan; a warning is for a person to look at."""


@dataclass(frozen=True, slots=True)
class SandboxFinding:
    """One thing in a plan that a rule speaks against.

    `rule` is `family.kind`, such as `sql.union`. `pointer` says where (RFC 6901; for a key, its member). `excerpt` is
    printable ASCII, at most 80 characters. `path` names the decodings that led to the text, outermost first; it is
    filled only if it was asked for, and empty where the text was found as it stands.
    """

    rule: str
    severity: Severity
    pointer: str
    why: str
    excerpt: str = ""
    path: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The part of `rule` by which exemptions switch it off."""
        return self.rule.partition(".")[0]

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON value."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "pointer": self.pointer,
            "why": self.why,
            "excerpt": self.excerpt,
            "path": list(self.path),
        }


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """Whether a plan may run, and by which version of the rules; `valid` exactly if there are no `violations`."""

    violations: tuple[SandboxFinding, ...]
    warnings: tuple[SandboxFinding, ...]
    rules_version: str

    @property
    def valid(self) -> bool:
        """Whether the plan may run."""
        return not self.violations

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON value."""
        return {
            "valid": self.valid,
            "violations": [finding.to_json() for finding in self.violations],
            "warnings": [finding.to_json() for finding in self.warnings],
            "rules_version": self.rules_version,
        }
