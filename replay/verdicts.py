"""What is said of a run that was put to the proof: a verdict for each proof, and the first divergence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..core.divergence import DivergenceKind
from ..core.ports import Head
from .findings import Finding

Proof = Literal["chain", "fold", "decisions", "execution"]
"""Chain: no byte was altered. Fold: folding again gives the recorded hashes, checkpoint and golden. Decisions: fed with
the recorded outcomes, the recorded spec (or today's code) asks for the same steps. Execution: deterministic skills, run
again, give the same."""

PROOFS: tuple[Proof, ...] = ("chain", "fold", "decisions", "execution")
"""All of them, each standing on those before it."""

Verdict = Literal["equal", "not_comparable", "not_verifiable", "diverged", "broken"]
"""In the order of how bad it is. Not comparable: there is nothing to compare with (it was cut off from outside, or goes
on). Not verifiable: what the proof needs is not here. Diverged: today's code does not do what is recorded. Broken: what
is stored is not what was recorded."""

VERDICTS: tuple[Verdict, ...] = ("equal", "not_comparable", "not_verifiable", "diverged", "broken")
"""All of them, the best first."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them; `equal` for none."""
    return VERDICTS[max((VERDICTS.index(verdict) for verdict in verdicts), default=0)]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first thing that is otherwise, for a person.

    `event` is its number in the run's stream, 0 where it is none of one event's. `recorded` and `now` are excerpts,
    `pointer` (RFC 6901) is where within the output or inputs they differ first. `place` is in the code. `advice` says
    what to do.
    """

    kind: DivergenceKind
    message: str
    event: int = 0
    step_id: str | None = None
    pointer: str = ""
    recorded: str = ""
    now: str = ""
    recorded_hash: str | None = None
    now_hash: str | None = None
    place: str | None = None
    cause: str = ""
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object of the same names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Result:
    """What one proof came to. `reason` says why it could not be made; `findings` are all faults of stored bytes."""

    verdict: Verdict
    reason: str = ""
    divergence: Divergence | None = None
    findings: Sequence[Finding] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; what does not apply is left out."""
        told: dict[str, Any] = {"verdict": self.verdict}
        if self.reason:
            told["reason"] = self.reason
        if self.divergence is not None:
            told["divergence"] = self.divergence.to_json()
        if self.findings:
            told["findings"] = [finding.to_json() for finding in self.findings]
        return told


@dataclass(frozen=True, slots=True)
class RunProof:
    """A run put to the proof. `status` and `workflow_hash` are None where the run cannot be folded, or goes on.

    `executed` and `served` count the outcomes that were brought about again, and those taken from the log. `messages`
    are those of its inbox; `builds` are the labels of the programs that wrote its events, sorted.
    """

    tenant: str
    run_id: str
    workflow_type: str | None
    status: str | None
    events: int
    head: Head
    workflow_hash: str | None
    results: Mapping[Proof, Result] = field(default_factory=dict[Proof, Result])
    executed: int = 0
    served: int = 0
    messages: int = 0
    builds: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of its proofs'."""
        return worst(result.verdict for result in self.results.values())

    @property
    def first(self) -> tuple[Proof, Result] | None:
        """The first proof that found something wrong, with what it found."""
        for proof in PROOFS:
            result = self.results.get(proof)
            if result is not None and result.verdict in ("diverged", "broken"):
                return proof, result
        return None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "tenant": self.tenant,
            "run_id": self.run_id,
            "workflow_type": self.workflow_type,
            "status": self.status,
            "events": self.events,
            "head": {"version": self.head.version, "hash": self.head.hash},
            "workflow_hash": self.workflow_hash,
            "verdict": self.verdict,
            "proofs": {proof: result.to_json() for proof, result in self.results.items()},
            "executed": self.executed,
            "served": self.served,
            "messages": self.messages,
            "builds": list(self.builds),
        }
