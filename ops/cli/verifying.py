"""`refold verify`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from rich.text import Text

from ...core.runtime.registry import SkillRegistry
from ...replay.fleet import Order, Query
from ...replay.verify import Verification, verify_run
from ..fleet_worker import prover_of
from .faults import BROKEN, OK
from .fleet_options import FleetOptions
from .output import console, plain, write_json
from .reading import existing_store


def verify_one(run_id: str, given: FleetOptions) -> int:
    """Write the verdict on one run; returns the exit code."""
    with existing_store(given.database) as store:
        verdict = verify_run(store, run_id, given.tenant)
        log_ok = verdict.ok
        if log_ok:
            # The log says so itself; what was derived from it must say the same.
            prover = prover_of(store, SkillRegistry(), Order(Query(given.tenant), given.proofs()), given.goldens)
            seen = asyncio.run(prover.prove(run_id, given.tenant)).results["fold"].findings
            verdict = replace(verdict, fold=tuple(seen))
    if given.json:
        write_json({**verdict.to_json(), "log_ok": log_ok})
    else:
        _tell(verdict)
        if log_ok and not verdict.ok:
            # Who restores a backup because of an altered golden loses what was since.
            console().print(Text("  log    ", "dim").append("intact: only what was made from it is wrong", "not dim"))
    return OK if verdict.ok else BROKEN


def _tell(verdict: Verification) -> None:
    screen = console()
    head = Text("intact", "bold green") if verdict.ok else Text("broken", "bold red")
    screen.print(head.append(f"  {_counts(verdict)}", "not bold default"), soft_wrap=True)
    for line in _proofs(verdict):
        screen.print(line, soft_wrap=True)
    if verdict.ok and verdict.workflow_hash is not None:
        screen.print(Text("  hash   ", "dim").append(verdict.workflow_hash, "not dim"), soft_wrap=True)


def _counts(verdict: Verification) -> str:
    messages = f", {verdict.messages} messages" if verdict.messages else ""
    return f"{plain(verdict.run_id)}  {verdict.status or ''}  {verdict.events} events{messages}"


def _proofs(verdict: Verification) -> Iterator[Text]:
    meanings = {"chain": "no byte was altered, none is missing", "fold": "folding again gives the recorded hashes"}
    for name, findings in (("chain", verdict.chain), ("fold", verdict.fold)):
        if not findings:
            yield Text(f"  {name:<5}  ", "dim").append("ok  ", "not dim green").append(meanings[name])
        for finding in findings:
            yield Text(f"  {name:<5}  ", "dim").append(plain(str(finding)), "not dim red")
    for note in verdict.notes:
        yield Text("  note   ", "dim").append(plain(note), "not dim yellow")
