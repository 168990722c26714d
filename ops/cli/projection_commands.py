"""The words of `refold projector` and `refold projections`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Folder, Json, Keys, Tenant
from .golden_commands import app
from .measuring import MetricsAddress

__all__ = ["app"]

projections = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on projections."""

app.add_typer(projections, name="projections", help="The tables that are derived from the log.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The projection, such as runs.", show_default=False)]
Some = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.", show_default=False)]
"""The projection."""


@app.command("projector")
def projector(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this projection; repeatable.", show_default=False),
    ] = None,
    folder: Folder = None,
    keys: Keys = None,
    metrics: MetricsAddress = None,
    patrol: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Verify all goldens again in so long; 0: never.")
    ] = 3600,
    database: Database = None,
) -> None:
    """Keep the projections up with the log until a signal comes; goldens too where their keys are named.

    Any number may run: each projection has one owner at a time, and another takes over when it dies.
    """
    from .projecting import project

    raise typer.Exit(project(only or [], folder, keys, database, metrics, patrol))


@projections.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """List the projections: how far each is behind, and what it left aside (exit code 1: one stands still)."""
    from .projecting import show_standings

    raise typer.Exit(show_standings(None, database, json))


@projections.command("status")
def status(name: Some = None, database: Database = None, json: Json = False) -> None:
    """Show all generations, also those that were replaced (exit code 1: one stands still at an event)."""
    from .projecting import show_standings

    raise typer.Exit(show_standings(name, database, json, every=True))


@projections.command("rebuild")
def rebuild(
    name: Name,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only build it, compare, and throw it away.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Switch only if it equals what is read now.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            max=64,
            help="How many do it side by side; as many as cores.",
            show_default=False,
        ),
    ] = None,
    folder: Folder = None,
    keys: Keys = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Build a projection anew beside the one that is read, and switch to it (exit code 3: they differ).

    Interrupted, it goes on where it was. What was read before is kept until drop-old. Of goldens, what is missing is
    written, and what differs is replaced; with --compare it is only told.
    """
    from .projecting import rebuild

    raise typer.Exit(rebuild(name, shadow, compare, processes, folder, keys, database, json))


@projections.command("fill-parts", hidden=True)
def fill_parts(name: Name, generation: int, database: Database = None) -> None:
    """What the processes of a rebuild do; they end when stdin does."""
    from .helping import fill_parts

    raise typer.Exit(fill_parts(name, generation, database))


@projections.command("pause")
def pause(name: Name, database: Database = None, json: Json = False) -> None:
    """Let a projection stand still."""
    from .projecting import set_paused

    raise typer.Exit(set_paused(name, True, database, json))


@projections.command("resume")
def resume(name: Name, database: Database = None, json: Json = False) -> None:
    """Let a paused projection go on."""
    from .projecting import set_paused

    raise typer.Exit(set_paused(name, False, database, json))


@projections.command("drop-old")
def drop_old(name: Name, database: Database = None, json: Json = False) -> None:
    """Drop the generations that a rebuild has replaced."""
    from .projecting import drop_old_generations

    raise typer.Exit(drop_old_generations(name, database, json))


@projections.command("parked")
def parked(name: Some = None, database: Database = None, json: Json = False) -> None:
    """List the runs that projections have left aside, because an event of theirs could not be taken in."""
    from .projecting import show_parked

    raise typer.Exit(show_parked(name, database, json))


@projections.command("retry")
def retry(
    name: Name,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="Only this run.", show_default=False)] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Have the runs that a projection has left aside tried again."""
    from .projecting import retry_parked

    raise typer.Exit(retry_parked(name, run_id, tenant, database, json))
