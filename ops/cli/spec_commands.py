"""The words of `refold specs`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant, app

__all__ = ["app"]

specs = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on the registry of specs."""

app.add_typer(specs, name="specs", help="The registry of specs: workflows known by type and version.")


@specs.command("put")
def specs_put(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="JSON or YAML, or - for stdin.", show_default=False)
    ],
    by: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who registers them; else your login name.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Register specs under their type and version, for ever; what is registered already is left as it is."""
    from .specs import put_specs

    raise typer.Exit(put_specs(files, by, tenant, database, json))


@specs.command("list")
def specs_list(
    workflow_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this one's versions.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List the registered specs, by type; each type's versions in the order in which they were registered."""
    from .specs import list_specs

    raise typer.Exit(list_specs(workflow_type, tenant, database, json))


@specs.command("show")
def specs_show(
    workflow_type: Annotated[str, typer.Argument(metavar="TYPE", help="TYPE or TYPE#VERSION.", show_default=False)],
    version: Annotated[str | None, typer.Option(metavar="V", help="Else the latest.", show_default=False)] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Print a registered spec, as a document that could be registered again. With --json, its canonical form."""
    from .specs import show_spec

    raise typer.Exit(show_spec(workflow_type, version, tenant, database, json))
