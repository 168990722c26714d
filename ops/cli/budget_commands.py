"""The words of `refold budgets`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Reason
from .plan_commands import app

__all__ = ["app"]

budgets = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on budgets, rates and places."""

app.add_typer(budgets, name="budgets", help="Budgets, rates and places: what is spent, held and left.")

_Prefix = Annotated[
    str, typer.Argument(metavar="[PREFIX]", help="Only accounts whose names begin so.", show_default=False)
]
_Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Such as budget/agent/ada/2026-11.")]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]


@budgets.command("list")
def budgets_list(prefix: _Prefix = "", database: Database = None, json: Json = False) -> None:
    """Show the accounts of this day and month, and those without a period, as bars."""
    from .budgets import list_accounts

    raise typer.Exit(list_accounts(prefix, database, json))


@budgets.command("history")
def budgets_history(prefix: _Prefix = "", database: Database = None, json: Json = False) -> None:
    """Show the budgets of days and months that are over."""
    from .budgets import list_accounts

    raise typer.Exit(list_accounts(prefix, database, json, past=True))


@budgets.command("show")
def budgets_show(account: _Account, database: Database = None, json: Json = False) -> None:
    """Show one account: who holds something of it, who waits for it, and what was added to it."""
    from .budgets import show_account

    raise typer.Exit(show_account(account, database, json))


@budgets.command("holds")
def budgets_holds(prefix: _Prefix = "", database: Database = None, json: Json = False) -> None:
    """Show what attempts hold of accounts, or wait for, in the order in which they asked."""
    from .budgets import list_holds

    raise typer.Exit(list_holds(prefix, database, json))


@budgets.command("top-up")
def budgets_top_up(
    account: _Account,
    cents: Annotated[float, typer.Argument(metavar="CENTS", help="How much more; after -- also below 0.")],
    reason: Reason,
    by: _By = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Give a budget more than its capacity, at once and for as long as its period lasts; it is recorded."""
    from .budgets import top_up

    raise typer.Exit(top_up(account, cents, reason, by, database, json))


@budgets.command("verify")
def budgets_verify(
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Then put in what the log says.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Compute the accounts anew from the whole log, and compare (exit code 4: they differ)."""
    from .budgets import verify

    raise typer.Exit(verify(rebuild, database, json))
