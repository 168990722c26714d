"""The words of `refold plan`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Skills, Tenant
from .origins import Agent, Origin, PolicyOption
from .proof_commands import app

__all__ = ["app"]

plan = typer.Typer(no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
"""The commands on plans."""

app.add_typer(plan, name="plan", help="Plans: specs that a planner wrote, which nobody trusts.")


_File = Annotated[str, typer.Argument(metavar="FILE", help="JSON or YAML, or - for stdin.", show_default=False)]
_Source = Annotated[str, typer.Option("--source", metavar="WHERE", help="planner, or '' for a plan that is trusted.")]
_Queue = Annotated[str, typer.Option(metavar="Q", help="On which queue.")]
_Inputs = Annotated[
    str | None, typer.Option(metavar="JSON", help="Laid over the plan's; @file reads a file.", show_default=False)
]


@plan.command("check")
def plan_check(
    file: _File,
    rules: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rules, else the built-in ones.", show_default=False)
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also through which decodings.")] = False,
    json: Json = False,
) -> None:
    """Judge a plan by the sandbox, or with --json each line of stdin (exit codes: 6 it is refused, 2 it is no spec)."""
    from .planning import check_plans

    raise typer.Exit(check_plans(file, rules, explain, json))


@plan.command("evaluate")
def plan_evaluate(
    file: _File,
    agent: Agent = None,
    source: _Source = "planner",
    policy: PolicyOption = None,
    queue: _Queue = "default",
    inputs: _Inputs = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Would this plan be allowed, and why not: by sandbox, policies, budgets and limits; nothing is run.

    With --json each line of stdin is a plan. Exit codes: 0 allowed, 6 refused, 2 it is no plan.
    """
    from .plan_looking import Look, evaluate_plans

    look = Look(Origin(agent, source, policy), tenant, queue, inputs, skills or [], database, json)
    raise typer.Exit(evaluate_plans(file, look))


@plan.command("simulate")
def plan_simulate(
    file: _File,
    agent: Agent = None,
    source: _Source = "planner",
    policy: PolicyOption = None,
    queue: _Queue = "default",
    inputs: _Inputs = None,
    skills: Skills = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """What this plan would do: what it costs, how long it takes, what is in its way; nothing is run.

    Durations come from the runs in the database. With --json each line of stdin is a plan. Exit codes: 0 it would be
    allowed, 6 refused, 2 it is no plan.
    """
    from .plan_looking import Look, simulate_plans

    look = Look(Origin(agent, source, policy), tenant, queue, inputs, skills or [], database, json)
    raise typer.Exit(simulate_plans(file, look))
