"""What many verdicts come to: counts that can be added up in any order, and the line that each adds to a digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.canonical import canonical_json
from .verdicts import PROOFS, VERDICTS, RunProof, Verdict

_MOST_REASONS = 200
_OTHERS = "other reasons"

_Counts = dict[str, dict[str, int]]


def verdict_line(proof: RunProof) -> bytes:
    """What a digest covers of a run: canonical JSON of which run it is, as it stood, and the verdicts; one line.

    Nothing of it says by whom, where or when it was proved, and nothing that comes out otherwise each time.
    """
    told = {
        "events": proof.events,
        "head": proof.head.hash,
        "proofs": {name: result.verdict for name, result in proof.results.items()},
        "run_id": proof.run_id,
        "status": proof.status,
        "tenant": proof.tenant,
        "workflow_hash": proof.workflow_hash,
    }
    return canonical_json(told) + b"\n"


@dataclass(slots=True)
class Tally:
    """Counts of runs and events; of runs by workflow type ("?": unknown) and verdict, by proof and verdict, by why a
    proof could not be made, and by the build that wrote their events."""

    runs: int = 0
    events: int = 0
    executed: int = 0
    served: int = 0
    types: _Counts = field(default_factory=dict[str, dict[str, int]])
    proofs: _Counts = field(default_factory=dict[str, dict[str, int]])
    reasons: dict[str, int] = field(default_factory=dict[str, int])
    builds: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, proof: RunProof) -> None:
        """Count a run."""
        self.runs += 1
        self.events += proof.events
        self.executed += proof.executed
        self.served += proof.served
        _count(self.types.setdefault(proof.workflow_type or "?", {}), {proof.verdict: 1})
        for name, result in proof.results.items():
            _count(self.proofs.setdefault(name, {}), {result.verdict: 1})
            if result.reason:
                _count(self.reasons, {f"{name}: {result.verdict}: {result.reason}": 1}, _MOST_REASONS)
        _count(self.builds, dict.fromkeys(proof.builds, 1))

    def merge(self, other: Tally) -> None:
        """Add what another one has counted."""
        self.runs += other.runs
        self.events += other.events
        self.executed += other.executed
        self.served += other.served
        for mine, theirs in ((self.types, other.types), (self.proofs, other.proofs)):
            for name, counts in theirs.items():
                _count(mine.setdefault(name, {}), counts)
        _count(self.reasons, other.reasons, _MOST_REASONS)
        _count(self.builds, other.builds)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How many runs there are of each verdict, the best first; also those of which there is none."""
        total: Counter[str] = Counter()
        for counts in self.types.values():
            total.update(counts)
        return {verdict: total[verdict] for verdict in VERDICTS}

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, for `of_json`; equal counts give equal bytes when it is written canonically."""
        return {
            "runs": self.runs,
            "events": self.events,
            "executed": self.executed,
            "served": self.served,
            "types": self.types,
            "proofs": {name: self.proofs[name] for name in PROOFS if name in self.proofs},
            "reasons": self.reasons,
            "builds": self.builds,
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Tally:
        """What `to_json` has written. Raises TypeError for anything else."""
        return cls(**told)


def _count(counts: dict[str, int], more: Mapping[str, int], most: int | None = None) -> None:
    for name, number in more.items():
        known = name if most is None or name in counts or len(counts) < most else _OTHERS
        counts[known] = counts.get(known, 0) + number
