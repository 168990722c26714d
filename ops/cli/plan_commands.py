"""The words of `refold plan`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Json
from .proof_commands import app

__all__ = ["app"]

plan = typer.Typer(no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
"""The commands on plans."""

app.add_typer(plan, name="plan", help="Plans: specs that a planner wrote, which nobody trusts.")


@plan.command("check")
def plan_check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON or YAML, or - for stdin.", show_default=False)],
    rules: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rules, else the built-in ones.", show_default=False)
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also through which decodings.")] = False,
    json: Json = False,
) -> None:
    """Judge a plan by the sandbox, or with --json each line of stdin (exit codes: 6 it is refused, 2 it is no spec)."""
    from .planning import check_plans

    raise typer.Exit(check_plans(file, rules, explain, json))
