"""What a shadow simulation finds out: mismatches, and what was looked at in a cycle."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Check = Literal["end", "proof", "checkpoint", "golden", "elsewhere", "cycle"]
"""Where a mismatch was found. End: the run did not end, or not as it must. Proof: one of the four. Checkpoint: restored
from one, the state is another. Golden: it is missing, or not what the log says. Elsewhere: the same run in memory gave
other hashes. Cycle: the cycle could not be finished, so nothing in it counts as equal."""

MOST_CHARACTERS = 2_000
"""What is kept of a mismatch's message."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it must be, in the run `run_id` of `tenant` ("" for none of one run's)."""

    check: Check
    kind: str
    tenant: str
    run_id: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object of the same names; the message is cut to 2,000 characters."""
        return asdict(self) | {"message": self.message[:MOST_CHARACTERS]}


@dataclass(slots=True)
class Found:
    """What was looked at: `workflows` are all runs, children and successors too; `by_kind` counts them by kind."""

    workflows: int = 0
    replays: int = 0
    restorations: int = 0
    goldens: int = 0
    by_kind: Counter[str] = field(default_factory=Counter[str])
    mismatches: list[Mismatch] = field(default_factory=list[Mismatch])

    def miss(self, check: Check, kind: str, tenant: str, run_id: str, message: str) -> None:
        """Note a mismatch."""
        self.mismatches.append(Mismatch(check, kind, tenant, run_id, message))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object: the counters, and all mismatches."""
        bad = Counter(each.kind for each in self.mismatches)
        kinds = sorted({*self.by_kind, *bad})
        return {
            "workflows": self.workflows,
            "replays": self.replays,
            "restorations": self.restorations,
            "golden_validations": self.goldens,
            "by_kind": {kind: {"workflows": self.by_kind[kind], "mismatches": bad[kind]} for kind in kinds},
            "mismatches": [each.to_json() for each in self.mismatches],
        }
