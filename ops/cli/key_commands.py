"""The words of `refold keys`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json
from .erasure_commands import app

__all__ = ["app"]

keys = typer.Typer(no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
"""The commands on the keys of the HTTP API."""

app.add_typer(keys, name="keys", help="Keys of the HTTP API: who may do what, for which tenant.")

_Key = Annotated[str, typer.Argument(metavar="KEY_ID", help="As list names it.", show_default=False)]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]


@keys.command("create")
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Recorded of all that is done with it.", show_default=False)
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="run, read, audit, operate or admin; repeatable; else read."),
    ] = None,
    tenant: Annotated[str, typer.Option(metavar="T", help="For this tenant.")] = "default",
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="For every tenant.")] = False,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="So long: 12h, 90d; else for ever.", show_default=False),
    ] = None,
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a key; it is written to stdout this once. From the first one on every server asks for a key."""
    from .keys import Decision, create_key

    decision = Decision(by, database, json)
    raise typer.Exit(create_key(decision, name, scope or ["read"], None if all_tenants else tenant, expires))


@keys.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Only this tenant's.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that count no more too.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """List the keys, without their secrets, and when each was last used."""
    from .keys import list_keys

    raise typer.Exit(list_keys(tenant, all_, database, json))


@keys.command("show")
def show(key_id: _Key, database: Database = None, json: Json = False) -> None:
    """Show a key, without its secret."""
    from .keys import show_key

    raise typer.Exit(show_key(key_id, database, json))


@keys.command("rotate")
def rotate(
    key_id: _Key,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="For how long the old secret counts too.")] = "24h",
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Give a key a new secret, written to stdout this once; the old one counts beside it for a while."""
    from .keys import Decision, rotate_key

    raise typer.Exit(rotate_key(Decision(by, database, json), key_id, overlap))


@keys.command("revoke")
def revoke(
    key_id: _Key,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is recorded.", show_default=False)] = "",
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Have a key count no more, everywhere within a second, nor any session that was opened with it."""
    from .keys import Decision, revoke_key

    raise typer.Exit(revoke_key(Decision(by, database, json), key_id, reason))
