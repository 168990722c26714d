"""Every command's words: arguments, options and help. What a command does is loaded when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""The commands, for `main` to run."""

_URL_HELP = "sqlite:///file.db or postgresql://…; else REFOLD_DATABASE_URL, else sqlite:///refold.db."

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run.", show_default=False)]
Tenant = Annotated[str, typer.Option(metavar="T", help="Whose runs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout; messages on stderr.")]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help=_URL_HELP, show_default=False)]
Skills = Annotated[
    list[str] | None,
    typer.Option("--skills", metavar="MODULE", help="A module or .py file of skills; repeatable.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.", show_default=False)]
"""What several commands take."""


def _version(wanted: bool) -> None:
    if wanted:
        from ...compose import BUILD

        print(BUILD)  # noqa: T201
        raise typer.Exit


@app.callback()
def refold(
    context: typer.Context,
    database: Database = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Durable execution that can be proved: runs survive any crash, and replay proves the hashes equal.

    Exit codes: 0 ok, 1 the run failed or was stopped, 2 invalid call or input, 3 replay diverged, 4 integrity broken,
    5 store unreachable, 6 refused.
    """
    # A database named before the command is the default of the command's own --database.
    context.default_map = {command.name or "": {"database": database} for command in app.registered_commands}


@app.command("run")
def run(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="A JSON or YAML file, or - for stdin.", show_default=False)
    ],
    inputs: Annotated[
        str | None, typer.Option(metavar="JSON", help="Laid over the spec's; @file reads a file.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="0 to 2^53-1.")] = 0,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Its name; else one is made.", show_default=False)
    ] = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Run a workflow to its end; with the id of an unfinished run of the same spec, go on with it.

    Ctrl-C and SIGTERM leave it to be resumed.
    """
    from .running import run_spec

    raise typer.Exit(run_spec(spec, inputs, seed, run_id, skills or [], tenant, database, json))


@app.command("resume")
def resume(
    run_id: RunId, skills: Skills = None, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Go on with a run that was cut off or paused."""
    from .running import resume_run

    raise typer.Exit(resume_run(run_id, skills or [], tenant, database, json))


@app.command("replay")
def replay(
    run_id: RunId, skills: Skills = None, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Execute a recorded run again, appending nothing, and compare (exit code 3: something came out otherwise)."""
    from .replaying import replay_run

    raise typer.Exit(replay_run(run_id, skills or [], tenant, database, json))


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many.")] = 20,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only these, such as running or failed.", show_default=False)
    ] = None,
    before: Annotated[
        int | None, typer.Option(min=1, metavar="CURSOR", help="Go on where an earlier list ended.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List runs, the latest started first."""
    from .listing import list_runs

    raise typer.Exit(list_runs(limit, status, before, tenant, database, json))


@app.command("show")
def show(
    run_id: RunId,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many steps.")] = 100,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show a run: its steps on a time line, and what came out. With --json, the result as one object."""
    from .showing import show_run

    raise typer.Exit(show_run(run_id, limit, tenant, database, json))


@app.command("events")
def events(
    run_id: RunId,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Only events after number N.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many.", show_default=False)] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Read the event log of a run, as stored."""
    from .events import show_events

    raise typer.Exit(show_events(run_id, after, limit, tenant, database, json))


@app.command("verify")
def verify(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="The run.", show_default=False)] = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run of the tenant.")] = False,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove that a run's bytes are intact and fold to the recorded hashes (exit code 4: they do not)."""
    from .verifying import verify_all, verify_one

    if all_runs == (run_id is not None):
        raise typer.BadParameter("give either a run id or --all", param_hint="RUN_ID")
    raise typer.Exit(
        verify_all(tenant, database, json) if run_id is None else verify_one(run_id, tenant, database, json)
    )


@app.command("cancel")
def cancel(
    run_id: RunId, reason: Reason = "", tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Cancel a run, whoever works on it."""
    from .telling import tell

    raise typer.Exit(tell("cancel", run_id, reason, tenant, database, json))


@app.command("pause")
def pause(
    run_id: RunId, reason: Reason = "", tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Pause a run: running steps end, nothing new starts until it is resumed."""
    from .telling import tell

    raise typer.Exit(tell("pause", run_id, reason, tenant, database, json))


@app.command("migrate")
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring the database's schema up to date."""
    from .setting_up import migrate_store

    raise typer.Exit(migrate_store(dry_run, database, json))


@app.command("skills")
def skills(skills: Skills = None, json: Json = False) -> None:
    """List the skills that steps can name."""
    from .setting_up import list_skills

    raise typer.Exit(list_skills(skills or [], json))
