"""The words of `refold store`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant
from .reading_commands import app

__all__ = ["app"]

store = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on the store itself."""

app.add_typer(store, name="store", help="The store itself: archives of ended runs, exports and imports.")

_Folder = Annotated[
    str | None,
    typer.Option(
        "--archives",
        metavar="FOLDER",
        help="Where archives lie; else REFOLD_ARCHIVE, else NAME-archive beside a SQLite file.",
        show_default=False,
    ),
]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]
_Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is recorded.", show_default=False)]


@store.command("archive")
def archive(
    older: Annotated[str, typer.Option("--older-than", metavar="TIME", help="Runs that ended before: 30d, 12h, ...")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many runs.", show_default=False)
    ] = None,
    folder: _Folder = None,
    by: _By = None,
    reason: _Reason = "",
    database: Database = None,
    json: Json = False,
) -> None:
    """Move ended runs of all tenants into compressed files; they stay readable, and can be brought back.

    Interrupted, it leaves nothing out of reach: call it again. Exit code 4: runs that are not intact were left.
    """
    from .archives import Archives, archive_old

    raise typer.Exit(archive_old(Archives(folder, database, json), older, dry_run, limit, by, reason))


@store.command("archives")
def archives(folder: _Folder = None, database: Database = None, json: Json = False) -> None:
    """List the archives, and how many runs lie in each (exit code 4: one is missing).

    What is in them is proved by verify --all.
    """
    from .archives import Archives, list_archives

    raise typer.Exit(list_archives(Archives(folder, database, json)))


@store.command("bring-back")
def bring_back(
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN_ID...", help="Runs.", show_default=False)] = None,
    archive: Annotated[
        str | None, typer.Option("--archive", metavar="FILE", help="All runs in this archive.", show_default=False)
    ] = None,
    folder: _Folder = None,
    by: _By = None,
    reason: _Reason = "",
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring archived runs back into the database; the archive stays."""
    from .archives import Archives, bring_runs_back

    raise typer.Exit(bring_runs_back(Archives(folder, database, json), runs or [], archive, tenant, by, reason))


@store.command("export")
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to write; - for stdout.", show_default=False)],
    folder: _Folder = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Write the whole store, archives too, into one compressed file of JSON lines, for import."""
    from .archives import Archives
    from .transfers import export_store

    raise typer.Exit(export_store(Archives(folder, database, json), file))


@store.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What export wrote; - for stdin.", show_default=False)],
    database: Database = None,
    json: Json = False,
) -> None:
    """Fill an empty store from an export, all of it or nothing; unfinished runs go on there.

    Every chain and head is proved before anything is kept (exit code 4: the file was cut off or altered).
    """
    from .transfers import import_store

    raise typer.Exit(import_store(file, database, json))
