"""The words of `refold erase` and `refold data-keys`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant
from .policy_commands import app

__all__ = ["app"]

data_keys = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on the keys of sensitive data."""

app.add_typer(data_keys, name="data-keys", help="The keys by which sensitive data are encrypted.")

_By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who erases; else who is logged in.")]
_Keys = Annotated[
    str | None,
    typer.Option("--data-keys", metavar="FILE", help="The file of keys; else REFOLD_DATA_KEYS.", show_default=False),
]


@app.command("erase")
def erase(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN_ID", help="The run.", show_default=False)] = None,
    subject: Annotated[
        str | None,
        typer.Option(metavar="S", help="All runs about somebody, as --subject named him.", show_default=False),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Only end what a crash had cut off.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")] = "",
    by: _By = None,
    keys: _Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Destroy the keys to the sensitive data of a run and what descends from it, for good; it is recorded who did so.

    The log stays as it is, and proves itself as before.
    """
    from .erasing import Erasure, erase

    raise typer.Exit(erase(Erasure(run_id, subject, finish, reason, by, tenant), keys, database, json))


@data_keys.command("list")
def data_keys_list(keys: _Keys = None, database: Database = None, json: Json = False) -> None:
    """List the master keys, and how many runs' keys each wraps."""
    from .erasing import list_keys

    raise typer.Exit(list_keys(keys, database, json))


@data_keys.command("rotate")
def data_keys_rotate(
    drop: Annotated[bool, typer.Option("--drop-old", help="Then remove the older keys from the file.")] = False,
    keys: _Keys = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a new master key and wrap all data keys with it; the first one makes the file."""
    from .erasing import rotate

    raise typer.Exit(rotate(drop, keys, database, json))
