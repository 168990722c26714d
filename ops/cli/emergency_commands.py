"""The words of `refold emergency-stop`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .budget_commands import app
from .commands import Database, Json, Reason

__all__ = ["app"]

emergency = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on emergency stops."""

app.add_typer(emergency, name="emergency-stop", help="Stop everything, or a part of it, on all workers at once.")


def _option(name: str, metavar: str, help_: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=help_, show_default=False)


_Tenant = Annotated[str | None, _option("--tenant", "T", "Only the runs of this tenant.")]
_Workflow = Annotated[str | None, _option("--workflow", "TYPE", "Only runs of this workflow type, of any tenant.")]
_Queue = Annotated[str | None, _option("--queue", "Q", "Only this queue.")]
_By = Annotated[str | None, _option("--by", "WHO", "Who does it; else your login name.")]


@emergency.command("enable")
def emergency_enable(
    tenant: _Tenant = None,
    workflow: _Workflow = None,
    queue: _Queue = None,
    cancel_running: Annotated[
        bool, typer.Option("--cancel-running", help="Drop running steps; else they finish and are recorded.")
    ] = False,
    reason: Reason = "",
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Stop: no step begins any more, on any worker, within a second. Without an option everything is stopped."""
    from .emergency import enable, scope_of

    scope = scope_of(tenant, workflow, queue)
    raise typer.Exit(enable(scope, cancel_running, reason, by, database, json))


@emergency.command("status")
def emergency_status(database: Database = None, json: Json = False) -> None:
    """Say STOPPED or RUNNING, and what is stopped, since when, by whom and why."""
    from .emergency import status

    raise typer.Exit(status(database, json))


@emergency.command("disable")
def emergency_disable(
    tenant: _Tenant = None,
    workflow: _Workflow = None,
    queue: _Queue = None,
    all_: Annotated[bool, typer.Option("--all", help="Release every stop.")] = False,
    reason: Reason = "",
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Release a stop, without an option the global one: all that it held back goes on untouched."""
    from .emergency import disable, scope_of

    scope = None if all_ and not (tenant or workflow or queue) else scope_of(tenant, workflow, queue, all_)
    raise typer.Exit(disable(scope, reason, by, database, json))
