"""The words of `refold approvals`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant
from .emergency_commands import app

__all__ = ["app"]

approvals = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on approvals."""

app.add_typer(approvals, name="approvals", help="Approvals: steps that wait for people, and what these decide.")

_Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
_Step = Annotated[
    str | None, typer.Argument(metavar="[STEP]", help="The step; not needed for the only open one.", show_default=False)
]
_By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides, as the list has it.", show_default=False)]
_Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why, for the record.", show_default=False)]
_Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The same key twice decides once.", show_default=False)
]


@approvals.command("list")
def approvals_list(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not decided.")] = False,
    mine: Annotated[
        str | None, typer.Option("--mine", metavar="NAME", help="Only open ones of this person.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Of every tenant.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """List approvals, the oldest first."""
    from .approvals import list_approvals

    raise typer.Exit(list_approvals(open_only, mine, None if all_tenants else tenant, database, json))


@approvals.command("show")
def approvals_show(
    run_id: _Run, step_id: _Step = None, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Show the approvals of a run: what was asked, who may decide, who said what."""
    from .approvals import show_approvals

    raise typer.Exit(show_approvals(run_id, step_id, tenant, database, json))


@approvals.command("grant")
def approvals_grant(
    run_id: _Run,
    by: _By,
    step_id: _Step = None,
    comment: _Comment = "",
    key: _Key = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say yes (exit code 6: it is refused)."""
    from .approvals import decide

    raise typer.Exit(decide("grant", run_id, step_id, by, comment, None, key, tenant, database, json))


@approvals.command("reject")
def approvals_reject(
    run_id: _Run,
    by: _By,
    step_id: _Step = None,
    comment: _Comment = "",
    key: _Key = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say no, which decides it (exit code 6: it is refused)."""
    from .approvals import decide

    raise typer.Exit(decide("reject", run_id, step_id, by, comment, None, key, tenant, database, json))


@approvals.command("delegate")
def approvals_delegate(
    run_id: _Run,
    by: _By,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who is to decide instead.", show_default=False)],
    step_id: _Step = None,
    comment: _Comment = "",
    key: _Key = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Have somebody else decide in one's place (exit code 6: it is refused)."""
    from .approvals import decide

    raise typer.Exit(decide("delegate", run_id, step_id, by, comment, to, key, tenant, database, json))


@approvals.command("comment")
def approvals_comment(
    run_id: _Run,
    by: _By,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="What.", show_default=False)],
    step_id: _Step = None,
    key: _Key = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say something and decide nothing (exit code 6: it is refused)."""
    from .approvals import decide

    raise typer.Exit(decide("comment", run_id, step_id, by, comment, None, key, tenant, database, json))


@approvals.command("watch")
def approvals_watch(
    late: Annotated[
        float, typer.Option("--late", metavar="SECONDS", min=0, help="Leave so long to who works on the run.")
    ] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Escalate, remind and end deadlines for runs that nobody works on, until a signal comes."""
    from .approval_watching import watch

    raise typer.Exit(watch(late, once, database, json))
