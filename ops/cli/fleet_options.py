"""What `refold verify` and `refold replay` are given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ...core.errors import CallError, Problem
from ...core.ids import check_tenant
from ...projections.run_filter import check_status
from ...replay.fleet import Query
from ...replay.verdicts import PROOFS, Proof
from ..settings import golden_folder, golden_key_file
from .goldens import check_key_file
from .times_given import read_time

_FAILING = ("diverged", "broken", "not_verifiable")


class FleetOptions(NamedTuple):
    """What both commands are given."""

    modules: Sequence[str]
    since: str | None
    workflow_type: str | None
    status: str | None
    sample: str | None
    sample_seed: int
    proof: str
    against: str | None
    workers: int | None
    on: str | None
    job: str | None
    build: str | None
    fail_on: str
    each: bool
    junit: str | None
    certificate: str | None
    key: str | None
    folder: str | None
    keys: str | None
    tenant: str
    database: str | None
    json: bool

    @property
    def label(self) -> str | None:
        """The build that proves, as the user calls it."""
        return self.build or os.environ.get("REFOLD_BUILD") or None

    @property
    def goldens(self) -> list[str] | None:
        """Folder and key file of the goldens that bear witness; None where no keys are named. Raises CallError."""
        if golden_key_file(self.keys) is None and self.folder is None:
            return None
        return [str(golden_folder(self.folder).absolute()), str(check_key_file(self.keys).absolute())]

    def query(self) -> Query:
        """Which runs are meant. Raises CallError."""
        sample, percent = _sample(self.sample)
        status = None if self.status is None else check_status(self.status)
        since = read_time("--since", self.since)
        return Query(check_tenant(self.tenant), since, self.workflow_type, status, sample, percent, self.sample_seed)

    def proofs(self) -> tuple[Proof, ...]:
        """Which proofs are wanted; chain and fold always are. Raises CallError."""
        named = _listed("--proof", self.proof, PROOFS)
        return tuple(proof for proof in PROOFS if proof in named or proof in ("chain", "fold"))

    def failing(self) -> list[str]:
        """Which verdicts fail the command. Raises CallError."""
        return _listed("--fail-on", self.fail_on, _FAILING)


def _sample(text: str | None) -> tuple[float | None, bool]:
    if text is None:
        return None, False
    percent = text.endswith("%")
    try:
        number = float(text[:-1]) if percent else float(int(text))
    except ValueError:
        number = -1.0
    if not (0 < number <= 100 if percent else 0 < number < 2**53):
        raise CallError(Problem("", f"--sample {text[:40]!a} is no sample", "give a number of runs, or a share as 5%"))
    return number, percent


def _listed(option: str, text: str, known: Sequence[str]) -> list[str]:
    named = [each.strip() for each in text.split(",") if each.strip()]
    for each in named:
        if each not in known:
            raise CallError(Problem("", f"{option} knows no {each[:40]!a}", f"use {', '.join(known)}"))
    return named
