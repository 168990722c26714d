"""The words of `refold doctor`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json
from .key_commands import app

__all__ = ["app"]


@app.command("doctor")
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Cure what can be cured without touching the log, and say what was done.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail.")] = False,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Where the server listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Its port; 0 for any free one.")] = 8080,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, max=600, metavar="SECONDS", help="For what does not answer.")
    ] = 3.0,
    database: Database = None,
    json: Json = False,
) -> None:
    """Look at everything that may be wrong here, and say what to type about it.

    Exit code 1: something has failed; 5: the store cannot be reached. Warnings alone are 0, or with --strict 1.
    """
    from .doctoring import Wanted, see

    raise typer.Exit(see(Wanted(fix, strict, host, port, timeout, database, json)))
