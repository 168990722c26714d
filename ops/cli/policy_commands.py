"""The words of `refold policies`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant
from .webhook_commands import app

__all__ = ["app"]

policies = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on policies."""

app.add_typer(policies, name="policies", help="Policies: what steps may do and spend.")

_File = Annotated[
    str, typer.Argument(metavar="FILE", help="A policy in JSON or YAML, or - for stdin.", show_default=False)
]


def _option(name: str, metavar: str, told: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=told, show_default=False)


@policies.command("check")
def policies_check(file: _File, json: Json = False) -> None:
    """Check a policy and show in plain words what it says (exit code 2: it is none)."""
    from .policies import check_policy

    raise typer.Exit(check_policy(file, json))


@policies.command("list")
def policies_list(database: Database = None, json: Json = False) -> None:
    """List the policies that were ever in use: since when, and who brought them."""
    from .policies import list_policies

    raise typer.Exit(list_policies(database, json))


@policies.command("show")
def policies_show(
    name: Annotated[str, typer.Argument(metavar="NAME[#VERSION]", help="Else the latest.", show_default=False)],
    database: Database = None,
    json: Json = False,
) -> None:
    """Print a policy that was in use, as a document. With --json, its canonical form."""
    from .policies import show_policy

    raise typer.Exit(show_policy(name, database, json))


@policies.command("explain")
def policies_explain(
    file: _File,
    skill: Annotated[str, _option("--skill", "S", "The skill that a step would run.")],
    step: Annotated[str, typer.Option(metavar="ID", help="The step's id.")] = "step",
    agent: Annotated[str | None, _option("--agent", "ID", "The agent it is run for.")] = None,
    tenant: Tenant = "default",
    workflow: Annotated[str, typer.Option(metavar="TYPE", help="The workflow type.")] = "",
    queue: Annotated[str, typer.Option(metavar="Q", help="The queue.")] = "default",
    source: Annotated[str, typer.Option(metavar="WHERE", help="planner, or nothing.")] = "",
    cost: Annotated[float, typer.Option(min=0, metavar="C", help="What it costs, in cents.")] = 0,
    effect: Annotated[bool, typer.Option("--side-effect", help="The skill declares a side effect.")] = False,
    key: Annotated[bool, typer.Option("--key", help="The step declares an idempotency key.")] = False,
    inputs: Annotated[str | None, _option("--inputs", "JSON", "The run's inputs; @file reads a file.")] = None,
    json: Json = False,
) -> None:
    """Which rules, limits and budgets of a policy are about such a step, and whether it may run (exit code 6: not)."""
    from .policies import Case, explain_policy

    case = Case(skill, step, agent, tenant, workflow, queue, source, cost, effect, key, inputs)
    raise typer.Exit(explain_policy(file, case, json))
