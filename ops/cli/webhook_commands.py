"""The words of `refold webhooks`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Database, Json, Tenant
from .explain_commands import app

__all__ = ["app"]

webhooks = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on webhooks."""

app.add_typer(webhooks, name="webhooks", help="Webhooks: signed messages about runs and approvals.")

_Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="As list names it.", show_default=False)]
_OfEndpoint = Annotated[
    str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Only of this one.", show_default=False)
]
_Keys = Annotated[
    str | None,
    typer.Option("--keys", metavar="FILE", help="The secrets; else REFOLD_WEBHOOK_KEYS.", show_default=False),
]
_By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it; else your login name.", show_default=False)]
_On = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="PATTERN", help="run.*, run.failed, approval.*, ...; repeatable.", show_default=False),
]
_Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NET|HOST",
        help="May be reached besides the public internet; repeatable. Also REFOLD_WEBHOOK_ALLOW.",
        show_default=False,
    ),
]
_Http = Annotated[bool, typer.Option("--allow-http", help="Without encryption too. Also REFOLD_WEBHOOK_HTTP=1.")]
_Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)]
_Limit = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send it, by https.", show_default=False)],
    on: _On = None,
    description: _Description = None,
    keys: _Keys = None,
    allow: _Allow = None,
    allow_http: _Http = False,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Have events sent to URL from now on; its secret is shown this once (exit code 6: nothing may be sent there)."""
    from .webhooks import Place, add_endpoint

    place = Place(keys, allow or [], allow_http, by, tenant, database, json)
    raise typer.Exit(add_endpoint(place, url, on or [], description or ""))


@webhooks.command("list")
def list_(tenant: Tenant = "default", database: Database = None, json: Json = False) -> None:
    """List the endpoints, and how many messages wait for each or are dead."""
    from .webhooks import list_endpoints

    raise typer.Exit(list_endpoints(tenant, database, json))


@webhooks.command("show")
def show(endpoint: _Endpoint, tenant: Tenant = "default", database: Database = None, json: Json = False) -> None:
    """Show an endpoint."""
    from .webhooks import show_endpoint

    raise typer.Exit(show_endpoint(endpoint, tenant, database, json))


@webhooks.command("change")
def change(
    endpoint: _Endpoint,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Another address.", show_default=False)] = None,
    on: _On = None,
    description: _Description = None,
    allow: _Allow = None,
    allow_http: _Http = False,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Change an endpoint's address, patterns or description; what is not given stays."""
    from .webhooks import Place, change_endpoint

    place = Place(None, allow or [], allow_http, by, tenant, database, json)
    raise typer.Exit(change_endpoint(place, endpoint, url, on, description))


@webhooks.command("remove")
def remove(
    endpoint: _Endpoint,
    keys: _Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Send nothing there any more; what waits is dropped, and its secrets leave the key file."""
    from .webhooks import Place, remove_endpoint

    raise typer.Exit(remove_endpoint(Place(keys, [], False, by, tenant, database, json), endpoint))


@webhooks.command("disable")
def disable(
    endpoint: _Endpoint,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is recorded.", show_default=False)] = "",
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Tell the endpoint of nothing for a while; what waits becomes dead and can be replayed."""
    from .webhooks import Place, set_enabled

    raise typer.Exit(set_enabled(Place(None, [], False, by, tenant, database, json), endpoint, False, reason))


@webhooks.command("enable")
def enable(
    endpoint: _Endpoint, by: _By = None, tenant: Tenant = "default", database: Database = None, json: Json = False
) -> None:
    """Tell a disabled endpoint of what happens from now on."""
    from .webhooks import Place, set_enabled

    raise typer.Exit(set_enabled(Place(None, [], False, by, tenant, database, json), endpoint, True, ""))


@webhooks.command("rotate")
def rotate(
    endpoint: _Endpoint,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="For how long the old secret signs too.")] = "24h",
    keys: _Keys = None,
    by: _By = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a new secret, shown this once; the old one signs beside it for a while."""
    from .webhooks import Place, rotate_secret

    raise typer.Exit(rotate_secret(Place(keys, [], False, by, tenant, database, json), endpoint, overlap))


@webhooks.command("test")
def test(
    endpoint: _Endpoint,
    keys: _Keys = None,
    allow: _Allow = None,
    allow_http: _Http = False,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Send webhook.ping now and tell what came of it (exit codes: 1 it was not taken, 6 it may not be sent)."""
    from .webhook_deliveries import send_ping
    from .webhooks import Place

    raise typer.Exit(send_ping(Place(keys, allow or [], allow_http, None, tenant, database, json), endpoint))


@webhooks.command("deliveries")
def deliveries(
    endpoint: _OfEndpoint = None,
    failed: Annotated[bool, typer.Option("--failed", help="Not taken when last tried.")] = False,
    limit: _Limit = 50,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List messages, the latest first: waiting, delivered or dead."""
    from .webhook_deliveries import list_deliveries

    raise typer.Exit(list_deliveries(endpoint, failed, None, limit, tenant, database, json))


@webhooks.command("dead")
def dead(
    endpoint: _OfEndpoint = None,
    limit: _Limit = 50,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List messages that were given up."""
    from .webhook_deliveries import list_deliveries

    raise typer.Exit(list_deliveries(endpoint, False, "dead", limit, tenant, database, json))


@webhooks.command("replay")
def replay(
    message: Annotated[
        str | None, typer.Argument(metavar="ID", help="A message, as dead or deliveries names it.", show_default=False)
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All that are dead, or wait after an attempt that failed.")
    ] = False,
    endpoint: _OfEndpoint = None,
    tenant: Tenant = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Have dead messages sent again, under the same ids, and those that failed and are to be tried again now."""
    from .webhook_deliveries import replay_failed

    raise typer.Exit(replay_failed(message, all_, endpoint, tenant, database, json))


@webhooks.command("deliver")
def deliver(keys: _Keys = None, allow: _Allow = None, allow_http: _Http = False, database: Database = None) -> None:
    """Send messages until a signal asks for an end; any number of such processes may run."""
    from .webhook_deliveries import deliver_until_drained

    raise typer.Exit(deliver_until_drained(keys, allow or [], allow_http, database))
