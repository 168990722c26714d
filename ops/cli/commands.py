"""Every command's words: arguments, options and help. What a command does is loaded when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from .measuring import MetricsAddress
from .origins import Agent, Origin, PolicyOption, Source
from .serving_options import (
    AccessLog,
    AtOnce,
    Certificate,
    CertificateKey,
    Connections,
    Drain,
    Forwarded,
    MaxLag,
    MinFree,
    RatePerSecond,
)

_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, context_settings=_HELP_OPTIONS
)
"""The commands, for `main` to run."""

dispatch = typer.Typer(no_args_is_help=True, add_completion=False, context_settings=_HELP_OPTIONS)
"""The commands on the table of open runs."""

app.add_typer(dispatch, name="dispatch", help="The table of open runs, from which workers take them up.")

MOST = 2**63 - 1
"""No number of a row or an event is larger: databases count in 64 bits."""

_URL_HELP = "sqlite:///file.db or postgresql://…; else REFOLD_DATABASE_URL, else sqlite:///refold.db."

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run.", show_default=False)]
Tenant = Annotated[str, typer.Option(metavar="T", help="Whose runs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout; messages on stderr.")]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help=_URL_HELP, show_default=False)]
Skills = Annotated[
    list[str] | None,
    typer.Option(
        "--skills",
        "--app",
        metavar="MODULE",
        help="A module or .py file of skills and workflows; repeatable.",
        show_default=False,
    ),
]
Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A JSON or YAML file, - for stdin, or the name of a registered spec: TYPE or TYPE#VERSION.",
        show_default=False,
    ),
]
SpecVersion = Annotated[
    str | None,
    typer.Option("--version", metavar="V", help="SPEC is a registered one, of this version.", show_default=False),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--goldens", metavar="FOLDER", help="Where they lie; else REFOLD_GOLDENS, else goldens.", show_default=False
    ),
]
Keys = Annotated[
    str | None,
    typer.Option("--keys", metavar="FILE", help="The keys; else REFOLD_GOLDEN_KEYS.", show_default=False),
]
Subject = Annotated[
    str | None,
    typer.Option(metavar="S", help="Whom its sensitive data are about; never recorded.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.", show_default=False)]
"""What several commands take."""


def _version(wanted: bool) -> None:
    if wanted:
        from ...compose import BUILD

        print(BUILD)  # noqa: T201
        raise typer.Exit


@app.callback()
def refold(
    context: typer.Context,
    database: Database = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Durable execution that can be proved: runs survive any crash, and replay proves the hashes equal.

    Exit codes: 0 ok, 1 the run failed or was stopped, 2 invalid call or input, 3 replay diverged, 4 integrity broken,
    5 store unreachable, 6 refused.
    """
    # A database named before the command is the default of the command's own --database.
    own = {"database": database}
    context.default_map = {
        **{command.name or "": own for command in app.registered_commands},
        **{group.name or "": _defaults(group.typer_instance, own) for group in app.registered_groups},
    }


def _defaults(group: typer.Typer | None, own: dict[str, str | None]) -> dict[str, object]:
    return {**own, **{each.name or "": own for each in group.registered_commands}} if group is not None else {}


@app.command("run")
def run(
    spec: Spec,
    inputs: Annotated[
        str | None, typer.Option(metavar="JSON", help="Laid over the spec's; @file reads a file.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="0 to 2^53-1.")] = 0,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Its name; else one is made.", show_default=False)
    ] = None,
    version: SpecVersion = None,
    skills: Skills = None,
    subject: Subject = None,
    agent: Agent = None,
    source: Source = "",
    policy: PolicyOption = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Run a workflow to its end; with the id of an unfinished run of the same spec, go on with it.

    Ctrl-C and SIGTERM leave it to be resumed.
    """
    from .running import run_spec

    origin = Origin(agent, source, policy, subject)
    raise typer.Exit(run_spec((spec, version), inputs, seed, run_id, origin, skills or [], tenant, database, json))


@app.command("resume")
def resume(
    run_id: RunId, skills: Skills = None, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Go on with a run that was cut off or paused."""
    from .running import resume_run

    raise typer.Exit(resume_run(run_id, skills or [], tenant, database, json))


@app.command("start")
def start(
    spec: Spec,
    inputs: Annotated[
        str | None, typer.Option(metavar="JSON", help="Laid over the spec's; @file reads a file.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="0 to 2^53-1.")] = 0,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Its name; else one is made.", show_default=False)
    ] = None,
    version: SpecVersion = None,
    queue: Annotated[str, typer.Option(metavar="Q", help="Whose workers take it up.")] = "default",
    priority: Annotated[int, typer.Option(metavar="N", help="Higher first.")] = 0,
    subject: Subject = None,
    agent: Agent = None,
    source: Source = "",
    policy: PolicyOption = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Record a run for workers to take up, and print its id.

    The skills need not be known here: a worker takes it up that has them all.
    """
    from .starting import start_run

    origin = Origin(agent, source, policy, subject)
    raise typer.Exit(start_run((spec, version), inputs, seed, run_id, tenant, queue, priority, origin, database, json))


@app.command("worker")
def worker(
    skills: Skills = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(metavar="Q", help="Take runs of this queue; repeatable; else default.", show_default=False),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="N", help="At most so many runs at a time.")
    ] = 100,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE=VERSION",
            help="Of this workflow take runs of this version only; repeatable.",
            show_default=False,
        ),
    ] = None,
    metrics: MetricsAddress = None,
    database: Database = None,
) -> None:
    """Work on started runs until a signal comes.

    Ctrl-C and SIGTERM drain it: running steps end, the rest is left to other workers; a second one ends it at once.
    """
    from .working import work

    raise typer.Exit(work(skills or [], queue or ["default"], concurrency, pin or [], database, metrics))


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help="Where to listen; elsewhere with keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 for any free one.")] = 8080,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where people reach it; else REFOLD_PUBLIC_URL.", show_default=False),
    ] = None,
    tls_cert: Certificate = None,
    tls_key: CertificateKey = None,
    forwarded_allow: Forwarded = None,
    drain: Drain = 0,
    access_log: AccessLog = False,
    rate: RatePerSecond = 2_000,
    at_once: AtOnce = 128,
    connections: Connections = 1_000,
    max_lag: MaxLag = 600,
    min_free: MinFree = 256,
    database: Database = None,
    json: Json = False,
) -> None:
    """Serve the HTTP API until a signal comes: it records runs, and workers execute them.

    Without keys it serves this machine (loopback) alone, and whoever is on it.
    """
    from .serving import serve_api

    code = serve_api(
        host,
        port,
        public_url,
        database,
        json,
        certificate=tls_cert,
        key=tls_key,
        forwarded=forwarded_allow or (),
        drain=drain,
        access_log=access_log,
        rate=rate,
        at_once=at_once,
        connections=connections,
        max_lag=max_lag,
        min_free=min_free,
    )
    raise typer.Exit(code)


@app.command("workers")
def workers(database: Database = None, json: Json = False) -> None:
    """List the workers, with what they serve; those silent for over 10 s are lost."""
    from .workers import list_workers

    raise typer.Exit(list_workers(database, json))


@app.command("show")
def show(
    run_id: RunId,
    limit: Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="At most so many steps.")] = 100,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show a run: its steps on a time line, and what came out. With --json, the result as one object."""
    from .showing import show_run

    raise typer.Exit(show_run(run_id, limit, tenant, database, json))


@app.command("events")
def events(
    run_id: RunId,
    after: Annotated[int, typer.Option(min=0, max=MOST, metavar="N", help="Only events after number N.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, metavar="N", help="At most so many.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Read the event log of a run, as stored."""
    from .events import show_events

    raise typer.Exit(show_events(run_id, after, limit, tenant, database, json))


@app.command("signal")
def signal(
    run_id: RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The signal's name.", show_default=False)],
    payload: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The waiting step's output; @file reads a file.", show_default=False),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="K", help="The same key again is the same signal.", show_default=False)
    ] = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Send a signal to a run: a step that waits for it, now or later, ends with the payload."""
    from .starting import send_signal

    raise typer.Exit(send_signal(run_id, name, payload, key, tenant, database, json))


@app.command("cancel")
def cancel(
    run_id: RunId,
    reason: Reason = "",
    force: Annotated[bool, typer.Option("--force", help="A workflow function may not clean up first.")] = False,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Cancel a run, whoever works on it."""
    from .telling import tell

    raise typer.Exit(tell("cancel", run_id, reason, tenant, database, json, force=force))


@app.command("pause")
def pause(
    run_id: RunId, reason: Reason = "", tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Pause a run: running steps end, nothing new starts until it is resumed."""
    from .telling import tell

    raise typer.Exit(tell("pause", run_id, reason, tenant, database, json))


@app.command("migrate")
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring the database's schema up to date."""
    from .setting_up import migrate_store

    raise typer.Exit(migrate_store(dry_run, database, json))


@dispatch.command("list")
def dispatch_list(
    limit: Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="At most so many.")] = 1000,
    database: Database = None,
    json: Json = False,
) -> None:
    """List the open runs of all tenants: on which queue, due when, held or not."""
    from .dispatching import list_rows

    raise typer.Exit(list_rows(limit, database, json))


@dispatch.command("rebuild")
def dispatch_rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is wrong.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say it, with exit code 1 if anything is wrong.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Compute the table from the log alone, and replace the one that is there if they differ."""
    from .dispatching import rebuild_rows

    raise typer.Exit(rebuild_rows(dry_run, check, database, json))


@app.command("skills")
def skills(skills: Skills = None, json: Json = False) -> None:
    """List the skills that steps can name."""
    from .setting_up import list_skills

    raise typer.Exit(list_skills(skills or [], json))
