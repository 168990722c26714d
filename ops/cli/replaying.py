"""`refold replay RUN`: all that the proofs of one run found."""

from __future__ import annotations

from rich.text import Text

from ...compose import BUILD
from ...core.ids import check_run_id, check_tenant
from ...replay.fleet import Order, Query
from ...replay.today import code_of
from ...replay.verdicts import RunProof
from ..fleet_worker import prover_of
from .divergences import lines_of
from .faults import BROKEN, DIVERGED, INVALID, OK
from .fleet_options import FleetOptions
from .output import console, stdout_for_json_only, write_json
from .reading import existing_store, read_skills
from .signals import run_until_stopped


def replay_one(run_id: str, given: FleetOptions) -> int:
    """Put a run to the proofs and tell the verdict; returns the exit code."""
    check_run_id(run_id)
    check_tenant(given.tenant)
    failing = given.failing()
    with stdout_for_json_only(given.json), existing_store(given.database) as store:
        skills = read_skills(given.modules)
        code = code_of(skills, BUILD, given.label)
        order = Order(Query(given.tenant), given.proofs(), given.against, code=code)

        async def work() -> RunProof:
            return await prover_of(store, skills, order, given.goldens).prove(run_id, given.tenant)

        proof = run_until_stopped(work)
    if given.json:
        write_json(proof.to_json())
    else:
        _tell(proof)
    codes = {"broken": BROKEN, "diverged": DIVERGED}
    if proof.verdict in codes:
        return codes[proof.verdict] if proof.verdict in failing else OK
    # Of one run that was named, nothing proved is no success: most likely its code was not given.
    return INVALID if proof.verdict == "not_verifiable" else OK


def _tell(proof: RunProof) -> None:
    for line in lines_of(proof.to_json()):
        console().print(line, soft_wrap=True)
    if proof.verdict in ("equal", "diverged"):
        again = f"{proof.executed} executed again, {proof.served} served from the log"
        console().print(Text(f"  {'steps':<11}", "dim").append(again, "not dim"), soft_wrap=True)
