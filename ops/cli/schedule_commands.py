"""The words of `refold schedules`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .code_commands import app
from .commands import Database, Json, Tenant

__all__ = ["app"]

schedules = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on schedules."""

app.add_typer(schedules, name="schedules", help="Schedules: what workers run by themselves, by cron or interval.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The schedule's id.", show_default=False)]
_Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record.", show_default=False)]


@schedules.command("create")
def schedules_create(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="JSON or YAML, or - for stdin.", show_default=False)
    ],
    paused: Annotated[bool, typer.Option("--paused", help="Fire nothing before it is resumed.")] = False,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Have workers fire as the definitions in FILE say; what exists with the same definition is left as it is."""
    from .schedules import create_schedules

    raise typer.Exit(create_schedules(files, paused, tenant, database, json))


@schedules.command("list")
def schedules_list(tenant: Tenant = "default", database: Database = None, json: Json = False) -> None:
    """List the schedules that have not ended."""
    from .schedules import list_schedules

    raise typer.Exit(list_schedules(tenant, database, json))


@schedules.command("show")
def schedules_show(schedule_id: _Id, tenant: Tenant = "default", database: Database = None, json: Json = False) -> None:
    """Show a schedule: its definition, when it fires next, what it has done."""
    from .schedules import show_schedule

    raise typer.Exit(show_schedule(schedule_id, tenant, database, json))


@schedules.command("pause")
def schedules_pause(
    schedule_id: _Id, reason: _Reason = "", tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Fire nothing until it is resumed. Runs that go on are left alone."""
    from .schedules import tell_schedule

    raise typer.Exit(tell_schedule("pause", schedule_id, reason, None, tenant, database, json))


@schedules.command("resume")
def schedules_resume(
    schedule_id: _Id, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Fire again; of what was missed, what `catch_up` says."""
    from .schedules import tell_schedule

    raise typer.Exit(tell_schedule("resume", schedule_id, "", None, tenant, database, json))


@schedules.command("delete")
def schedules_delete(
    schedule_id: _Id, reason: _Reason = "", tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """End a schedule, and cancel the run that it waits for. Its history stays."""
    from .schedules import tell_schedule

    raise typer.Exit(tell_schedule("delete", schedule_id, reason, None, tenant, database, json))


@schedules.command("trigger")
def schedules_trigger(
    schedule_id: _Id,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key twice fires once.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Fire at once, beside the times of the schedule."""
    from .schedules import tell_schedule

    raise typer.Exit(tell_schedule("trigger", schedule_id, "", key, tenant, database, json))
