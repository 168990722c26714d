"""The words of `refold incident`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Folder, Json, Keys, RunId, Skills, Tenant
from .monitor_commands import app

__all__ = ["app"]

incident = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on incidents."""

app.add_typer(incident, name="incident", help="A mismatch: everything about it in one file, and whether it is stable.")


@incident.command("collect")
def incident_collect(
    runs: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="The runs.", show_default=False)],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="The archive to make, such as incident.tgz.")],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Decisions since then; else an hour before the runs.", show_default=False),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="FILE", help="The end of this log too; repeatable.", show_default=False),
    ] = None,
    skills: Skills = None,
    folder: Folder = None,
    keys: Keys = None,
    most: Annotated[
        int, typer.Option("--max-mib", metavar="N", min=1, max=1024, help="So much is put in at most.")
    ] = 100,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Put everything about runs into one archive, before anybody changes anything.

    Of each run: its events and messages as stored, the chain, all proofs, checkpoint and golden. Besides: what was
    decided at the time, policies, workers, versions, the ends of logs, what refold doctor says. What the log holds
    encrypted stays so; of the environment only harmless variables are told; known forms of secrets in logs are masked.
    manifest.json has the SHA-256 of each file, and says what was left out.

    Example: refold incident collect order-17 --log worker.log --out incident.tgz

    Exit codes: 0 it is made; 2 no such run, or FILE exists; 5 the store is not there; 6 FILE cannot be written.
    """
    from .incidents import Wanted, collect

    wanted = Wanted(runs, out, since, log or [], skills or [], folder, keys, most, tenant, database)
    raise typer.Exit(collect(wanted, json))


@incident.command("rerun")
def incident_rerun(
    run_id: RunId,
    times: Annotated[int, typer.Option("--times", metavar="N", min=1, max=10_000, help="So often.")] = 10,
    skills: Skills = None,
    limit: Annotated[
        float, typer.Option("--limit", metavar="S", min=1, max=86_400, help="How long one proof may take.")
    ] = 300.0,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove a run again and again from the log, each time in a fresh process, and say whether it is stable.

    Stable: all proofs say the same, be it equal or diverged. Else it is told where they differ.

    Example: refold incident rerun order-17 --times 10 --skills shop.skills

    Exit codes: 0 stable and equal; 2 no such run, or its code is not here; 3 it diverges, or is not stable; 4 stored
    bytes were altered.
    """
    from .incident_reruns import Rerun, rerun

    raise typer.Exit(rerun(Rerun(run_id, times, skills or [], limit, tenant, database), json))
