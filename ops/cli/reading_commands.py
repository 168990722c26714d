"""The words of `refold list`, `timeline`, `failures` and `costs`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import MOST, Database, Json, RunId, Tenant
from .projection_commands import app

__all__ = ["app"]

failures = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
"""The commands on failures."""

app.add_typer(failures, name="failures", help="What failed: attempts, steps and runs.")


def _text(metavar: str, help_: str, name: str | None = None) -> typer.models.OptionInfo:
    names = () if name is None else (name,)
    return typer.Option(*names, metavar=metavar, help=help_, show_default=False)


Type = Annotated[str | None, _text("TYPE", "Only runs of this workflow.", "--type")]
Version = Annotated[str | None, _text("V", "Only runs of this version of it.", "--version")]
Agent = Annotated[str | None, _text("ID", "Only runs on behalf of this agent.", "--agent")]
Code = Annotated[str | None, _text("CODE", "Only with this error code.", "--error-code")]
Skill = Annotated[str | None, _text("SKILL", "Only of steps of this skill.", "--skill")]
Since = Annotated[str | None, _text("TIME", "Only recorded then or later: a time, or how long ago.", "--since")]
Until = Annotated[str | None, _text("TIME", "Only recorded before.", "--until")]
Limit = Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="At most so many.")]
Before = Annotated[
    int | None,
    typer.Option(min=1, max=MOST, metavar="CURSOR", help="Go on where an earlier list ended.", show_default=False),
]
"""What these commands take."""


@app.command("list")
def list_(
    limit: Limit = 20,
    status: Annotated[list[str] | None, _text("STATUS", "Only these, such as running or failed; repeatable.")] = None,
    type_: Type = None,
    version: Version = None,
    agent: Agent = None,
    queue: Annotated[str | None, _text("Q", "Only runs of this queue.", "--queue")] = None,
    error_code: Code = None,
    started_since: Annotated[
        str | None, _text("TIME", "Only started then or later: 2026-05-01, 2026-05-01T12:30, or 2h for that long ago.")
    ] = None,
    started_until: Annotated[str | None, _text("TIME", "Only started before.")] = None,
    ended_since: Annotated[str | None, _text("TIME", "Only ended then or later.")] = None,
    ended_until: Annotated[str | None, _text("TIME", "Only ended before.")] = None,
    attribute: Annotated[list[str] | None, _text("NAME=VALUE", "Only runs that have set it so; repeatable.")] = None,
    parent: Annotated[str | None, _text("RUN", "Only runs that this run started.")] = None,
    forked_from: Annotated[str | None, _text("RUN", "Only forks of this run, and what tried it again.")] = None,
    prefix: Annotated[str | None, _text("TEXT", "Only runs whose ids begin so.")] = None,
    before: Before = None,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    by: Annotated[
        list[str] | None,
        _text("NAME", "Count by status, type, version, agent, queue, error-code, hour or day; repeatable.", "--by"),
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List runs, the latest started first, or count them."""
    from .listing import Query, count_runs, list_runs

    times = {
        "--started-since": started_since,
        "--started-until": started_until,
        "--ended-since": ended_since,
        "--ended-until": ended_until,
    }
    named = (type_, version, agent, queue, error_code)
    query = Query(status or [], *named, times, attribute or [], parent, forked_from, prefix, tenant)
    if count or by:
        if before is not None:
            raise typer.BadParameter("all runs are counted, so there is nowhere to go on", param_hint="--before")
        raise typer.Exit(count_runs(query, by or [], database, json))
    raise typer.Exit(list_runs(query, limit, before, database, json))


@app.command("timeline")
def timeline(
    run_id: RunId,
    limit: Limit = 100,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Draw when the steps, waits, pauses and signals of a run were. With --json, one object a span."""
    from .timelines import show_timeline

    raise typer.Exit(show_timeline(run_id, limit, tenant, database, json))


Kind = Annotated[str | None, _text("KIND", "Only attempt, step, run or parked.", "--kind")]
Category = Annotated[str | None, _text("C", "Only of this category, such as TRANSIENT.", "--category")]
FailureBy = Annotated[
    list[str] | None,
    _text(
        "NAME",
        "kind, code, category, workflow, version, skill, step, agent, run, hour, day; repeatable; else kind, code.",
        "--by",
    ),
]
"""What the commands on failures take."""


@failures.callback(invoke_without_command=True)
def failures_plotted(
    context: typer.Context,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="code, category, workflow, version, skill, step, agent, hour or day.")
    ] = "code",
    kind: Kind = None,
    error_code: Code = None,
    category: Category = None,
    type_: Type = None,
    skill: Skill = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="At most so many bars.")] = 20,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """What failed: a picture of how often, by code or over time; what is listed, and other counts."""
    if context.invoked_subcommand is not None:
        return
    from .analysing import chosen, plot_failures

    wanted = chosen(
        since, until, kind=kind, code=error_code, category=category, workflow=type_, skill=skill, tenant=tenant
    )
    raise typer.Exit(plot_failures(wanted, by, limit, database, json))


@failures.command("list")
def failures_list(
    limit: Limit = 20,
    kind: Kind = None,
    error_code: Code = None,
    category: Category = None,
    type_: Type = None,
    version: Version = None,
    skill: Skill = None,
    agent: Agent = None,
    run: Annotated[str | None, _text("RUN_ID", "Only of this run.", "--run")] = None,
    since: Since = None,
    until: Until = None,
    before: Annotated[str | None, _text("CURSOR", "Go on where an earlier list ended.")] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List failures, the latest first."""
    from .analysing import chosen, list_failures

    wanted = chosen(
        since, until, kind=kind, code=error_code, category=category, workflow=type_, version=version,
        skill=skill, agent=agent, run=run, tenant=tenant,
    )  # fmt: skip
    raise typer.Exit(list_failures(wanted, limit, before, database, json))


@failures.command("counts")
def failures_counts(
    by: FailureBy = None,
    kind: Kind = None,
    error_code: Code = None,
    category: Category = None,
    type_: Type = None,
    version: Version = None,
    skill: Skill = None,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Count failures by what they have in common."""
    from .analysing import chosen, count_failures

    wanted = chosen(
        since, until, kind=kind, code=error_code, category=category, workflow=type_, version=version,
        skill=skill, agent=agent, tenant=tenant,
    )  # fmt: skip
    raise typer.Exit(count_failures(wanted, by or ["kind", "code"], database, json))


@app.command("costs")
def costs(
    by: Annotated[
        list[str] | None,
        _text(
            "NAME",
            "tenant, agent, workflow, version, skill, step, run, hour or day; repeatable; else workflow.",
            "--by",
        ),
    ] = None,
    type_: Type = None,
    version: Version = None,
    skill: Skill = None,
    agent: Agent = None,
    run: Annotated[str | None, _text("RUN_ID", "Only of this run.", "--run")] = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = "default",
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Of every tenant.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Add up what attempts cost, in cents, by what they have in common."""
    from .analysing import add_up, chosen

    wanted = chosen(
        since, until, workflow=type_, version=version, skill=skill, agent=agent, run=run,
        tenant=None if all_tenants else tenant,
    )  # fmt: skip
    raise typer.Exit(add_up(wanted, by or ["workflow"], database, json))
