"""The words of `refold verify`, `replay` and `certificate`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .certify_commands import app
from .commands import MOST, Database, Folder, Json, Keys, Skills, Tenant

__all__ = ["app"]

certificates = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on certificates."""

app.add_typer(certificates, name="certificate", help="What a job has proved, signed.")


def _option(name: str, metavar: str, help_: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=help_, show_default=False)


Run = Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="The run.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All of the tenant: runs, registered specs, decisions.")]
Since = Annotated[str | None, _option("--since", "TIME", "With --all, runs begun then or later: 2026-05-01, or 7d.")]
Type = Annotated[str | None, _option("--type", "TYPE", "With --all, only runs of this workflow.")]
Status = Annotated[str | None, _option("--status", "STATUS", "With --all, only these, such as completed.")]
Sample = Annotated[str | None, _option("--sample", "N|P%", "With --all, only so many of them, or that share.")]
Seed = Annotated[int, typer.Option("--sample-seed", min=0, max=MOST, metavar="N", help="By which they are drawn.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=256, metavar="N", help="Processes; else one a core.", show_default=False),
]
On = Annotated[str | None, _option("--on", "ADDRESS", "A dask cluster instead of processes here: tcp://host:8786.")]
Job = Annotated[str | None, _option("--job", "FILE", "What is done goes there; with the same file it goes on.")]
Build = Annotated[str | None, _option("--build", "LABEL", "Which build proves; else REFOLD_BUILD. It is recorded.")]
FailOn = Annotated[
    str, typer.Option("--fail-on", metavar="VERDICTS", help="Which of diverged, broken, not_verifiable fail.")
]
Each = Annotated[bool, typer.Option("--each", help="With --json, a line for equal runs too.")]
JUnit = Annotated[str | None, _option("--junit", "FILE", "Write a report there for CI servers.")]
Certificate = Annotated[str | None, _option("--certificate", "FILE", "Write a certificate there.")]
Key = Annotated[str | None, _option("--key", "FILE", "Sign it by this private key; else REFOLD_AUDIT_KEY.")]
"""What both commands take."""


@app.command("replay")
def replay(
    run_id: Run = None,
    all_runs: All = False,
    skills: Skills = None,
    since: Since = None,
    type_: Type = None,
    status: Status = None,
    sample: Sample = None,
    sample_seed: Seed = 0,
    proof: Annotated[
        str, typer.Option("--proof", metavar="PROOFS", help="Of chain, fold, decisions, execution.")
    ] = "chain,fold,decisions,execution",
    against: Annotated[
        str | None, _option("--against", "VERSION", "Prove decisions of specs against this registered version.")
    ] = None,
    workers: Workers = None,
    on: On = None,
    job: Job = None,
    build: Build = None,
    fail_on: FailOn = "diverged,broken",
    each: Each = False,
    junit: JUnit = None,
    certificate: Certificate = None,
    key: Key = None,
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove runs against today's code, appending nothing: bytes, hashes, decisions, deterministic steps run again.

    Exit code 3: something comes out otherwise; 4: stored bytes are not those that were recorded.
    """
    from .fleet_options import FleetOptions
    from .fleets import prove_fleet
    from .replaying import replay_one

    given = FleetOptions(
        skills or [], since, type_, status, sample, sample_seed, proof, against, workers, on, job, build, fail_on, each,
        junit, certificate, key, folder, keys, tenant, database, json,
    )  # fmt: skip
    _one_or_all(run_id, all_runs)
    raise typer.Exit(prove_fleet(given, "replaying") if run_id is None else replay_one(run_id, given))


@app.command("verify")
def verify(
    run_id: Run = None,
    all_runs: All = False,
    since: Since = None,
    type_: Type = None,
    status: Status = None,
    sample: Sample = None,
    sample_seed: Seed = 0,
    workers: Workers = None,
    on: On = None,
    job: Job = None,
    build: Build = None,
    fail_on: FailOn = "diverged,broken",
    each: Each = False,
    junit: JUnit = None,
    certificate: Certificate = None,
    key: Key = None,
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove that runs' bytes are intact and fold to the recorded hashes (exit code 4: they do not)."""
    from .fleet_options import FleetOptions
    from .fleets import prove_fleet
    from .verifying import verify_one

    given = FleetOptions(
        [], since, type_, status, sample, sample_seed, "chain,fold", None, workers, on, job, build, fail_on, each,
        junit, certificate, key, folder, keys, tenant, database, json,
    )  # fmt: skip
    _one_or_all(run_id, all_runs)
    raise typer.Exit(prove_fleet(given, "verifying") if run_id is None else verify_one(run_id, given))


@certificates.command("verify")
def certificate_verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The certificate.", show_default=False)],
    key: Annotated[str | None, _option("--key", "FILE", "The public key, or the text of a verifier key.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Take it without knowing who made it.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Also that this database still has the log it is about.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Check a certificate: its signature, that it does not contradict itself, its log (exit code 4: it is not good)."""
    from .certificates import verify_certificate

    if unsigned == (key is not None):
        raise typer.BadParameter("give either --key or --unsigned", param_hint="--key")
    raise typer.Exit(verify_certificate(file, key, log, database, json))


def _one_or_all(run_id: str | None, all_runs: bool) -> None:
    if all_runs == (run_id is not None):
        raise typer.BadParameter("give either a run id or --all", param_hint="RUN_ID")
