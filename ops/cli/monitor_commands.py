"""The words of `refold shadow monitor`; importing this adds them to the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Json
from .shadow_look_commands import FOLDER, Place, Stale, app, shadow

__all__ = ["app"]

monitor = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
"""The commands on monitors."""

shadow.add_typer(monitor, name="monitor", help="Watch a simulation, and tell a webhook when its state changes.")


@monitor.command("start")
def monitor_start(
    folder: Place = FOLDER,
    interval: Annotated[
        float, typer.Option("--interval", metavar="S", min=0.1, max=86_400, help="Seconds from look to look.")
    ] = 300.0,
    stale: Stale = 600.0,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Told of changes; else REFOLD_SHADOW_WEBHOOK.", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer Prometheus there, at /metrics.", show_default=False),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Do not go into the background: systemd.")] = False,
    json: Json = False,
) -> None:
    """Watch a simulation in the background, with a look every 5 minutes.

    WARNING: the log is older than 10 minutes, or the disk over 90 % full. CRITICAL: the process is dead, there is a
    mismatch, the disk is full. Of a change of state, and of nothing else, the webhook is told, signed if
    REFOLD_WEBHOOK_SECRET holds a secret; if nobody takes it, again after the next look. One monitor watches a folder;
    one that was killed is simply started again.

    Example: refold shadow monitor start --metrics 127.0.0.1:9464

    Exit codes: 0 it watches; 2 there is no such folder, or the address cannot be had; 6 another one watches it.
    """
    from .monitoring import MonitorWords, start

    raise typer.Exit(start(MonitorWords(folder, interval, stale, webhook, metrics, foreground), json))


@monitor.command("status")
def monitor_status(folder: Place = FOLDER, json: Json = False) -> None:
    """Say whether a monitor runs, what it found last, and how long ago.

    Example: refold shadow monitor status --json

    Exit codes: 0 it runs, and found nothing critical; 1 otherwise, or it is late; 2 there is no such folder.
    """
    from .monitoring import status

    raise typer.Exit(status(folder, json))


@monitor.command("check")
def monitor_check(folder: Place = FOLDER, stale: Stale = 600.0, json: Json = False) -> None:
    """Look once, now, whether a monitor runs or not, and say HEALTHY, WARNING or CRITICAL.

    Example: refold shadow monitor check || echo "look at it"

    Exit codes: 0 HEALTHY; 1 WARNING or CRITICAL.
    """
    from .monitoring import check

    raise typer.Exit(check(folder, stale, json))


@monitor.command("stop")
def monitor_stop(folder: Place = FOLDER, json: Json = False) -> None:
    """End the monitor of a folder, and wait until it has ended. Where none runs there is nothing to do.

    Example: refold shadow monitor stop

    Exit codes: 0 none runs any more; 1 it does not end; 2 there is no such folder; 6 it is on another host.
    """
    from .monitoring import stop

    raise typer.Exit(stop(folder, json))
