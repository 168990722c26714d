"""The words of the commands on what runs did and might have done; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, RunId, Skills, Tenant
from .store_commands import app

__all__ = ["app"]

_Id = Annotated[
    str | None, typer.Option("--id", metavar="NEW", help="The fork's id; else one is made.", show_default=False)
]
_Queue = Annotated[
    str | None,
    typer.Option(metavar="Q", help="Leave it to workers of this queue; else it runs here.", show_default=False),
]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]


@app.command("fork")
def fork(
    run_id: RunId,
    from_step: Annotated[
        str | None,
        typer.Option("--from-step", metavar="STEP", help="It and what follows runs again.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="POINTER=JSON",
            help="/inputs/NAME=… or /steps/STEP/output=…; =@file reads a file; repeatable.",
            show_default=False,
        ),
    ] = None,
    new_id: _Id = None,
    queue: _Queue = None,
    by: _By = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Begin a new run from what another has recorded, at a step or with changes; the other stays as it is.

    Where a function's code is given, what is taken over is checked against it.
    """
    from .forking import Forking, fork_run

    how = Forking(run_id, new_id, queue, by, skills or [], tenant, database, json)
    raise typer.Exit(fork_run(how, from_step, set_ or []))


@app.command("retry")
def retry(
    run_id: RunId,
    new_id: _Id = None,
    queue: _Queue = None,
    by: _By = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Fork a failed run at the step that made it fail."""
    from .forking import Forking, retry_run

    raise typer.Exit(retry_run(Forking(run_id, new_id, queue, by, skills or [], tenant, database, json)))


@app.command("state")
def state(
    run_id: RunId,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="N|TIME",
            help="After event N; or at a time with its zone, or so long ago: -5m. Else now.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=2**63 - 1, metavar="N", help="At most so many steps.")] = 100,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show a run as it stood at some point of its past, and what would have come next.

    What a function would ask for next only its code tells: give it by --skills.
    """
    from .looking_back import show_state

    raise typer.Exit(show_state(run_id, at, limit, skills or [], tenant, database, json))


@app.command("diff")
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A run, a golden or a folder.", show_default=False)],
    right: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)],
    volatile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Members that say when or where; repeatable, in the place of the usual ones.",
            show_default=False,
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Does not fail the comparison; repeatable.", show_default=False),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Of folders, a golden may be in one only.")] = False,
    keys: Annotated[
        str | None,
        typer.Option("--keys", metavar="FILE", help="The keys; else REFOLD_GOLDEN_KEYS.", show_default=False),
    ] = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say in what two runs, goldens or folders of goldens differ, where, and why (exit code 3: not only in times).

    Whether a skill is deterministic says the module that has it: name it by --skills.
    """
    from .differing import Asked, diff

    asked = Asked(volatile, accept or [], partial, skills or [], keys, tenant, database, json)
    raise typer.Exit(diff(left, right, asked))


@app.command("deploy-check")
def deploy_check(
    skills: Skills = None,
    workflow_type: Annotated[
        str | None, typer.Option("--type", metavar="T", help="Only runs of this workflow.", show_default=False)
    ] = None,
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the verdicts as JUnit XML too.", show_default=False)
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="T", help="Only runs of this tenant; else of all.", show_default=False)
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Drive every open run through the code that is to be deployed (exit code 3: not all go on).

    Nothing is executed and nothing is written.
    """
    from .deploying import check_deployment

    raise typer.Exit(check_deployment(skills or [], workflow_type, junit, tenant, database, json))
