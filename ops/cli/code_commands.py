"""The words of the commands for workflows in code: `refold query` and `refold dev`; importing this adds them."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Folder, Json, Keys, RunId, Skills, Tenant
from .spec_commands import app

__all__ = ["app"]


@app.command("query")
def query(
    run_id: RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the function calls it.", show_default=False)],
    arguments: Annotated[
        str | None, typer.Option(metavar="JSON", help="An object; @file reads a file.", show_default=False)
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=0.01, max=3600, metavar="SECONDS", help="How long to wait for a worker.")
    ] = 10,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Ask a run's function something; nothing is changed.

    A worker that has the function answers. With --skills it is answered here.
    """
    from .querying import query_run

    raise typer.Exit(query_run(run_id, name, arguments, timeout_seconds, skills or [], tenant, database, json))


@app.command("dev")
def dev(
    skills: Skills = None,
    host: Annotated[str, typer.Option(metavar="HOST", help="A loopback name or address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 for any free one.")] = 8080,
    queue: Annotated[
        list[str] | None,
        typer.Option(metavar="Q", help="Work on this queue; repeatable; else default.", show_default=False),
    ] = None,
    folder: Folder = None,
    keys: Keys = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Serve the HTTP API, work on runs and keep projections, in one process, until a signal comes: for trying out.

    Ctrl-C and SIGTERM drain it: running steps end; a second one ends it at once.
    """
    from .developing import develop

    raise typer.Exit(develop(skills or [], host, port, queue or ["default"], folder, keys, database, json))
