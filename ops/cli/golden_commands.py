"""The words of `refold golden`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Folder, Json, Keys, Tenant
from .schedule_commands import app

__all__ = ["app"]

golden = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on goldens."""

app.add_typer(golden, name="golden", help="Goldens: what ended runs did, as signed files.")

_Runs = Annotated[list[str] | None, typer.Argument(metavar="RUN_ID...", help="The runs.", show_default=False)]
_All = Annotated[bool, typer.Option("--all", help="Of the whole tenant.")]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]


@golden.command("write")
def golden_write(
    runs: _Runs = None,
    all_: _All = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also those that verify and are not what the log says.")
    ] = (False),
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write the goldens of ended runs from the log; what is there already, or in an archive, is left alone."""
    from .goldens import Place, write

    raise typer.Exit(write(Place(folder, keys, tenant, database, json), runs or [], all_, replace))


@golden.command("list")
def golden_list(
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List the goldens there are, archived ones too. Nothing is proved: see verify."""
    from .goldens import Place, list_goldens

    raise typer.Exit(list_goldens(Place(folder, None, tenant, database, json)))


@golden.command("verify")
def golden_verify(
    runs: _Runs = None,
    all_: _All = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not look at the log: files and keys alone.")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="With --all: every ended run must have one.")] = False,
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Prove goldens by their structure, their signatures, and the log if it is at hand (exit code 4: not intact)."""
    from .golden_proofs import verify
    from .goldens import Place

    raise typer.Exit(verify(Place(folder, keys, tenant, database, json), runs or [], all_, offline, complete))


@golden.command("diff")
def golden_diff(
    actual: Annotated[str, typer.Argument(metavar="ACTUAL", help="A run id, or a file.", show_default=False)],
    expected: Annotated[
        str | None, typer.Argument(metavar="EXPECTED", help="The same; else ACTUAL by the log.", show_default=False)
    ] = None,
    volatile: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Leave these members out instead; repeatable.", show_default=False),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Leave nothing out.")] = False,
    folder: Folder = None,
    keys: Keys = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show in what two goldens differ (exit code 3: they do). Files are taken as they are, runs are verified first."""
    from .golden_proofs import diff
    from .goldens import Place

    raise typer.Exit(diff(Place(folder, keys, tenant, database, json), actual, expected, volatile, timestamps))


@golden.command("rotate-key")
def golden_rotate_key(
    key_id: Annotated[
        str | None, typer.Option(metavar="ID", help="What to call it; else k1, k2, ...", show_default=False)
    ] = None,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="For how long the one before verifies.")] = "30d",
    keys: Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a new key and sign with it from now on; the first one makes the key file. Then: refold golden resign."""
    from .golden_keeping import rotate_key
    from .goldens import Place

    raise typer.Exit(rotate_key(Place(None, keys, tenant, database, json), key_id, overlap, by))


@golden.command("resign")
def golden_resign(
    folder: Folder = None,
    keys: Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Sign all goldens of the tenant with the current key, archived ones too; what does not verify is left as it is."""
    from .golden_keeping import resign
    from .goldens import Place

    raise typer.Exit(resign(Place(folder, keys, tenant, database, json), by))


@golden.command("retention")
def golden_retention(
    time: Annotated[
        str | None, typer.Argument(metavar="TIME", help="Set it: 7d, 12h, ...; else it is shown.", show_default=False)
    ] = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show or set after how long goldens go into archives, counted from the end of their runs."""
    from .golden_keeping import retention
    from .goldens import Place

    raise typer.Exit(retention(Place(None, None, tenant, database, json), time, by))


@golden.command("archive")
def golden_archive(
    older: Annotated[
        str | None, typer.Option("--older", metavar="TIME", help="Instead of the retention.", show_default=False)
    ] = None,
    folder: Folder = None,
    keys: Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Move goldens past their retention into a .tgz that is read back before they go."""
    from .golden_keeping import archive_old
    from .goldens import Place

    raise typer.Exit(archive_old(Place(folder, keys, tenant, database, json), older, by))


@golden.command("restore")
def golden_restore(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="As list names it.", show_default=False)],
    runs: _Runs = None,
    folder: Folder = None,
    keys: Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring the goldens of an archive back, or of some runs in it; the archive stays."""
    from .golden_keeping import restore_archive
    from .goldens import Place

    raise typer.Exit(restore_archive(Place(folder, keys, tenant, database, json), archive, runs or [], by))
